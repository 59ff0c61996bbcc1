/** Listens; a port that is taken is told in one sentence, with the setting that chooses another. */
export async function takePort<T>(
  { host, port, setting }: { host: string; port: number; setting: string },
  listen: () => Promise<T>,
): Promise<T> {
  try {
    return await listen()
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE')) throw cause
    throw new Error(`Port ${port} on ${host} is already in use: set ${setting} to another one`, {
      cause,
    })
  }
}

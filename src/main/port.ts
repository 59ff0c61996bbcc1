import { once } from 'node:events'
import type { Server } from 'node:net'

/** Where to listen, and the setting that chooses the port. */
type Place = { readonly host: string; readonly port: number; readonly setting: string }

/** Has a server listen there. Throws what takePort throws. */
export function listenAt(server: Server, place: Place): Promise<unknown> {
  const { host, port } = place
  return takePort(place, () => once(server.listen(port, host), 'listening'))
}

/** Listens; a port that is taken is told in one sentence, with the setting that chooses another. */
export async function takePort<T>(
  { host, port, setting }: Place,
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

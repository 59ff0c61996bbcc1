import type { Server } from 'node:net'

/** Listens and answers the port; 0 is any free one. Throws one sentence when the port is taken. */
export function listen(server: Server, port: number, host: string, what: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: Error & { code?: string }) => {
      if (error.code !== 'EADDRINUSE') return reject(error)
      reject(
        new Error(`Port ${port} on ${host} is already in use: choose another port for ${what}`),
      )
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}

/** Stops listening; connections are the caller's to end. */
export function unlisten(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

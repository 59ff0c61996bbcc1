import { connect, createServer, type Socket } from 'node:net'
import { after } from 'node:test'

/** Stands between a client and a port of this machine, as a network that can fail. */
export type Relay = {
  readonly port: number
  /** Ends every connection that is open now. */
  readonly cut: () => void
  /** Takes no connection, until `mend`. */
  readonly block: () => void
  readonly mend: () => void
  readonly open: () => number
}

/** Opens one; it goes with the tests of the file. */
export async function openRelay(target: () => number): Promise<Relay> {
  const sockets = new Set<Socket>()
  let blocked = false
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
  }
  const server = createServer((near) => {
    keep(near)
    if (blocked) return near.destroy()
    const far = connect(target(), '127.0.0.1')
    keep(far)
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
    near.pipe(far)
    far.pipe(near)
    return undefined
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  after(() => {
    cut()
    server.close()
  })
  const place = server.address()
  return {
    port: typeof place === 'object' && place ? place.port : 0,
    cut,
    block: () => {
      blocked = true
      cut()
    },
    mend: () => {
      blocked = false
    },
    open: () => sockets.size / 2,
  }
}

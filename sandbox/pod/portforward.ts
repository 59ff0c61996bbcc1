import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'

/** The one protocol that is spoken: each message begins with the number of its stream, and each stream
 *  with the port in two octets. */
const protocol = 'v4.channel.k8s.io'
const opcodes = { binary: 2, close: 8, ping: 9, pong: 10 } as const

/** Serves pods/portforward on a request for a WebSocket, as a kubelet does: octets to and from `port` of
 *  this machine, which stands for the port of the pod that was asked for. */
export function forwardPort(
  request: IncomingMessage,
  socket: Duplex,
  { asked, port }: { readonly asked: number; readonly port: number | undefined },
): void {
  const key = request.headers['sec-websocket-key'] ?? ''
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
  socket.write(
    [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${accept.digest('base64')}`,
      `Sec-WebSocket-Protocol: ${protocol}`,
      '\r\n',
    ].join('\r\n'),
  )
  const name = Buffer.alloc(2)
  name.writeUInt16LE(asked)
  for (const stream of [0, 1]) socket.write(frame(opcodes.binary, Buffer.of(stream, ...name)))
  if (port === undefined) {
    const why = `failed to connect to localhost:${asked} inside the pod: connection refused`
    socket.write(frame(opcodes.binary, Buffer.concat([Buffer.of(1), Buffer.from(why)])))
    return void socket.end(frame(opcodes.close, Buffer.alloc(0)))
  }
  const upstream = connect({ host: '127.0.0.1', port })
  upstream.on('data', (chunk: Buffer) => {
    const ready = socket.write(frame(opcodes.binary, Buffer.concat([Buffer.of(0), chunk])))
    if (!ready) upstream.pause()
  })
  socket.on('drain', () => upstream.resume())
  upstream.on('end', () => socket.end(frame(opcodes.close, Buffer.alloc(0))))
  upstream.on('error', () => socket.destroy())
  socket.on('error', () => upstream.destroy())
  socket.on('close', () => upstream.destroy())
  let waiting = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk])
    for (let next = readFrame(waiting); next; next = readFrame(waiting)) {
      waiting = waiting.subarray(next.length)
      if (next.opcode === opcodes.close) return void socket.end(frame(opcodes.close, next.payload))
      if (next.opcode === opcodes.ping) socket.write(frame(opcodes.pong, next.payload))
      else if (next.payload[0] === 0) upstream.write(next.payload.subarray(1))
    }
  })
}

/** Whether the request is one for a WebSocket that speaks the protocol. */
export function isForwardable({ headers }: IncomingMessage): boolean {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim())
  return headers.upgrade?.toLowerCase() === 'websocket' && offered.includes(protocol)
}

/** Frames of a server are not masked (RFC 6455 5.1). */
function frame(opcode: number, payload: Buffer): Buffer {
  const size = payload.length
  if (size < 126) return Buffer.concat([Buffer.of(0x80 | opcode, size), payload])
  if (size < 0x10000) {
    return Buffer.concat([Buffer.of(0x80 | opcode, 126, size >> 8, size & 0xff), payload])
  }
  const long = Buffer.alloc(8)
  long.writeBigUInt64BE(BigInt(size))
  return Buffer.concat([Buffer.of(0x80 | opcode, 127), long, payload])
}

/** Those of a client are; the first of these octets, undefined while it is not whole. */
function readFrame(octets: Buffer) {
  const [first, second] = octets
  if (first === undefined || second === undefined) return undefined
  const short = second & 0x7f
  const start = short === 127 ? 10 : short === 126 ? 4 : 2
  if (octets.length < start + 4) return undefined
  const size =
    short === 127
      ? Number(octets.readBigUInt64BE(2))
      : short === 126
        ? octets.readUInt16BE(2)
        : short
  const length = start + 4 + size
  if (octets.length < length) return undefined
  const mask = octets.subarray(start, start + 4)
  const payload = Buffer.from(octets.subarray(start + 4, length))
  for (let at = 0; at < size; at++) payload[at] = (payload[at] ?? 0) ^ (mask[at % 4] ?? 0)
  return { opcode: first & 0x0f, payload, length }
}

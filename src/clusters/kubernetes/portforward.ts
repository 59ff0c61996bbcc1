import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type RequestOptions, request } from 'node:https'
import { Duplex } from 'node:stream'

/** The subprotocol of Kubernetes in which each message begins with the number of its stream: 0 is the
 *  octets of the first port, 1 what went wrong with it. */
const protocol = 'v4.channel.k8s.io'
const data = 0

const opcodes = { continued: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const
/** Kubelets send 32 KiB at a time. */
const frameLimit = 4 * 1024 * 1024
const refusalLimit = 64 * 1024

/** The API server answered, and not by a connection. */
export type Refused = { readonly code: number; readonly body: string }

/** A connection through the API server to a port of a pod (pods/portforward), over a WebSocket (RFC 6455)
 *  of its own. `url` is that of the subresource, `options` the credentials. Answers what the API server
 *  says instead, where it opens none. What is not read is not asked for: the sender is held back. */
export function forwardPort(
  url: URL,
  { options, signal }: { readonly options: RequestOptions; readonly signal: AbortSignal },
): Promise<Duplex | Refused> {
  const key = randomBytes(16).toString('base64')
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      ...options,
      agent: false,
      signal,
      headers: {
        ...options.headers,
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-key': key,
        'sec-websocket-version': '13',
        'sec-websocket-protocol': protocol,
      },
    })
    asked.on('error', reject)
    asked.on('response', (message) => {
      readRefusal(message).then(resolve, reject)
    })
    asked.on('upgrade', (message, socket, head) => {
      if (!agrees(message, key)) {
        socket.destroy()
        return reject(new Error('the API server agrees to a protocol that was not asked for'))
      }
      if (head.length > 0) socket.unshift(head)
      resolve(streamOver(socket))
    })
    asked.end()
  })
}

async function readRefusal(message: IncomingMessage): Promise<Refused> {
  let body = ''
  for await (const chunk of message) {
    body += String(chunk)
    if (body.length > refusalLimit) break
  }
  return { code: message.statusCode ?? 0, body }
}

function agrees({ headers }: IncomingMessage, key: string): boolean {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
  return (
    headers['sec-websocket-accept'] === accept.digest('base64') &&
    headers['sec-websocket-protocol'] === protocol
  )
}

/** The octets of the forwarded port as a stream. */
function streamOver(socket: Duplex): Duplex {
  /** Each stream begins with two octets that name the port. */
  const begun = new Set<number>()
  let waiting = Buffer.alloc(0)
  let message: Buffer[] = []

  const stream = new Duplex({
    read: () => {
      socket.resume()
    },
    write(chunk: Buffer, _encoding, done) {
      socket.write(frame(opcodes.binary, Buffer.concat([Buffer.of(data), chunk])), () => done())
    },
    // The protocol cannot close one direction alone.
    final: (done) => done(),
    destroy(error, done) {
      socket.destroy()
      done(error)
    },
  })

  function take({ opcode, last, payload }: Frame): void {
    if (opcode === opcodes.close) return void stream.push(null)
    if (opcode === opcodes.ping) return void socket.write(frame(opcodes.pong, payload))
    if (opcode === opcodes.pong) return
    message.push(payload)
    if (!last) return
    const whole = Buffer.concat(message)
    message = []
    const [channel = 0] = whole
    const from = begun.has(channel) ? 1 : 3
    begun.add(channel)
    const octets = whole.subarray(from)
    if (octets.length === 0) return
    if (channel !== data) return void stream.destroy(new Error(octets.toString().slice(0, 500)))
    if (!stream.push(octets)) socket.pause()
  }

  socket.on('data', (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk])
    try {
      for (let next = readFrame(waiting); next; next = readFrame(waiting)) {
        waiting = waiting.subarray(next.length)
        take(next)
      }
    } catch (error) {
      stream.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  })
  socket.on('error', (error) => stream.destroy(error))
  socket.on('close', () => {
    if (!stream.readableEnded) stream.push(null)
  })
  return stream
}

type Frame = {
  readonly opcode: number
  readonly last: boolean
  readonly payload: Buffer
  readonly length: number
}

/** The first frame of these octets, RFC 6455 5.2; undefined while it is not whole. Servers mask nothing. */
function readFrame(octets: Buffer): Frame | undefined {
  const [first, second] = octets
  if (first === undefined || second === undefined) return undefined
  if ((second & 0x80) !== 0) throw new Error('the API server sends a masked frame')
  const short = second & 0x7f
  const start = short === 127 ? 10 : short === 126 ? 4 : 2
  if (octets.length < start) return undefined
  const size =
    short === 127
      ? Number(octets.readBigUInt64BE(2))
      : short === 126
        ? octets.readUInt16BE(2)
        : short
  if (size > frameLimit) throw new Error('the API server sends a frame that is too large')
  const length = start + size
  if (octets.length < length) return undefined
  return {
    opcode: first & 0x0f,
    last: (first & 0x80) !== 0,
    payload: octets.subarray(start, length),
    length,
  }
}

/** One frame of a client, masked as RFC 6455 5.3 wants it. */
function frame(opcode: number, payload: Buffer): Buffer {
  const size = payload.length
  const head =
    size < 126
      ? Buffer.of(0x80 | opcode, 0x80 | size)
      : size < 0x10000
        ? Buffer.of(0x80 | opcode, 0x80 | 126, size >> 8, size & 0xff)
        : Buffer.concat([Buffer.of(0x80 | opcode, 0x80 | 127), longSize(size)])
  const mask = randomBytes(4)
  const masked = payload.map((octet, index) => octet ^ (mask[index % 4] ?? 0))
  return Buffer.concat([head, mask, masked])
}

function longSize(size: number): Buffer {
  const octets = Buffer.alloc(8)
  octets.writeBigUInt64BE(BigInt(size))
  return octets
}

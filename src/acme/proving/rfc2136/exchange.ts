import { createSocket } from 'node:dgram'
import { connect, isIP } from 'node:net'
import { connectionTo, failureOf } from '../../../clusters/outgoing.ts'
import type { Config } from '../../../core/config.ts'
import { must } from '../../../shared/must.ts'
import { bareHost } from '../../../x509/names/ip.ts'
import { CaRefusal } from '../../client/refusal.ts'
import { caReach } from '../../client/request.ts'

const timeoutMilliseconds = 10_000
const connectMilliseconds = 3_000
/** How long an answer by UDP is waited for, and after how long the same is sent again. */
const datagrams = { patience: 4_500, again: 1_500 } as const
/** How many addresses of a server are tried. */
const mostAddresses = 2

/** What an answer comes to; undefined: it is none to what was asked. `trusted`: it is signed by the server. */
export type Read<T> = (message: Buffer) => (T & { readonly trusted: boolean }) | undefined

/** Sends a message to a server of DNS, `host:port` or `host`, by TCP (RFC 7766), and where no connection is made or none answers,
 *  by UDP: there what is not signed could be anybody's, and is taken only if nothing better comes (RFC 8945 5.3). Its name is
 *  looked up once, and what is connected to is what was looked at. All of it takes ten seconds at most, and an
 *  answer has 64 KiB at most. Throws CaRefusal where nothing comes back. */
export async function askServer<T>(
  config: Config,
  server: string,
  message: Buffer,
  read: Read<T>,
): Promise<T & { readonly trusted: boolean }> {
  const { host, port } = serverParts(server)
  const signal = AbortSignal.timeout(timeoutMilliseconds)
  const failures: Error[] = []
  try {
    const addresses = await addressesOf(config, host, signal)
    const ways = [overTcp, overUdp].flatMap((way) => addresses.map((address) => ({ way, address })))
    for (const { way, address } of ways) {
      signal.throwIfAborted()
      const failed = (error: unknown) => void failures.push(asError(error))
      const answer = await way({ address, port, message, signal }, read).catch(failed)
      if (answer !== undefined) return answer
    }
  } catch (error) {
    if (error instanceof CaRefusal) throw error
    failures.push(asError(error))
  }
  const [first] = failures
  throw new CaRefusal('unreachable', `${server}: ${failureOf(must(first, 'something failed'))}`)
}

/** A server as the settings have it; its port is 53 where it names none. */
function serverParts(server: string): { readonly host: string; readonly port: number } {
  const [, host = server, port = '53'] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(server) ?? []
  return { host: bareHost(host), port: Number(port) }
}

/** The same addresses may be reached as by webhooks and CAs. What is sent is signed and is no secret, so that it needs no TLS. */
function addressesOf(
  config: Config,
  host: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { fault, lookup } = connectionTo(caReach(config), host, false)
  if (fault !== undefined) return Promise.reject(new CaRefusal('unreachable', fault))
  if (isIP(host) !== 0) return Promise.resolve([host])
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    lookup(host, { all: true }, (error, found) => {
      if (error) return reject(error)
      const all = typeof found === 'string' ? [found] : found.map(({ address }) => address)
      resolve(all.slice(0, mostAddresses))
    })
  })
}

type Sending = {
  readonly address: string
  readonly port: number
  readonly message: Buffer
  readonly signal: AbortSignal
}

/** RFC 1035 4.2.2: a message after its length. */
function overTcp<T>(
  { address, port, message, signal }: Sending,
  read: Read<T>,
): Promise<T & { readonly trusted: boolean }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, signal })
    const late = setTimeout(() => socket.destroy(failure('ETIMEDOUT')), connectMilliseconds)
    let received = Buffer.alloc(0)
    socket.on('connect', () => {
      clearTimeout(late)
      const length = Buffer.alloc(2)
      length.writeUInt16BE(message.length)
      socket.write(Buffer.concat([length, message]))
    })
    socket.on('data', (part) => {
      received = Buffer.concat([received, part])
      if (received.length < 2) return
      const end = 2 + received.readUInt16BE(0)
      if (received.length < end) return
      const answer = read(received.subarray(2, end))
      socket.destroy(answer === undefined ? failure('EBADMSG') : undefined)
      if (answer !== undefined) resolve(answer)
    })
    socket.on('error', reject)
    socket.on('close', () => {
      clearTimeout(late)
      reject(failure('ECONNRESET'))
    })
  })
}

function overUdp<T>(
  { address, port, message, signal }: Sending,
  read: Read<T>,
): Promise<T & { readonly trusted: boolean }> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: isIP(address) === 6 ? 'udp6' : 'udp4', signal })
    let unsigned: (T & { readonly trusted: boolean }) | undefined
    let open = true
    const close = () => {
      if (open) socket.close()
      open = false
    }
    const send = () => open && socket.send(message)
    const again = setInterval(send, datagrams.again)
    const late = setTimeout(close, datagrams.patience)
    socket.on('message', (received) => {
      const answer = read(received)
      if (answer?.trusted !== true) {
        unsigned ??= answer
        return
      }
      resolve(answer)
      close()
    })
    socket.on('error', (error) => {
      reject(error)
      close()
    })
    socket.on('close', () => {
      open = false
      clearInterval(again)
      clearTimeout(late)
      if (unsigned !== undefined) resolve(unsigned)
      else reject(failure('ETIMEDOUT'))
    })
    // Of a socket that is connected, what others send is not received.
    socket.on('connect', send)
    socket.connect(port, address)
  })
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code })
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(`${error}`)
}

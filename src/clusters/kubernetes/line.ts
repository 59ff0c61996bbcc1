import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import Type from 'typebox'
import { parse } from 'yaml'
import { inSpan, traceHeaders } from '../../core/tracing.ts'
import { must } from '../../shared/must.ts'
import { conforms } from '../../shared/shape.ts'
import { bareHost } from '../../x509/names/ip.ts'
import { forbiddenMessage, isForbiddenAddress, safeLookup } from '../addresses.ts'
import { ErrandOver, errandOver, openGate } from './errand.ts'
import { type Kind, resourceOf } from './kinds.ts'
import { KubeError } from './kube.ts'
import { forwardPort } from './portforward.ts'
import { refusal } from './refusal.ts'

/** How long a cluster may take to make a connection, TLS included; and to answer a question whole. */
const timeoutMilliseconds = { connect: 3_000, answer: 10_000 } as const
const answerLimit = 16 * 1024 * 1024
/** Requests under way at a time. */
const width = 16

/** One question to the Kubernetes API; `path` has its query, and `kind` is what it is about. */
export type Question = {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly kind?: Kind
  /** Sent as JSON. */
  readonly body?: object
  readonly contentType?: string
  readonly accept?: string
}

/** An answer that is no refusal: its octets, and what admission warned of. */
export type KubeAnswer = { readonly octets: Buffer; readonly warnings: readonly string[] }

/** A way to the Kubernetes API of a cluster, over a few connections that are kept. */
export type Line = {
  /** Throws KubeError: what was refused, or that no answer came. */
  readonly ask: (question: Question) => Promise<KubeAnswer>
  /** The answer to a GET that stays open until `signal`. Such answers have connections of their own, so that
   *  they never hold up a question. */
  readonly open: (path: string, kind: Kind, signal: AbortSignal) => Promise<IncomingMessage>
  /** A connection through the API to a port: `path` is that of pods/portforward. */
  readonly forward: (path: string) => Promise<Duplex>
  readonly close: () => void
}

/** Opens a line by a kubeconfig; nothing is sent before the first question. */
export function openLine(kubeconfig: string): Line {
  const { server, options } = endpointOf(kubeconfig)
  const gate = openGate(width)
  let wires: Wires | undefined

  function wired(): Wires {
    const host = bareHost(must(URL.parse(server), 'the server is a URL').hostname)
    if (isForbiddenAddress(host)) throw new KubeError('unreachable', forbiddenMessage(host))
    wires ??= wiresOf(options)
    return wires
  }

  return {
    async ask({ method, path, kind, body, contentType = json, accept = json }) {
      const { agent, seen } = wired()
      const headers = {
        accept,
        ...(body === undefined ? {} : { 'content-type': contentType }),
        ...options.headers,
      }
      const sent = { url: `${server}${path}`, method, headers }
      return gate(method !== 'GET', () =>
        called(sent, kind, async (traced, noteStatus) => {
          const whole = body ? { ...traced, body: JSON.stringify(body) } : traced
          const message = await send(whole, agent, seen)
          const octets = await read(message)
          const code = noteStatus(message)
          if (code < 200 || code > 299) throw refusal({ code, body: octets.toString('utf8') }, kind)
          return { octets, warnings: warningsIn(message.headers.warning) }
        }),
      )
    },
    async open(path, kind, signal) {
      const { streams, seen } = wired()
      const headers = { accept: json, ...options.headers }
      const sent = { url: `${server}${path}`, method: 'GET', headers, signal }
      return called(sent, kind, async (traced, noteStatus) => {
        const message = await send(traced, streams, seen)
        const code = noteStatus(message)
        if (code === 200) return message
        throw refusal({ code, body: (await read(message)).toString('utf8') }, kind)
      })
    },
    async forward(path) {
      wired()
      return forwarded(new URL(`${server}${path}`), options)
    },
    close: () => {
      wires?.agent.destroy()
      wires?.streams.destroy()
    },
  }
}

const json = 'application/json'

type Wires = {
  readonly agent: Agent
  readonly streams: Agent
  /** Sockets that were given to a request before: they are connected. */
  readonly seen: WeakSet<Socket>
}

function wiresOf({ ca, cert, key, servername, lookup }: RequestOptions): Wires {
  const shared = { ca, cert, key, servername, lookup, keepAlive: true }
  return {
    agent: new Agent({ ...shared, maxSockets: width }),
    streams: new Agent({ ...shared, maxFreeSockets: 0 }),
    seen: new WeakSet(),
  }
}

const Text = Type.Optional(Type.String())
const Kubeconfig = Type.Object({
  'current-context': Type.String(),
  contexts: Type.Array(
    Type.Object({
      name: Type.String(),
      context: Type.Object({ cluster: Type.String(), user: Type.String() }),
    }),
  ),
  clusters: Type.Array(
    Type.Object({
      name: Type.String(),
      cluster: Type.Object({
        server: Type.String(),
        'certificate-authority-data': Text,
        'tls-server-name': Text,
      }),
    }),
  ),
  users: Type.Array(
    Type.Object({
      name: Type.String(),
      user: Type.Object({
        token: Text,
        'client-certificate-data': Text,
        'client-key-data': Text,
      }),
    }),
  ),
})

/** Where the current context of a kubeconfig leads, and with which credentials. Names are looked up anew for
 *  each connection: one may be made to lead to a forbidden address at any time. */
function endpointOf(kubeconfig: string): {
  readonly server: string
  readonly options: RequestOptions
} {
  const config: unknown = parse(kubeconfig)
  if (!conforms(Kubeconfig, config)) throw new Error('a kubeconfig was let through that is none')
  const named = <T extends { readonly name: string }>(list: readonly T[], name: string): T =>
    must(
      list.find((each) => each.name === name),
      `the kubeconfig has ${name}`,
    )
  const { context } = named(config.contexts, config['current-context'])
  const { cluster } = named(config.clusters, context.cluster)
  const { user } = named(config.users, context.user)
  const servername = cluster['tls-server-name']
  const options: RequestOptions = {
    lookup: safeLookup,
    ca: decoded(cluster['certificate-authority-data']),
    cert: decoded(user['client-certificate-data']),
    key: decoded(user['client-key-data']),
    ...(servername === undefined ? {} : { servername }),
    ...(user.token === undefined ? {} : { headers: { authorization: `Bearer ${user.token}` } }),
  }
  return { server: cluster.server.replace(/\/+$/, ''), options }
}

function decoded(base64: string | undefined): Buffer | undefined {
  return base64 === undefined ? undefined : Buffer.from(base64, 'base64')
}

/** A request; with a signal its answer may take until that, once it has begun. */
type Sent = {
  readonly url: string
  readonly method: string
  readonly headers: NonNullable<RequestOptions['headers']>
  readonly body?: string
  readonly signal?: AbortSignal
}

/** A call to the API of a cluster, in a span. Who reads traces may be anybody: they learn what kind of thing was asked
 *  for, and neither where the API is, which tenants are not told either, nor names, which are those of tenants'
 *  namespaces and Secrets. Which cluster it was the job around it tells. */
function called<T>(
  { headers, ...sent }: Sent,
  kind: Kind | undefined,
  work: (sent: Sent, noteStatus: (message: IncomingMessage) => number) => Promise<T>,
): Promise<T> {
  const { method, url } = sent
  const facts = { 'http.request.method': method, 'url.template': templateOf(new URL(url).pathname) }
  const name = kind ? `${method} ${resourceOf(kind)}` : method
  return inSpan({ name, kind: 'client', facts }, (note) =>
    work({ ...sent, headers: { ...headers, ...traceHeaders() } }, ({ statusCode = 0 }) => {
      note({ 'http.response.status_code': statusCode })
      return statusCode
    }),
  )
}

const placesIn =
  /\/(?<group>api\/[^/]+|apis\/[^/]+\/[^/]+)(?<space>\/namespaces\/[^/]+)?(?:\/(?<resource>[^/]+)(?<name>\/[^/]+)?(?<rest>\/.*)?)?$/

/** A path of the API with what stands for its names: `/api/v1/namespaces/{namespace}/secrets/{name}`. What there is
 *  before the API of a server that has several is left out. */
function templateOf(path: string): string {
  const { group, space, resource, name, rest = '' } = placesIn.exec(path)?.groups ?? {}
  if (group === undefined) return path.replace(/^.*(\/[^/]+)$/, '$1')
  const inside = space === undefined ? '' : '/namespaces/{namespace}'
  const object = resource === undefined ? '' : `/${resource}${name === undefined ? '' : '/{name}'}`
  return `/${group}${inside}${object}${rest}`
}

/** Sends it, and again where a connection that was kept turns out to be closed by the other end meanwhile: each of
 *  these requests comes to the same when it is done twice. A new connection is tried once. */
async function send(sent: Sent, agent: Agent, seen: WeakSet<Socket>): Promise<IncomingMessage> {
  for (;;) {
    const message = await sendOnce(sent, agent, seen)
    if (message !== 'closed meanwhile') return message
  }
}

function sendOnce(
  { url, method, headers, body, signal }: Sent,
  agent: Agent,
  seen: WeakSet<Socket>,
) {
  return new Promise<IncomingMessage | 'closed meanwhile'>((resolve, reject) => {
    const over = errandOver()
    if (over?.aborted) return reject(new ErrandOver())
    const sent = httpsRequest(url, {
      ...{ method, agent, headers },
      signal: signal ?? AbortSignal.timeout(timeoutMilliseconds.answer),
    })
    const late =
      signal && setTimeout(() => sent.destroy(new AnswerTimeout()), timeoutMilliseconds.answer)
    const leave = () => sent.destroy(new ErrandOver())
    over?.addEventListener('abort', leave)
    sent.on('close', () => over?.removeEventListener('abort', leave))
    sent.on('socket', (socket) => {
      if (!seen.has(socket)) connectInTime(sent, socket)
      // A peer that is gone without a word is noticed within half a minute.
      if (signal) socket.setKeepAlive(true, 15_000)
      seen.add(socket)
    })
    sent.on('response', (message) => {
      clearTimeout(late)
      resolve(message)
    })
    sent.on('error', (cause) => {
      clearTimeout(late)
      if (sent.reusedSocket && isClosed(cause)) resolve('closed meanwhile')
      else reject(unreachable(cause))
    })
    sent.end(body)
  })
}

function isClosed(cause: Error): boolean {
  const { code = '' } = errorFacts(cause)
  return code === 'ECONNRESET' || code === 'EPIPE'
}

/** A cluster that is gone mostly takes no connection: that is known long before an answer is late. */
function connectInTime(sent: ClientRequest, socket: Socket): void {
  const timer = setTimeout(() => sent.destroy(new ConnectTimeout()), timeoutMilliseconds.connect)
  const end = () => clearTimeout(timer)
  for (const event of ['secureConnect', 'close'] as const) socket.once(event, end)
}

class ConnectTimeout extends Error {}
class AnswerTimeout extends Error {}

async function read(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of message) {
      size += chunk.length
      if (size > answerLimit) throw new KubeError('unavailable', 'The answer is too large to read')
      chunks.push(chunk)
    }
  } catch (cause) {
    throw cause instanceof KubeError ? cause : unreachable(cause)
  }
  return Buffer.concat(chunks)
}

async function forwarded(url: URL, options: RequestOptions): Promise<Duplex> {
  // The limit is for the connection: how long it may last is the caller's to say.
  const late = new AbortController()
  const timer = setTimeout(
    () => late.abort(new DOMException('late', 'TimeoutError')),
    timeoutMilliseconds.answer,
  )
  try {
    const answer = await forwardPort(url, { options, signal: late.signal })
    if (answer instanceof Duplex) return answer
    throw refusal(answer)
  } catch (cause) {
    throw cause instanceof KubeError ? cause : unreachable(cause)
  } finally {
    clearTimeout(timer)
  }
}

/** `299 - "text"`, any number of them (RFC 7234 5.5, as Kubernetes writes it). */
function warningsIn(header: string | undefined): readonly string[] {
  const found = (header ?? '').matchAll(/\b299 \S+ "((?:[^"\\]|\\.)*)"/g)
  return [...found].map(([, text = '']) => text.replace(/\\(.)/g, '$1'))
}

/** What it means that no answer came; or that nobody waits for it any more. */
function unreachable(cause: unknown): KubeError | ErrandOver {
  if (cause instanceof ErrandOver) return cause
  if (errandOver()?.aborted) return new ErrandOver()
  const { name, code, message } = cause instanceof Error ? errorFacts(cause) : errorFacts(Error())
  const late = name === 'TimeoutError' || name === 'AbortError' || cause instanceof AnswerTimeout
  const what =
    cause instanceof ConnectTimeout
      ? `it made no TLS connection within ${timeoutMilliseconds.connect / 1000} s`
      : late
        ? `it did not answer within ${timeoutMilliseconds.answer / 1000} s`
        : (code ?? message)
  return new KubeError('unreachable', `The Kubernetes API cannot be reached: ${what}`, { cause })
}

function errorFacts(error: Error) {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return { name: error.name, code, message: error.message }
}

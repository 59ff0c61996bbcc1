import { AsyncLocalStorage } from 'node:async_hooks'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import type { Socket } from 'node:net'
import {
  ApiException,
  AuthorizationV1Api,
  createConfiguration,
  KubeConfig,
  KubernetesObjectApi,
  PatchStrategy,
  type RequestContext,
  ResponseContext,
  ServerConfiguration,
  VersionApi,
  wrapHttpLibrary,
} from '@kubernetes/client-node'
import Type from 'typebox'
import Value from 'typebox/value'
import type { Kind } from './kinds.ts'
import { type Kube, KubeError, type KubeFault, KubeObject } from './kube.ts'

const fieldManager = 'gatesmith'
/** How long a cluster may take to make a connection, TLS included; and to answer a question whole. */
const timeoutMilliseconds = { connect: 3_000, answer: 10_000 } as const
const answerLimit = 16 * 1024 * 1024
const pageSize = 250
const pageLimit = 40

/** A connection to the cluster of a kubeconfig that src/clusters/credentials/kubeconfig.ts has let through. Nothing
 *  is sent before the first question. */
export function connect(kubeconfig: string): Kube {
  const config = new KubeConfig()
  config.loadFromString(kubeconfig)
  const server = config.getCurrentCluster()?.server ?? ''
  const heard = new AsyncLocalStorage<string[]>()
  const line = openLine(config)
  const configuration = createConfiguration({
    baseServer: new ServerConfiguration(server, {}),
    httpApi: wrapHttpLibrary({
      async send(request) {
        const answer = await line.exchange(request)
        heard.getStore()?.push(...warningsIn(answer.headers.warning))
        return answer
      },
    }),
  })
  const objects = new KubernetesObjectApi(configuration)
  return {
    get: ({ apiVersion, kind, namespace, name }) =>
      orUndefined(async () =>
        plain(
          await objects.read({
            apiVersion,
            kind,
            metadata: { namespace, name },
          }),
        ),
      ),
    list: (kind, where = {}) => translated(() => listAll(objects, kind, where)),
    apply: (object, { dryRun = false, force = false } = {}) => {
      const warnings: string[] = []
      return heard.run(warnings, () =>
        translated(async () => {
          const all = dryRun ? 'All' : undefined
          await objects.patch(
            structuredClone(object),
            undefined,
            all,
            fieldManager,
            force,
            PatchStrategy.ServerSideApply,
          )
          return warnings
        }),
      )
    },
    remove: async ({ apiVersion, kind, namespace, name }) => {
      await orUndefined(() => objects.delete({ apiVersion, kind, metadata: { namespace, name } }))
    },
    version: () =>
      translated(async () => (await new VersionApi(configuration).getCode()).gitVersion),
    can: ({ verb, group, resource, namespace }) =>
      translated(async () => {
        const resourceAttributes = {
          verb,
          group,
          resource,
          ...(namespace === undefined ? {} : { namespace }),
        }
        const review = await new AuthorizationV1Api(configuration).createSelfSubjectAccessReview({
          body: {
            apiVersion: 'authorization.k8s.io/v1',
            kind: 'SelfSubjectAccessReview',
            spec: { resourceAttributes },
          },
        })
        return review.status?.allowed === true
      }),
    close: line.close,
  }
}

async function listAll(
  objects: KubernetesObjectApi,
  { apiVersion, kind }: Kind,
  { namespace, labelSelector }: { readonly namespace?: string; readonly labelSelector?: string },
): Promise<readonly KubeObject[]> {
  const found: KubeObject[] = []
  let next: string | undefined
  for (let page = 0; page < pageLimit; page++) {
    const none = undefined
    const answer = await objects.list(
      apiVersion,
      kind,
      namespace,
      none,
      none,
      none,
      none,
      labelSelector,
      pageSize,
      next,
    )
    // Items of a list do not say what they are.
    found.push(...answer.items.map((item) => plain({ ...item, apiVersion, kind })))
    next = answer.metadata?._continue
    if (!next) return found
  }
  throw new KubeError('unavailable', `The cluster has more than ${found.length} of kind ${kind}`)
}

/** As JSON: the library makes dates of times. */
function plain(value: unknown): KubeObject {
  const object: unknown = JSON.parse(JSON.stringify(value))
  if (Value.Check(KubeObject, object)) return object
  throw new KubeError('unavailable', 'The cluster answers with something that is no object')
}

/** The library's own sender opens a connection per request, and reads answers of any size. */
function openLine(config: KubeConfig) {
  let opened: ReturnType<typeof open> | undefined
  async function open() {
    const { ca, cert, key, servername, headers } = await optionsOf(config)
    const agent = new Agent({ ca, cert, key, servername, keepAlive: true, maxSockets: 8 })
    return { agent, headers, seen: new WeakSet<Socket>() }
  }
  return {
    async exchange(request: RequestContext): Promise<ResponseContext> {
      opened ??= open()
      const message = await send(request, await opened)
      const octets = await read(message)
      const text = async () => octets.toString('utf8')
      return new ResponseContext(message.statusCode ?? 0, flat(message), {
        text,
        binary: async () => octets,
        stream: () => null,
      })
    },
    close: () => {
      void opened?.then(({ agent }) => agent.destroy())
    },
  }
}

async function optionsOf(config: KubeConfig): Promise<RequestOptions> {
  const options: RequestOptions = {}
  await config.applyToHTTPSOptions(options)
  return options
}

type Line = Pick<RequestOptions, 'headers'> & {
  readonly agent: Agent
  /** Sockets that were given to a request before: they are connected. */
  readonly seen: WeakSet<Socket>
}

function send(request: RequestContext, { agent, headers, seen }: Line) {
  const body = request.getBody()
  return new Promise<IncomingMessage>((resolve, reject) => {
    const sent = httpsRequest(request.getUrl(), {
      method: request.getHttpMethod(),
      agent,
      headers: { ...request.getHeaders(), ...headers },
      signal: AbortSignal.timeout(timeoutMilliseconds.answer),
    })
    sent.on('socket', (socket) => {
      if (!seen.has(socket)) connectInTime(sent, socket)
      seen.add(socket)
    })
    sent.on('response', resolve)
    sent.on('error', (cause) => reject(unreachable(cause)))
    sent.end(typeof body === 'string' ? body : undefined)
  })
}

/** A cluster that is gone mostly takes no connection: that is known long before an answer is late. */
function connectInTime(sent: ClientRequest, socket: Socket): void {
  const timer = setTimeout(() => sent.destroy(new ConnectTimeout()), timeoutMilliseconds.connect)
  const end = () => clearTimeout(timer)
  for (const event of ['secureConnect', 'close'] as const) socket.once(event, end)
}

class ConnectTimeout extends Error {}

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

function flat({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  )
}

/** `299 - "text"`, any number of them (RFC 7234 5.5, as Kubernetes writes it). */
function warningsIn(header: string | undefined): readonly string[] {
  const found = (header ?? '').matchAll(/\b299 \S+ "((?:[^"\\]|\\.)*)"/g)
  return [...found].map(([, text = '']) => text.replace(/\\(.)/g, '$1'))
}

function unreachable(cause: unknown): KubeError {
  const { name, code, message } = cause instanceof Error ? errorFacts(cause) : errorFacts(Error())
  const late = name === 'TimeoutError' || name === 'AbortError'
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

async function orUndefined<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await translated(work)
  } catch (error) {
    if (error instanceof KubeError && error.fault === 'not-found') return undefined
    throw error
  }
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof KubeError) throw cause
    if (cause instanceof ApiException) throw refusal(cause)
    // The library's own complaints: a kind that the group lacks, an answer that is not JSON.
    throw new KubeError('unsupported', `The cluster does not serve this: ${String(cause)}`, {
      cause,
    })
  }
}

const Status = Type.Object({
  message: Type.Optional(Type.String()),
  details: Type.Optional(Type.Object({ name: Type.Optional(Type.String()) })),
})

const faults: Readonly<Record<number, KubeFault>> = {
  400: 'invalid',
  401: 'unauthorized',
  403: 'forbidden',
  405: 'unsupported',
  409: 'conflict',
  415: 'unsupported',
  422: 'invalid',
}

function refusal(cause: { code: number; body: unknown }): KubeError {
  const status = statusOf(cause.body)
  const message = (status.message ?? `The Kubernetes API answers ${cause.code}`).slice(0, 2000)
  // Only a Status that names an object is about one; a kind that is not served has a bare 404.
  if (cause.code === 404) {
    const fault = status.details?.name === undefined ? 'unsupported' : 'not-found'
    return new KubeError(fault, message, { cause })
  }
  return new KubeError(faults[cause.code] ?? 'unavailable', message, { cause })
}

function statusOf(body: unknown): Type.Static<typeof Status> {
  try {
    const value: unknown = typeof body === 'string' ? JSON.parse(body) : body
    return Value.Check(Status, value) ? value : {}
  } catch {
    return {}
  }
}

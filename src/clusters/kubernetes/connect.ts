import { AsyncLocalStorage } from 'node:async_hooks'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import {
  ApiException,
  AuthorizationV1Api,
  CustomObjectsApi,
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
import { forbiddenMessage, isForbiddenAddress, safeLookup } from '../addresses.ts'
import { groupOf, type Kind, resourceOf } from './kinds.ts'
import {
  type Access,
  type FieldConflict,
  fieldManager,
  type Kube,
  KubeError,
  type KubeFault,
  KubeObject,
  type KubePage,
  type Where,
} from './kube.ts'
import { forwardPort } from './portforward.ts'
import { inServedVersion } from './versions.ts'
import { watchEvents, watchSeconds } from './watch.ts'

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
  function applied(object: KubeObject, dryRun: boolean, force: boolean) {
    const warnings: string[] = []
    const work = async () => {
      const made = await objects.patch(
        structuredClone(object),
        undefined,
        dryRun ? 'All' : undefined,
        fieldManager,
        force,
        PatchStrategy.ServerSideApply,
      )
      return { object: plain(made), warnings }
    }
    return heard.run(warnings, () => translated(work, object))
  }
  return inServedVersion({
    get: ({ apiVersion, kind, namespace, name }) =>
      orUndefined(
        async () =>
          plain(
            await objects.read({
              apiVersion,
              kind,
              metadata: { namespace, name },
            }),
          ),
        { apiVersion, kind },
      ),
    list: (kind, where = {}) => listAll(line, kind, where),
    pages: (kind, where = {}) => pagesOf(line, kind, where),
    watch: async (kind, { signal, resourceVersion, ...where }) =>
      watchEvents(kind, await line.open(watchPath(kind, where, resourceVersion), signal)),
    apply: async (object, { dryRun = false, force = false } = {}) =>
      (await applied(object, dryRun, force)).warnings,
    rehearse: (object, { force = false } = {}) => applied(object, true, force),
    remove: async ({ apiVersion, kind, namespace, name }, { dryRun = false } = {}) => {
      const all = dryRun ? 'All' : undefined
      const work = () =>
        objects.delete({ apiVersion, kind, metadata: { namespace, name } }, undefined, all)
      await orUndefined(work, { apiVersion, kind })
    },
    version: () =>
      translated(async () => (await new VersionApi(configuration).getCode()).gitVersion),
    can: (access) =>
      translated(async () => {
        const review = await new AuthorizationV1Api(configuration).createSelfSubjectAccessReview({
          body: {
            apiVersion: 'authorization.k8s.io/v1',
            kind: 'SelfSubjectAccessReview',
            spec: { resourceAttributes: attributesOf(access) },
          },
        })
        return review.status?.allowed === true
      }),
    mayAccount: ({ namespace, name }, access) =>
      translated(async () => {
        const api = new AuthorizationV1Api(configuration)
        const review = await api.createNamespacedLocalSubjectAccessReview({
          namespace,
          body: {
            apiVersion: 'authorization.k8s.io/v1',
            kind: 'LocalSubjectAccessReview',
            metadata: { namespace },
            spec: {
              user: `system:serviceaccount:${namespace}:${name}`,
              groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
              resourceAttributes: attributesOf(access),
            },
          },
        })
        return review.status?.allowed === true
      }),
    served: async (apiVersion) => {
      const [group = '', version = ''] = apiVersion.split('/')
      try {
        const list = await translated(() =>
          new CustomObjectsApi(configuration).getAPIResources({ group, version }),
        )
        return list.resources.flatMap(({ name, kind }) => (name.includes('/') ? [] : [kind]))
      } catch (error) {
        if (error instanceof KubeError && error.fault === 'unsupported') return undefined
        throw error
      }
    },
    forward: (pod) => translated(() => forward(config, pod)),
    close: line.close,
  })
}

function attributesOf({ verb, group, resource: path, namespace, name }: Access) {
  const [resource, subresource] = path.split('/')
  return {
    ...{ verb, group },
    ...(resource === undefined ? {} : { resource }),
    ...(subresource === undefined ? {} : { subresource }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
  }
}

async function forward(
  config: KubeConfig,
  { namespace, name, port }: { namespace: string; name: string; port: number },
): Promise<Duplex> {
  const server = (config.getCurrentCluster()?.server ?? '').replace(/\/$/, '')
  const url = new URL(
    `${server}/api/v1/namespaces/${namespace}/pods/${name}/portforward?ports=${port}`,
  )
  // The limit is for the connection: how long it may last is the caller's to say.
  const late = new AbortController()
  const timer = setTimeout(
    () => late.abort(new DOMException('late', 'TimeoutError')),
    timeoutMilliseconds.answer,
  )
  try {
    const answer = await forwardPort(url, {
      options: await optionsOf(config),
      signal: late.signal,
    })
    if (answer instanceof Duplex) return answer
    throw refusal(answer)
  } catch (cause) {
    throw cause instanceof KubeError ? cause : unreachable(cause)
  } finally {
    clearTimeout(timer)
  }
}

async function listAll(line: Line, kind: Kind, where: Where): Promise<readonly KubeObject[]> {
  const found: KubeObject[] = []
  let pages = 0
  for await (const { objects } of pagesOf(line, kind, where)) {
    found.push(...objects)
    if (++pages > pageLimit) {
      const message = `The cluster has more than ${found.length} of kind ${kind.kind}`
      throw new KubeError('unavailable', message)
    }
  }
  return found
}

/** As much of a list as is read here; its items do not say what they are. */
const List = Type.Object({
  metadata: Type.Object({
    resourceVersion: Type.String(),
    continue: Type.Optional(Type.String()),
  }),
  items: Type.Array(Type.Record(Type.String(), Type.Unknown())),
})

async function* pagesOf(line: Line, kind: Kind, where: Where): AsyncIterable<KubePage> {
  const { apiVersion } = kind
  let next: string | undefined
  do {
    const query = { limit: String(pageSize), ...(next ? { continue: next } : {}) }
    const answer = await named(kind, line.ask(pathOf(kind, where, query)))
    if (!Value.Check(List, answer)) throw noObject()
    const { metadata, items } = answer
    const objects = items.map((item) => asObject({ ...item, apiVersion, kind: kind.kind }))
    yield { objects, resourceVersion: metadata.resourceVersion }
    next = metadata.continue
  } while (next)
}

/** A path that is not served has an answer that names no kind. */
async function named<T>(kind: Kind, asked: Promise<T>): Promise<T> {
  try {
    return await asked
  } catch (cause) {
    if (!(cause instanceof KubeError) || cause.fault !== 'unsupported') throw cause
    throw unserved(kind, cause)
  }
}

function watchPath(kind: Kind, where: Where, resourceVersion: string): string {
  return pathOf(kind, where, {
    watch: 'true',
    allowWatchBookmarks: 'true',
    timeoutSeconds: String(watchSeconds),
    resourceVersion,
  })
}

function pathOf(
  kind: Kind,
  { namespace, labelSelector }: Where,
  asked: Readonly<Record<string, string>>,
): string {
  const query = new URLSearchParams({ ...asked, ...(labelSelector ? { labelSelector } : {}) })
  const inside = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  const root = groupOf(kind) === '' ? 'api' : 'apis'
  return `/${root}/${kind.apiVersion}${inside}/${resourceOf(kind)}?${query}`
}

/** As JSON: the library makes dates of times. */
function plain(value: unknown): KubeObject {
  return asObject(JSON.parse(JSON.stringify(value)))
}

function asObject(object: unknown): KubeObject {
  if (Value.Check(KubeObject, object)) return object
  throw noObject()
}

function noObject(): KubeError {
  return new KubeError('unavailable', 'The cluster answers with something that is no object')
}

type Line = ReturnType<typeof openLine>

/** The library's own sender opens a connection per request, and reads answers of any size. Answers that
 *  stay open have connections of their own, so that they never hold up a question. */
function openLine(config: KubeConfig) {
  let opened: ReturnType<typeof open> | undefined
  const server = config.getCurrentCluster()?.server.replace(/\/+$/, '') ?? ''
  async function open() {
    const { headers, ...options } = await optionsOf(config)
    const { ca, cert, key, servername, lookup } = options
    const shared = { ca, cert, key, servername, lookup, keepAlive: true }
    const agent = new Agent({ ...shared, maxSockets: 8 })
    const streams = new Agent({ ...shared, maxFreeSockets: 0 })
    return { agent, streams, headers, seen: new WeakSet<Socket>() }
  }
  async function begin(path: string, signal?: AbortSignal): Promise<IncomingMessage> {
    opened ??= open()
    const { agent, streams, ...rest } = await opened
    const get = { url: `${server}${path}`, method: 'GET', headers: { accept: 'application/json' } }
    return send(
      { ...get, ...(signal ? { signal } : {}) },
      { ...rest, agent: signal ? streams : agent },
    )
  }
  return {
    /** The answer to a GET, as JSON. */
    async ask(path: string): Promise<unknown> {
      const message = await begin(path)
      const body = (await read(message)).toString('utf8')
      if (message.statusCode !== 200) throw refusal({ code: message.statusCode ?? 0, body })
      return jsonOf(body)
    },
    /** The answer to a GET that stays open until `signal`. */
    async open(path: string, signal: AbortSignal): Promise<IncomingMessage> {
      const message = await begin(path, signal)
      if (message.statusCode === 200) return message
      const body = (await read(message)).toString('utf8')
      throw refusal({ code: message.statusCode ?? 0, body })
    },
    async exchange(request: RequestContext): Promise<ResponseContext> {
      opened ??= open()
      const body = request.getBody()
      const message = await send(
        {
          url: request.getUrl(),
          method: request.getHttpMethod(),
          headers: request.getHeaders(),
          body: typeof body === 'string' ? body : undefined,
        },
        await opened,
      )
      const octets = await read(message)
      const text = async () => octets.toString('utf8')
      return new ResponseContext(message.statusCode ?? 0, flat(message), {
        text,
        binary: async () => octets,
        stream: () => null,
      })
    },
    close: () => {
      opened?.then(
        ({ agent, streams }) => {
          agent.destroy()
          streams.destroy()
        },
        // Who asked was told why nothing was opened.
        () => undefined,
      )
    },
  }
}

/** The credentials, and where these are never sent: a name may be made to lead there at any time. */
async function optionsOf(config: KubeConfig): Promise<RequestOptions> {
  const host = URL.parse(config.getCurrentCluster()?.server ?? '')?.hostname ?? ''
  const address = host.replace(/^\[|\]$/g, '')
  if (isForbiddenAddress(address)) throw new KubeError('unreachable', forbiddenMessage(address))
  const options: RequestOptions = { lookup: safeLookup }
  await config.applyToHTTPSOptions(options)
  return options
}

type Wire = Pick<RequestOptions, 'headers'> & {
  readonly agent: Agent
  /** Sockets that were given to a request before: they are connected. */
  readonly seen: WeakSet<Socket>
}

/** A request; with a signal its answer may take until that, once it has begun. */
type Sent = {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  readonly signal?: AbortSignal
}

function send({ url, method, body, signal, ...given }: Sent, { agent, headers, seen }: Wire) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    const sent = httpsRequest(url, {
      method,
      agent,
      headers: { ...given.headers, ...headers },
      signal: signal ?? AbortSignal.timeout(timeoutMilliseconds.answer),
    })
    const late =
      signal && setTimeout(() => sent.destroy(new AnswerTimeout()), timeoutMilliseconds.answer)
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
      reject(unreachable(cause))
    })
    sent.end(body)
  })
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

async function orUndefined<T>(work: () => Promise<T>, kind?: Kind): Promise<T | undefined> {
  try {
    return await translated(work, kind)
  } catch (error) {
    if (error instanceof KubeError && error.fault === 'not-found') return undefined
    throw error
  }
}

/** What the library throws, as faults. `kind` is what was asked for. */
async function translated<T>(work: () => Promise<T>, kind?: Kind): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof KubeError) throw cause
    if (cause instanceof ApiException) throw refusal(cause, kind)
    // The library's own complaints: a kind that the group lacks, an answer that is not JSON.
    const lacks = cause instanceof Error && cause.message.startsWith('Unrecognized API version')
    throw lacks && kind
      ? unserved(kind, cause)
      : new KubeError('unsupported', `The cluster does not serve this: ${String(cause)}`, { cause })
  }
}

function unserved({ apiVersion, kind }: Kind, cause: unknown): KubeError {
  return new KubeError('unsupported', `The cluster does not serve ${apiVersion} ${kind}`, { cause })
}

const Status = Type.Object({
  message: Type.Optional(Type.String()),
  details: Type.Optional(
    Type.Object({
      name: Type.Optional(Type.String()),
      causes: Type.Optional(
        Type.Array(
          Type.Object({
            reason: Type.Optional(Type.String()),
            message: Type.Optional(Type.String()),
            field: Type.Optional(Type.String()),
          }),
        ),
      ),
    }),
  ),
})

const faults: Readonly<Record<number, KubeFault>> = {
  400: 'invalid',
  401: 'unauthorized',
  403: 'forbidden',
  405: 'unsupported',
  409: 'conflict',
  410: 'expired',
  415: 'unsupported',
  422: 'invalid',
}

function refusal(cause: { readonly code: number; readonly body: unknown }, kind?: Kind): KubeError {
  const status = statusOf(cause.body)
  const message = (status.message ?? `The Kubernetes API answers ${cause.code}`).slice(0, 2000)
  // Only a Status that names an object is about one; a kind that is not served has a bare 404.
  if (cause.code === 404) {
    const named = status.details?.name !== undefined
    if (named) return new KubeError('not-found', message, { cause })
    return kind ? unserved(kind, cause) : new KubeError('unsupported', message, { cause })
  }
  return new KubeError(faults[cause.code] ?? 'unavailable', message, {
    cause,
    fields: heldByOthers(status),
  })
}

const mostFields = 100

function heldByOthers({ details }: Type.Static<typeof Status>): readonly FieldConflict[] {
  const causes = (details?.causes ?? []).filter(({ reason }) => reason === 'FieldManagerConflict')
  return causes.slice(0, mostFields).map(({ message = '', field = '' }) => ({
    // `conflict with "kubectl-edit" using v1`
    manager: /"((?:[^"\\]|\\.)*)"/.exec(message)?.[1] ?? message.slice(0, 128),
    field: field.slice(0, 512),
  }))
}

function statusOf(body: unknown): Type.Static<typeof Status> {
  const value = typeof body === 'string' ? jsonOf(body) : body
  return Value.Check(Status, value) ? value : {}
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

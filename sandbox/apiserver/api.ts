import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Write } from '../admission/admit.ts'
import { jsonPatch, mergePatch, strategicPatch } from '../apply/patches.ts'
import { at, type Fields, fields, isFields, type Json, text } from '../json.ts'
import { customResourceDefinitions, pods, servedKinds } from '../kinds.ts'
import { forwardPort, isForwardable } from '../pod/portforward.ts'
import type { Store } from '../store.ts'
import { documentAt, version } from './discovery.ts'
import { admits, type Credential, type Identity } from './identity.ts'
import { applyObject, createObject, removeObject, replaceObject, type Written } from './objects.ts'
import { type Call, parseBody, readBody, type Target, targetOf } from './requests.ts'
import type { Selector } from './selectors.ts'
import { badRequest, isRefusal, notAllowed, notFound, refusal, unknownPath } from './status.ts'
import { chosen, collection, listed, selectorOf, shower } from './views.ts'
import { startWatch } from './watches.ts'

type Answer = { readonly code: number; readonly body: Json; readonly warnings?: readonly string[] }

/** The API server over TLS, not yet listening. */
export function createApi(options: {
  readonly store: Store
  readonly identity: Identity
  readonly credential: Credential
  readonly log: (line: string) => void
  /** Where on this machine the port of a pod is; undefined: nothing listens there. */
  readonly portIn: PortIn
}): Server {
  const { store, identity, credential, log, portIn } = options
  const server = createServer({ ...credential }, (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://sandbox')
    const path = pathname.replace(/(?<=.)\/$/, '')
    answer({ store, request, response, path, query: searchParams }, identity).then(
      (given) => given && send(response, given),
      (error: unknown) => {
        if (!isRefusal(error)) log(`sandbox: ${request.method} ${request.url}: ${describe(error)}`)
        const refused = isRefusal(error) ? error : refusal(500, 'InternalError', describe(error))
        if (response.headersSent) response.destroy()
        else send(response, { code: refused.status.code, body: refused.status })
      },
    )
  })
  server.on('upgrade', (request, socket) => {
    try {
      if (!admits(identity, request.headers.authorization)) {
        throw refusal(401, 'Unauthorized', 'Unauthorized')
      }
      forward(store, portIn, { request, socket })
    } catch (error) {
      if (!isRefusal(error)) throw error
      const { code, reason } = error.status
      const body = JSON.stringify(error.status)
      const type = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`
      socket.end(`HTTP/1.1 ${code} ${reason}\r\n${type}\r\nconnection: close\r\n\r\n${body}`, () =>
        socket.destroy(),
      )
    }
  })
  return server
}

type PortIn = (namespace: string, pod: string, port: number) => number | undefined

const forwardPath = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/portforward$/

/** pods/portforward, which is the one connection that is more than an answer. */
function forward(
  store: Store,
  portIn: PortIn,
  { request, socket }: { readonly request: IncomingMessage; readonly socket: Duplex },
): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'https://sandbox')
  const [, namespace = '', pod = ''] = forwardPath.exec(pathname) ?? []
  if (!pod) throw unknownPath()
  if (!store.get(pods, namespace, pod)) throw notFound(pods, pod)
  const asked = Number(searchParams.get('ports'))
  if (!isForwardable(request) || !(asked > 0 && asked < 65536)) {
    throw badRequest('the sandbox forwards one port by v4.channel.k8s.io')
  }
  forwardPort(request, socket, { asked, port: portIn(namespace, pod, asked) })
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function send(response: ServerResponse, { code, body, warnings = [] }: Answer): void {
  const quoted = warnings.map((each) => `299 - ${JSON.stringify(each.replaceAll('\n', ' '))}`)
  if (quoted.length > 0) response.setHeader('warning', quoted)
  response.writeHead(code, {
    'content-type': 'application/json',
    'cache-control': 'no-cache, private',
  })
  response.end(`${JSON.stringify(body)}\n`)
}

const reviews =
  /^\/apis\/authorization\.k8s\.io\/v1\/((self)?subjectaccessreviews|namespaces\/[^/]+\/localsubjectaccessreviews)$/

async function answer(call: Call, identity: Identity): Promise<Answer | undefined> {
  const { store, request, path } = call
  if (['/livez', '/readyz', '/healthz'].includes(path)) return { code: 200, body: 'ok' }
  if (path === '/version') return { code: 200, body: version }
  if (!admits(identity, request.headers.authorization)) {
    throw refusal(401, 'Unauthorized', 'Unauthorized')
  }
  const served = () => servedKinds((name) => store.get(customResourceDefinitions, '', name))
  const document = documentAt(path, served)
  if (document !== undefined) return documented(call, document)
  const body = request.method === 'GET' ? Buffer.alloc(0) : await readBody(request)
  if (reviews.test(path)) {
    return allow(call, parseBody(body, request.headers['content-type']))
  }
  const target = targetOf(path, served)
  if (!target) throw unknownPath()
  if (target.name) return one(call, target, body)
  return many(call, target, body)
}

function documented({ request, path }: Call, document: Json): Answer {
  if (request.method !== 'GET') throw notAllowed()
  // A client that wants only protobuf would misread JSON.
  if (path.startsWith('/openapi') && !/json|\*\/\*|^$/.test(request.headers.accept ?? '')) {
    throw refusal(
      406,
      'NotAcceptable',
      'only the following media types are accepted: application/json',
    )
  }
  return { code: 200, body: document }
}

/** Whoever has the token may do everything. */
function allow({ request }: Call, body: Json): Answer {
  if (request.method !== 'POST') throw notAllowed()
  if (!isFields(body)) throw badRequest('the body of the request is not an object')
  return {
    code: 201,
    body: { ...body, status: { allowed: true, reason: 'the sandbox allows everything' } },
  }
}

async function one(call: Call, target: Target, body: Buffer): Promise<Answer | undefined> {
  const { store, request, query } = call
  const { kind, namespace, name } = target
  switch (request.method) {
    case 'GET': {
      if (query.get('watch') === 'true') return watch(call, target, named(target))
      const object = store.get(kind, namespace, name)
      if (!object) throw notFound(kind, name)
      return { code: 200, body: shower(call, target)(object) }
    }
    case 'PUT': {
      const wanted = parseBody(body, request.headers['content-type'])
      return written(call, target, await replaceObject(store, writeOf(call, target), () => wanted))
    }
    case 'PATCH':
      return patch(call, target, body)
    case 'DELETE': {
      const options = parseBody(body, request.headers['content-type'])
      const removed = await removeObject(store, writeOf(call, target, options), options)
      const leaving = at(store.get(kind, namespace, name), 'metadata', 'deletionTimestamp')
      return { code: 200, body: leaving ? shower(call, target)(removed) : success(target, removed) }
    }
    default:
      throw notAllowed()
  }
}

async function patch(call: Call, target: Target, body: Buffer): Promise<Answer> {
  const { store, request } = call
  const type = request.headers['content-type']?.split(';')[0]?.trim() ?? ''
  const write = writeOf(call, target)
  const given = (): Json => parseBody(body, type)
  switch (type) {
    case 'application/apply-patch+yaml':
      return written(call, target, await applyObject(store, write, given()))
    case 'application/merge-patch+json':
      return written(
        call,
        target,
        await replaceObject(store, write, (live) => mergePatch(live, given())),
      )
    case 'application/strategic-merge-patch+json':
      if (target.kind.group) break
      return written(
        call,
        target,
        await replaceObject(store, write, (live) => strategicPatch(live, given())),
      )
    case 'application/json-patch+json':
      return written(
        call,
        target,
        await replaceObject(store, write, (live) => jsonPatch(live, given())),
      )
  }
  const core = target.kind.group ? '' : 'application/strategic-merge-patch+json, '
  const accepted = `application/json-patch+json, application/merge-patch+json, ${core}application/apply-patch+yaml`
  const message = `the body of the request was in an unknown format - accepted media types include: ${accepted}`
  throw refusal(415, 'UnsupportedMediaType', message)
}

async function many(call: Call, target: Target, body: Buffer): Promise<Answer | undefined> {
  const { store, request, query } = call
  switch (request.method) {
    case 'GET':
      if (query.get('watch') === 'true') return watch(call, target, () => true)
      return { code: 200, body: listed(call, target) }
    case 'POST': {
      if (target.kind.namespaced && !target.namespace) throw notAllowed()
      const object = parseBody(body, request.headers['content-type'])
      return written(call, target, await createObject(store, writeOf(call, target), object))
    }
    case 'DELETE': {
      const found = chosen(call, target)
      const options = parseBody(body, request.headers['content-type'])
      for (const object of found) {
        const name = text(object, 'metadata', 'name')
        await removeObject(store, writeOf(call, { ...target, name }, options), {})
      }
      return { code: 200, body: collection(call, target, found) }
    }
    default:
      throw notAllowed()
  }
}

function watch(call: Call, target: Target, also: Selector): undefined {
  const selected = selectorOf(call.query)
  const options = {
    target,
    query: call.query,
    selected: (object: Fields) => also(object) && selected(object),
    show: shower(call, target),
  }
  startWatch(call.store, call.response, options)
  return undefined
}

function named({ name }: Target): Selector {
  return (object) => text(object, 'metadata', 'name') === name
}

function written(call: Call, target: Target, { object, created, warnings }: Written): Answer {
  return { code: created ? 201 : 200, body: shower(call, target)(object), warnings }
}

function success({ kind, name }: Target, removed: Fields): Json {
  const details = {
    name,
    ...(kind.group ? { group: kind.group } : {}),
    kind: kind.plural,
    uid: text(fields(removed, 'metadata'), 'uid'),
  }
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details }
}

function writeOf({ query, request }: Call, target: Target, options: Json = {}): Write {
  const asked = query.getAll('dryRun')
  if (asked.some((each) => each !== 'All'))
    throw badRequest('dryRun: Unsupported value: supported values: "All"')
  const inBody = at(options, 'dryRun')
  const agent = request.headers['user-agent']?.split('/')[0] ?? ''
  const isApply = request.headers['content-type']?.startsWith('application/apply-patch')
  return {
    ...target,
    manager: query.get('fieldManager') ?? (isApply ? '' : agent),
    dryRun: asked.length > 0 || JSON.stringify(inBody) === '["All"]',
    force: query.get('force') === 'true',
    fieldValidation: query.get('fieldValidation') ?? 'Warn',
  }
}

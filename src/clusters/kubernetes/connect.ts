import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'
import { groupOf, type Kind, type KubeRef, resourceOf } from './kinds.ts'
import {
  fieldManager,
  type Kube,
  KubeError,
  KubeObject,
  type KubePage,
  type Where,
} from './kube.ts'
import type { libraryOf } from './library.ts'
import { type KubeAnswer, type Line, openLine } from './line.ts'
import { jsonOf } from './refusal.ts'
import { inServedVersion } from './versions.ts'
import { watchEvents, watchSeconds } from './watch.ts'

/** A page of Secrets is a megabyte, and several lists are read at one moment. */
const pageSize = 100
const pageLimit = 100

/** A connection to the cluster of a kubeconfig that src/clusters/credentials/kubeconfig.ts has let through. Nothing
 *  is sent before the first question. */
export function connect(kubeconfig: string): Kube {
  const line = openLine(kubeconfig)
  let loaded: Promise<ReturnType<typeof libraryOf>> | undefined
  const library = () => {
    loaded ??= import('./library.ts').then((module) => module.libraryOf(line))
    return loaded
  }
  return inServedVersion({
    get: (ref) =>
      orUndefined(async () => asObject(answered(await asked(line, ref, { method: 'GET' })))),
    list: (kind, where = {}) => listAll(line, kind, where),
    pages: (kind, where = {}) => pagesOf(line, kind, where),
    watch: async (kind, { signal, resourceVersion, ...where }) => {
      const path = watchPath(kind, where, resourceVersion)
      return watchEvents(kind, await line.open(path, kind, signal))
    },
    apply: async (object, { dryRun = false, force = false, make = false } = {}) => {
      const options = { dryRun, force, accept: headOnly }
      return (await (make ? made : applied)(line, object, options)).warnings
    },
    rehearse: async (object, { force = false } = {}) => {
      const answer = await applied(line, object, { dryRun: true, force })
      return { object: asObject(answered(answer)), warnings: answer.warnings }
    },
    remove: async (ref, { dryRun = false } = {}) => {
      const query = dryRun ? { dryRun: 'All' } : {}
      await orUndefined(() => asked(line, ref, { method: 'DELETE', query }))
    },
    version: async () => (await library()).version(),
    can: async (access) => (await library()).can(access),
    mayAccount: async (account, access) => (await library()).mayAccount(account, access),
    served: async (apiVersion) => (await library()).served(apiVersion),
    forward: ({ namespace, name, port }) =>
      line.forward(`/api/v1/namespaces/${namespace}/pods/${name}/portforward?ports=${port}`),
    close: line.close,
  })
}

type Asked = {
  readonly method: 'GET' | 'PATCH' | 'DELETE'
  readonly query?: Readonly<Record<string, string>>
  readonly body?: object
  readonly contentType?: string
  readonly accept?: string
}

/** One question about one object. */
function asked(line: Line, ref: KubeRef, { query = {}, ...rest }: Asked): Promise<KubeAnswer> {
  const { namespace, name } = ref
  const path = pathOf(ref, { ...(namespace === '' ? {} : { namespace }), name }, query)
  return line.ask({ ...rest, path, kind: ref })
}

/** What was applied comes back without what is in it: nobody reads that. */
const headOnly =
  'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;q=0.9'

type ApplyOptions = { readonly dryRun: boolean; readonly force: boolean; readonly accept?: string }

/** No object has this resourceVersion: etcd's first revision is that of an empty store. Server-side apply makes an object
 *  that is not there whatever its resourceVersion, and refuses to change one that has another. */
const ofNone = '1'

/** Applies an object that is not there yet. */
async function made(line: Line, object: KubeObject, options: ApplyOptions): Promise<KubeAnswer> {
  const metadata = { ...object.metadata, resourceVersion: ofNone }
  try {
    return await applied(line, { ...object, metadata }, options)
  } catch (error) {
    if (!(error instanceof KubeError) || error.fault !== 'conflict') throw error
    throw new KubeError('exists', error.message, { cause: error })
  }
}

function applied(
  line: Line,
  object: KubeObject,
  { dryRun, force, accept }: ApplyOptions,
): Promise<KubeAnswer> {
  const { apiVersion, kind, metadata } = object
  return asked(
    line,
    { apiVersion, kind, namespace: metadata.namespace ?? '', name: metadata.name },
    {
      method: 'PATCH',
      query: {
        fieldManager,
        force: String(force),
        // A field that is not known there is refused by server-side apply whatever this says. What else it would look
        // for, members that are given twice, is not in our JSON, and costs a tenth of an apply.
        fieldValidation: 'Ignore',
        ...(dryRun ? { dryRun: 'All' } : {}),
      },
      body: object,
      contentType: 'application/apply-patch+yaml',
      ...(accept === undefined ? {} : { accept }),
    },
  )
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
    const path = pathOf(kind, where, query)
    const answer = answered(await line.ask({ method: 'GET', path, kind }))
    if (!conforms(List, answer)) throw noObject()
    const { metadata, items } = answer
    const objects = items.map((item) => asObject({ ...item, apiVersion, kind: kind.kind }))
    yield { objects, resourceVersion: metadata.resourceVersion }
    next = metadata.continue
  } while (next)
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
  { namespace, name, labelSelector }: Where & { readonly name?: string },
  asked: Readonly<Record<string, string>>,
): string {
  const query = new URLSearchParams({ ...asked, ...(labelSelector ? { labelSelector } : {}) })
  const inside = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  const one = name === undefined ? '' : `/${encodeURIComponent(name)}`
  const root = groupOf(kind) === '' ? 'api' : 'apis'
  return `/${root}/${kind.apiVersion}${inside}/${resourceOf(kind)}${one}?${query}`
}

function answered({ octets }: KubeAnswer): unknown {
  return jsonOf(octets.toString('utf8'))
}

function asObject(object: unknown): KubeObject {
  if (conforms(KubeObject, object)) return object
  throw noObject()
}

function noObject(): KubeError {
  return new KubeError('unavailable', 'The cluster answers with something that is no object')
}

/** What is gone is no error. */
async function orUndefined<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof KubeError && error.fault === 'not-found') return undefined
    throw error
  }
}

import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { admit, strict, timestamp, type Write } from '../admission/admit.ts'
import { check } from '../admission/schema.ts'
import { schemas } from '../admission/schemas.ts'
import { applied, sameContent, updated, type Writer } from '../apply/ownership.ts'
import { amend, at, type Fields, fields, isFields, type Json, list, text } from '../json.ts'
import { apiVersion, customResourceDefinitions, kinds, namespaces, resourceName } from '../kinds.ts'
import type { Store } from '../store.ts'
import {
  alreadyExists,
  badRequest,
  invalid,
  notFound,
  preconditionFailed,
  refusal,
  required,
  stale,
} from './status.ts'

/** The object as it is now, whether it is new, and what the client is to be warned of. */
export type Written = {
  readonly object: Fields
  readonly created: boolean
  readonly warnings: readonly string[]
}

/** POST: stores a new object. Throws 400, 404 (its namespace), 409 and 422 as the API server does. */
export async function createObject(store: Store, write: Write, body: Json): Promise<Written> {
  const named = withName(write, expectObject(write, body))
  if (text(named, 'metadata', 'resourceVersion')) {
    throw badRequest('resourceVersion should not be set on objects to be created')
  }
  const { object, warnings } = admit(store, write, named, undefined)
  if (store.get(write.kind, write.namespace, text(object, 'metadata', 'name'))) {
    throw alreadyExists(write.kind, text(object, 'metadata', 'name'))
  }
  const owned = updated(write.kind, undefined, object, writerOf(write, 'Update'))
  return save(store, write, owned, undefined, warnings)
}

/** PUT and the classic patches: replaces the object by what `change` makes of it. A resourceVersion, if
 *  given, must be the stored one (409). Unchanged content is not written again. */
export async function replaceObject(
  store: Store,
  write: Write,
  change: (live: Fields) => Json,
): Promise<Written> {
  const live = store.get(write.kind, write.namespace, write.name)
  if (!live) throw notFound(write.kind, write.name)
  const wanted = expectObject(write, change(inRequest(write, live)))
  expectSame(write, live, wanted)
  const { object, warnings } = admit(store, write, wanted, live)
  if (sameContent(object, live)) return { object: live, created: false, warnings }
  const owned = updated(write.kind, live, object, writerOf(write, 'Update'))
  return save(store, write, owned, live, warnings)
}

/** Server-side apply. Throws 409 with a cause per field that another manager holds. */
export async function applyObject(store: Store, write: Write, body: Json): Promise<Written> {
  const wanted = expectObject(write, body)
  if (at(wanted, 'metadata', 'managedFields') !== undefined) {
    throw badRequest('metadata.managedFields must be nil')
  }
  if (!write.manager) {
    const about = { ...write.kind, group: 'meta.k8s.io', kind: 'PatchOptions' }
    throw invalid(about, '', [required('fieldManager', 'is required for apply patch')])
  }
  const live = store.get(write.kind, write.namespace, write.name)
  // What is not there is made whatever version of it is asked for, as a real API server does.
  if (live) expectSame(write, live, wanted)
  const { kind, version } = write
  const { unknown, value } = check(schemas[resourceName(kind)] ?? 'any', wanted)
  strict(write, unknown)
  if (unknown.length > 0) {
    const which = `${write.namespace}/${write.name}; ${apiVersion(kind.group, version)}, Kind=${kind.kind}`
    const why = unknown.map((field) => `.${field}: field not declared in schema`).join('\n')
    throw refusal(500, 'InternalError', `failed to create typed patch object (${which}): ${why}`)
  }
  const intent = amend(withName(write, isFields(value) ? value : wanted), { status: undefined })
  const metadata = amend(fields(intent, 'metadata'), { resourceVersion: undefined, uid: undefined })
  const merged = applied(
    kind,
    live ? inRequest(write, live) : undefined,
    amend(intent, { metadata }),
    writerOf(write, 'Apply'),
    write.force,
  )
  const { object, warnings } = admit(store, write, merged, live)
  const managedFields = list(merged, 'metadata', 'managedFields')
  const owned = amend(object, { metadata: amend(fields(object, 'metadata'), { managedFields }) })
  const sameOwners = isDeepStrictEqual(managedFields, list(live, 'metadata', 'managedFields'))
  if (live && sameOwners && sameContent(object, live))
    return { object: live, created: false, warnings }
  return save(store, write, owned, live, warnings)
}

/** DELETE: removes the object, or, while it has finalizers, marks it as to be removed. A namespace takes
 *  all that is in it along, a CustomResourceDefinition all objects of its kind. Throws 404, and 409 for a precondition that does not hold. */
export async function removeObject(store: Store, write: Write, options: Json): Promise<Fields> {
  const { kind } = write
  const live = store.get(kind, write.namespace, write.name)
  if (!live) throw notFound(kind, write.name)
  for (const fact of ['uid', 'resourceVersion']) {
    const wanted = text(options, 'preconditions', fact)
    const actual = text(live, 'metadata', fact)
    if (wanted && wanted !== actual) {
      const why = `${fact === 'uid' ? 'UID' : 'ResourceVersion'} in precondition: ${wanted}, ${fact === 'uid' ? 'UID' : 'ResourceVersion'} in object meta: ${actual}`
      throw preconditionFailed(kind, write.name, why)
    }
  }
  if (write.dryRun) return live
  if (list(live, 'metadata', 'finalizers').length > 0) {
    if (at(live, 'metadata', 'deletionTimestamp') !== undefined) return live
    const marks = { deletionTimestamp: timestamp(), deletionGracePeriodSeconds: 0 }
    return store.put(kind, amend(live, { metadata: amend(fields(live, 'metadata'), marks) }))
  }
  if (kind === namespaces) {
    const inside = kinds.filter(({ namespaced }) => namespaced)
    const removed = inside.flatMap((each) =>
      store.list(each, write.name).map((object) => store.remove(each, object)),
    )
    await Promise.all(removed)
  }
  if (kind === customResourceDefinitions) {
    const of = kinds.filter((each) => resourceName(each) === write.name)
    await Promise.all(
      of.flatMap((each) => store.list(each).map((object) => store.remove(each, object))),
    )
  }
  return store.remove(kind, live)
}

function writerOf(write: Write, operation: Writer['operation']): Writer {
  const version = apiVersion(write.kind.group, write.version)
  return { manager: write.manager || 'unknown', operation, apiVersion: version, time: timestamp() }
}

function inRequest(write: Write, live: Fields): Fields {
  return amend(live, { apiVersion: apiVersion(write.kind.group, write.version) })
}

function expectObject(write: Write, body: Json): Fields {
  const { kind, version, namespace, name } = write
  if (!isFields(body)) throw badRequest('the body of the request is not an object')
  const expected = { apiVersion: apiVersion(kind.group, version), kind: kind.kind }
  const given = { apiVersion: text(body, 'apiVersion'), kind: text(body, 'kind') }
  if (given.kind && given.kind !== expected.kind) {
    throw badRequest(`${kind.kind} in version "${version}" cannot be handled as a ${given.kind}`)
  }
  if (given.apiVersion && given.apiVersion !== expected.apiVersion) {
    throw badRequest(
      `the API version in the data (${given.apiVersion}) does not match the expected API version (${expected.apiVersion})`,
    )
  }
  const inside = text(body, 'metadata', 'namespace')
  if (inside && inside !== namespace) {
    throw badRequest(
      'the namespace of the provided object does not match the namespace sent on the request',
    )
  }
  const called = text(body, 'metadata', 'name')
  if (name && called && called !== name) {
    throw badRequest(
      `the name of the object (${called}) does not match the name on the URL (${name})`,
    )
  }
  return amend(body, expected)
}

function withName(write: Write, object: Fields): Fields {
  const generate = text(object, 'metadata', 'generateName')
  const given = write.name || text(object, 'metadata', 'name')
  const fresh = generate && !given ? generate + randomBytes(3).toString('hex').slice(0, 5) : given
  const metadata = amend(fields(object, 'metadata'), {
    name: fresh || undefined,
    namespace: write.kind.namespaced ? write.namespace : undefined,
  })
  return amend(object, { metadata })
}

function expectSame(write: Write, live: Fields, wanted: Fields): void {
  const uid = text(wanted, 'metadata', 'uid')
  const actual = text(live, 'metadata', 'uid')
  if (uid && uid !== actual) {
    throw preconditionFailed(
      write.kind,
      write.name,
      `UID in precondition: ${uid}, UID in object meta: ${actual}`,
    )
  }
  const version = text(wanted, 'metadata', 'resourceVersion')
  if (version && version !== text(live, 'metadata', 'resourceVersion'))
    throw stale(write.kind, write.name)
}

async function save(
  store: Store,
  write: Write,
  object: Fields,
  live: Fields | undefined,
  warnings: readonly string[],
): Promise<Written> {
  const created = live === undefined
  if (write.dryRun) return { object, created, warnings }
  const leaving = at(object, 'metadata', 'deletionTimestamp') !== undefined
  if (live && leaving && list(object, 'metadata', 'finalizers').length === 0) {
    return { object: await store.remove(write.kind, live), created, warnings }
  }
  return { object: await store.put(write.kind, object), created, warnings }
}

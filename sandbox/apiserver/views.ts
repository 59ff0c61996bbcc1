import { type Fields, type Json, text } from '../json.ts'
import { apiVersion } from '../kinds.ts'
import type { Call, Target } from './requests.ts'
import { fieldSelector, labelSelector, type Selector } from './selectors.ts'
import { inVersion, tableOf, wantsTable } from './tables.ts'

/** What labelSelector and fieldSelector of a request select together. Throws 400. */
export function selectorOf(query: URLSearchParams): Selector {
  const labels = labelSelector(query.get('labelSelector') ?? '')
  const members = fieldSelector(query.get('fieldSelector') ?? '')
  return (object) => labels(object) && members(object)
}

/** The stored objects a request for many is about. */
export function chosen({ store, query }: Call, { kind, namespace }: Target): readonly Fields[] {
  return store.list(kind, namespace || undefined).filter(selectorOf(query))
}

/** The answer to a list; `continue` is the number of objects already told. */
export function listed(call: Call, target: Target): Json {
  const all = chosen(call, target)
  const limit = Number(call.query.get('limit') ?? 0) || all.length
  const start = Number(call.query.get('continue') ?? 0) || 0
  const page = all.slice(start, start + limit)
  const left = all.length - start - page.length
  const more = left > 0 ? { continue: String(start + limit), remainingItemCount: left } : {}
  return collection(call, target, page, more)
}

/** A List, or a Table of it, of these objects. */
export function collection(
  call: Call,
  target: Target,
  objects: readonly Fields[],
  more: Fields = {},
): Json {
  const { kind, version } = target
  const metadata = { resourceVersion: String(call.store.revision()), ...more }
  const group = apiVersion(kind.group, version)
  if (wantsTable(call.request.headers.accept)) {
    const include = call.query.get('includeObject') ?? 'Metadata'
    return tableOf(kind, objects, { now: new Date(), include, metadata })
  }
  const items = objects.map((object) => inVersion(kind, object, group))
  return { kind: `${kind.kind}List`, apiVersion: group, metadata, items }
}

/** How one object is shown: as itself, or as a Table of one row. */
export function shower(
  { request, query }: Call,
  { kind, version }: Target,
): (object: Fields) => Json {
  const group = apiVersion(kind.group, version)
  if (!wantsTable(request.headers.accept)) return (object) => inVersion(kind, object, group)
  const include = query.get('includeObject') ?? 'Metadata'
  return (object) => {
    const metadata = { resourceVersion: text(object, 'metadata', 'resourceVersion') }
    return tableOf(kind, [inVersion(kind, object, group)], { now: new Date(), include, metadata })
  }
}

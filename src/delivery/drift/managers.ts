import Type from 'typebox'
import { fieldManager, type KubeObject } from '../../clusters/kubernetes/kube.ts'
import { conforms, isRecord } from '../../shared/shape.ts'

/** As much of metadata.managedFields as is read: who has which fields, as what, and since when. */
const Entry = Type.Object({
  manager: Type.Optional(Type.String()),
  operation: Type.Optional(Type.String()),
  time: Type.Optional(Type.String()),
  subresource: Type.Optional(Type.String()),
  fieldsV1: Type.Optional(Type.Unknown()),
})
const Managed = Type.Object({ managedFields: Type.Array(Entry) })
type Entry = Type.Static<typeof Entry>

/** Somebody who has written fields of an object, and when last. */
export type Manager = { readonly manager: string; readonly at: string | null }

/** Whether we have applied this very object: it may have lost our labels since. */
export function isApplied(object: KubeObject): boolean {
  return entriesOf(object).some(isOurs)
}

/** The keys of labels or annotations that nobody has taken from us since we applied the object; undefined
 *  where the object does not tell. */
export function ownKeys(
  object: KubeObject,
  member: 'labels' | 'annotations',
): ReadonlySet<string> | undefined {
  const own = entriesOf(object).filter(isOurs)
  if (own.length === 0) return undefined
  const keys = own.flatMap(({ fieldsV1 }) =>
    Object.keys(fieldsOf(at(fieldsV1, ['metadata', member]))),
  )
  return new Set(keys.filter((key) => key.startsWith('f:')).map((key) => key.slice(2)))
}

/** Who else has written any of these fields; where nobody says so (a field that was only removed belongs to
 *  nobody), who else has written to the object at all. The latest first. */
export function managersOf(
  object: KubeObject,
  paths: readonly (readonly string[])[],
): readonly Manager[] {
  const others = entriesOf(object).filter((each) => !isOurs(each) && !each.subresource)
  const writers = others.filter(({ fieldsV1 }) => paths.some((path) => reaches(fieldsV1, path)))
  const found = (writers.length > 0 ? writers : others).map(({ manager, time }) => ({
    manager: manager ?? 'unknown',
    at: time ?? null,
  }))
  const latest = found.toSorted((a, b) => ((a.at ?? '') < (b.at ?? '') ? 1 : -1))
  return latest.filter(
    ({ manager }, index) => latest.findIndex((each) => each.manager === manager) === index,
  )
}

function entriesOf({ metadata }: KubeObject): readonly Entry[] {
  return conforms(Managed, metadata) ? metadata.managedFields : []
}

function isOurs({ manager, operation }: Entry): boolean {
  return manager === fieldManager && operation === 'Apply'
}

/** Whether the set has the field, something in it, or all that it is in. */
function reaches(set: unknown, path: readonly string[]): boolean {
  let inside = set
  for (const name of path) {
    const next = fieldsOf(inside)[`f:${name}`]
    if (next === undefined) return inside !== set && Object.keys(fieldsOf(inside)).length === 0
    inside = next
  }
  return true
}

function at(set: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inside, name) => fieldsOf(inside)[`f:${name}`], set)
}

function fieldsOf(set: unknown): Readonly<Record<string, unknown>> {
  return isRecord(set) ? set : {}
}

import { isDeepStrictEqual } from 'node:util'
import { type Refusal, refusal } from '../apiserver/status.ts'
import { amend, type Fields, fields, isFields, list, text } from '../json.ts'
import type { Kind } from '../kinds.ts'
import {
  changedFields,
  elements,
  type FieldSet,
  fieldsOf,
  fromFieldsV1,
  merge,
  show,
  toFieldsV1,
  withContainers,
  without,
} from './fieldset.ts'

/** Who writes, how, and when: the head of an entry of metadata.managedFields. */
export type Writer = {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  readonly time: string
}

type Entry = Writer & { readonly set: FieldSet }

/** Fields nobody owns: the server sets them, or they say which object it is. */
const unowned = [
  'apiVersion',
  'kind',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'metadata.generateName',
  'metadata.creationTimestamp',
  'metadata.deletionTimestamp',
  'metadata.resourceVersion',
  'metadata.generation',
  'metadata.managedFields',
  'metadata.selfLink',
  'metadata',
]

function owned(set: FieldSet): FieldSet {
  const kept = new Set<string>()
  for (const path of set) {
    const name = elements(path)
      .slice(0, 2)
      .map((element) => element.slice(2))
      .join('.')
    if (!unowned.includes(name)) kept.add(path)
  }
  return kept
}

function entriesOf(object: Fields | undefined): readonly Entry[] {
  return list(object, 'metadata', 'managedFields')
    .filter(isFields)
    .map((entry) => ({
      manager: text(entry, 'manager'),
      operation: text(entry, 'operation') === 'Apply' ? 'Apply' : 'Update',
      apiVersion: text(entry, 'apiVersion'),
      time: text(entry, 'time'),
      set: fromFieldsV1(fields(entry, 'fieldsV1')),
    }))
}

function withEntries(object: Fields, entries: readonly Entry[]): Fields {
  const rank = ({ operation, time, manager }: Entry) => `${operation} ${time} ${manager}`
  const sorted = entries
    .filter(({ set }) => set.size > 0)
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
  const managedFields = sorted.map(({ manager, operation, apiVersion, time, set }) => ({
    manager,
    operation,
    apiVersion,
    time,
    fieldsType: 'FieldsV1',
    fieldsV1: toFieldsV1(set),
  }))
  return amend(object, { metadata: amend(fields(object, 'metadata'), { managedFields }) })
}

function unmanaged(object: Fields): Fields {
  const metadata = amend(fields(object, 'metadata'), { managedFields: undefined })
  return amend(object, { metadata })
}

/** Is it the same object, whoever owns its fields? */
export function sameContent(a: Fields, b: Fields): boolean {
  return isDeepStrictEqual(unmanaged(a), unmanaged(b))
}

/** `after` with its managedFields once `writer` has written it over `before` in any way but apply: what
 *  changed is the writer's, and nobody else's any more; what is gone is nobody's. */
export function updated(
  kind: Kind,
  before: Fields | undefined,
  after: Fields,
  writer: Writer,
): Fields {
  const old = before ? unmanaged(before) : undefined
  const changed = owned(changedFields(kind.plural, old, unmanaged(after)))
  const entries = entriesOf(before)
  const present = withContainers(fieldsOf(kind.plural, unmanaged(after)))
  const mine = entries.find((entry) => isWriter(entry, writer))
  const others = entries
    .filter((entry) => entry !== mine)
    .map((entry) => ({ ...entry, set: intersection(difference(entry.set, changed), present) }))
  const set = intersection(new Set([...(mine?.set ?? []), ...changed]), present)
  const time = mine && changed.size === 0 ? mine.time : writer.time
  return withEntries(after, [...others, { ...writer, time, set }])
}

/** What server-side apply makes of `live`: the applied fields laid over it, and the fields its manager
 *  applied before but does not now taken away, unless another owns them. The live object itself when
 *  nothing changes. Throws 409 with one cause per field that another manager owns with another value,
 *  unless forced. */
export function applied(
  kind: Kind,
  live: Fields | undefined,
  wanted: Fields,
  writer: Writer,
  force: boolean,
): Fields {
  const { plural } = kind
  const entries = entriesOf(live)
  const mine = entries.find((entry) => isWriter(entry, writer))
  const rivals = entries.filter((entry) => entry !== mine)
  const next = owned(fieldsOf(plural, wanted))
  const before = live ? unmanaged(live) : undefined
  const merged = merge(plural, before, wanted)
  const changed = changedFields(plural, before, merged)
  const lost = rivals.map((rival) => ({ rival, paths: intersection(rival.set, changed) }))
  const conflicts = lost.filter(({ paths }) => paths.size > 0)
  if (conflicts.length > 0 && !force) throw conflict(conflicts)
  const others = lost.map(({ rival, paths }) => ({ ...rival, set: difference(rival.set, paths) }))
  const held = withContainers(
    new Set([next, ...others.map(({ set }) => set)].flatMap((set) => [...set])),
  )
  const doomed = new Set(difference(withContainers(mine?.set ?? new Set()), held))
  doomed.delete('f:metadata')
  const result = without(plural, merged, doomed)
  if (!isFields(result)) return wanted
  const unchanged = mine && isDeepStrictEqual(mine.set, next) && conflicts.length === 0
  if (live && unchanged && isDeepStrictEqual(before, result)) return live
  return withEntries(result, [...others, { ...writer, set: next }])
}

function isWriter(entry: Entry, writer: Writer): boolean {
  const { manager, operation, apiVersion } = entry
  if (manager !== writer.manager || operation !== writer.operation) return false
  return operation === 'Apply' || apiVersion === writer.apiVersion
}

function difference(set: FieldSet, other: FieldSet): FieldSet {
  return new Set([...set].filter((path) => !other.has(path)))
}

function intersection(set: FieldSet, other: FieldSet): FieldSet {
  return new Set([...set].filter((path) => other.has(path)))
}

function conflict(conflicts: readonly { rival: Entry; paths: FieldSet }[]): Refusal {
  const causes = conflicts.flatMap(({ rival, paths }) => {
    const using = rival.operation === 'Update' ? ` using ${rival.apiVersion}` : ''
    const message = `conflict with "${rival.manager}"${using}`
    return [...paths].map((path) => ({
      reason: 'FieldManagerConflict',
      message,
      field: show(path),
    }))
  })
  const counted = causes.length === 1 ? '1 conflict' : `${causes.length} conflicts`
  const only = causes.length === 1 ? causes[0] : undefined
  const told = only
    ? `${only.message}: ${only.field}`
    : conflicts
        .map(({ rival, paths }) => {
          const using = rival.operation === 'Update' ? ` using ${rival.apiVersion}` : ''
          const shown = [...paths].map((path) => `- ${show(path)}`).join('\n')
          return `conflicts with "${rival.manager}"${using}:\n${shown}`
        })
        .join('\n')
  return refusal(409, 'Conflict', `Apply failed with ${counted}: ${told}`, { causes })
}

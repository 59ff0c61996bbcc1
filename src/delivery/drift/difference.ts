import { isDeepStrictEqual } from 'node:util'
import { isSameObject, type KubeRef } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import type { RecordedObject } from '../../hosts/objects.ts'
import { nameOf, objectOf, type Step } from '../plan.ts'
import { digestOf } from './digest.ts'
import { type Manager, managersOf } from './managers.ts'

/** An object that is not as we left it, though what we want of it is what it was. */
export type ObjectDrift = {
  readonly ref: KubeRef
  /** It is not there any more; else some of its fields differ. */
  readonly missing: boolean
  /** Which, as `spec.servers`; never what is in them. */
  readonly fields: readonly string[]
  /** Who else has written to them. */
  readonly managers: readonly Manager[]
}

const fieldLimit = 20

/** What others have changed of what was applied: steps to an object that is wanted as it was before. */
export function driftIn(
  recorded: readonly RecordedObject[],
  steps: readonly Step[],
  observed: readonly KubeObject[],
): readonly ObjectDrift[] {
  return steps.flatMap(({ action, ref, object }): readonly ObjectDrift[] => {
    if (!object || (action !== 'create' && action !== 'update')) return []
    const before = recorded.find((each) => isSameObject(each, ref))
    if (!before?.applied || before.digest !== digestOf(object)) return []
    const there = objectOf(observed, ref)
    if (!there) return [{ ref, missing: true, fields: [], managers: [] }]
    const paths = differing(object, there)
    const fields = paths.slice(0, fieldLimit).map((path) => path.join('.'))
    return [{ ref, missing: false, fields, managers: managersOf(there, paths) }]
  })
}

/** The drift in a sentence. */
export function sentenceOf({ ref, missing, fields, managers }: ObjectDrift): string {
  const what = nameOf(ref)
  if (missing) return `${what} was removed`
  const by = managers
    .slice(0, 3)
    .map(({ manager, at }) => (at === null ? manager : `${manager} at ${at}`))
  const who = by.length > 0 ? ` by ${by.join(', ')}` : ''
  return `${what} was changed${who}: ${fields.join(', ') || 'what it says'}`
}

/** The fields in which they differ, as far as we state them. A list is one field. */
function differing(desired: KubeObject, there: KubeObject): readonly (readonly string[])[] {
  return [
    ...unlike(desired.spec, there.spec, ['spec'], 'all'),
    ...unlike(desired.data, there.data, ['data'], 'all'),
    ...(desired.type === there.type ? [] : [['type']]),
    ...unlike(desired.metadata.labels, there.metadata.labels, ['metadata', 'labels'], 'stated'),
    ...unlike(
      desired.metadata.annotations,
      there.metadata.annotations,
      ['metadata', 'annotations'],
      'stated',
    ),
  ]
}

function unlike(
  desired: unknown,
  there: unknown,
  path: readonly string[],
  which: 'all' | 'stated',
): readonly (readonly string[])[] {
  if (isDeepStrictEqual(desired, there)) return []
  const [mine, theirs] = [membersOf(desired), membersOf(there)]
  if (!mine || !theirs) return desired === undefined && which === 'stated' ? [] : [path]
  const names = which === 'all' ? new Set([...mine.keys(), ...theirs.keys()]) : mine.keys()
  return [...names].flatMap((name) =>
    unlike(mine.get(name), theirs.get(name), [...path, name], which),
  )
}

function membersOf(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return new Map<string, unknown>(Object.entries(value))
}

import { X509Certificate } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import Type from 'typebox'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { pointerPart } from '../../shared/problem.ts'
import { closed, Timestamp } from '../../shared/schema.ts'
import { timestamp } from '../../shared/view.ts'
import { isSecret } from '../plan.ts'

/** One field that would be another one. */
export const FieldChange = closed(
  {
    pointer: Type.String({ description: 'JSON Pointer (RFC 6901)' }),
    change: Type.Enum(['added', 'changed', 'removed'], { title: 'FieldChangeKind' }),
    before: Type.Unknown({
      description: 'As it is; null where it is not there',
    }),
    after: Type.Unknown({
      description: 'As it would be; null where it would not be there',
    }),
  },
  { title: 'FieldChange' },
)
export type FieldChange = Type.Static<typeof FieldChange>

const Certificate = Type.Union([
  closed(
    { serial: Type.String(), notBefore: Timestamp, notAfter: Timestamp },
    { title: 'PlannedCertificate' },
  ),
  Type.Null(),
])

/** What would become of a Secret, without what is in it. */
export const SecretChange = closed(
  {
    keys: Type.Array(
      closed(
        {
          key: Type.String(),
          change: Type.Enum(['added', 'changed', 'removed', 'kept'], { title: 'KeyChangeKind' }),
        },
        { title: 'SecretKeyChange' },
      ),
    ),
    certificateBefore: Certificate,
    certificateAfter: Certificate,
  },
  { title: 'SecretChange', description: 'Keys of its data, and of its certificate what is public' },
)
export type SecretChange = Type.Static<typeof SecretChange>

/** How much of one object is told. */
const most = { fields: 100, text: 2000, keys: 50 } as const

/** What of an object would be another, field by field: what the server makes of it, less what the server
 *  itself keeps. Of a Secret no value. */
export function changesOf(
  before: KubeObject | undefined,
  after: KubeObject | undefined,
): { readonly fields: readonly FieldChange[]; readonly more: number } {
  const found = fieldChanges(told(before), told(after), '')
  return { fields: found.slice(0, most.fields), more: Math.max(0, found.length - most.fields) }
}

/** The same of the data of a Secret; undefined for what is none. */
export function secretChangeOf(
  before: KubeObject | undefined,
  after: KubeObject | undefined,
): SecretChange | undefined {
  const either = before ?? after
  if (!either || !isSecret(either)) return undefined
  const [old, next] = [before?.data ?? {}, after?.data ?? {}]
  const keys = [...new Set([...Object.keys(old), ...Object.keys(next)])].toSorted()
  return {
    keys: keys.slice(0, most.keys).map((key) => ({
      key: key.slice(0, 253),
      change: !Object.hasOwn(old, key)
        ? 'added'
        : !Object.hasOwn(next, key)
          ? 'removed'
          : old[key] === next[key]
            ? 'kept'
            : 'changed',
    })),
    certificateBefore: certificateIn(old),
    certificateAfter: certificateIn(next),
  }
}

function certificateIn(data: Readonly<Record<string, string>>): SecretChange['certificateBefore'] {
  const encoded = data['tls.crt']
  if (!encoded) return null
  try {
    // As a ConfigMap has it, or as a Secret.
    const plain = encoded.startsWith('-----BEGIN ')
    const leaf = new X509Certificate(Buffer.from(encoded, plain ? 'latin1' : 'base64'))
    return {
      serial: leaf.serialNumber.toLowerCase(),
      notBefore: timestamp(leaf.validFromDate),
      notAfter: timestamp(leaf.validToDate),
    }
  } catch {
    // Whatever somebody else has put there.
    return null
  }
}

/** The parts that somebody writes. */
function told(object: KubeObject | undefined): unknown {
  if (!object) return undefined
  const { metadata, spec, type } = object
  const { labels, annotations } = metadata
  return {
    metadata: { ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) },
    ...(type === undefined ? {} : { type }),
    ...(spec ? { spec } : {}),
  }
}

function fieldChanges(before: unknown, after: unknown, pointer: string): readonly FieldChange[] {
  if (isDeepStrictEqual(before, after)) return []
  const [old, next] = [membersOf(before), membersOf(after)]
  const [onlyOld, onlyNext] = [before === undefined, after === undefined]
  if ((old || onlyOld) && (next || onlyNext) && !(onlyOld && onlyNext)) {
    const names = new Set([...(old?.keys() ?? []), ...(next?.keys() ?? [])])
    if (names.size > 0) {
      return [...names].flatMap((name) =>
        fieldChanges(old?.get(name), next?.get(name), `${pointer}/${pointerPart(name)}`),
      )
    }
  }
  const change = onlyOld ? 'added' : onlyNext ? 'removed' : 'changed'
  return [{ pointer, change, before: bounded(before), after: bounded(after) }]
}

function membersOf(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  return new Map(Object.entries(value))
}

function bounded(value: unknown): unknown {
  if (value === undefined) return null
  if (typeof value !== 'string' || value.length <= most.text) return value
  return `${value.slice(0, most.text)}… (${value.length} characters)`
}

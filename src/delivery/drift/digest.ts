import { createHash } from 'node:crypto'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { canonical } from '../../core/canonical.ts'
import { ownKeys } from './managers.ts'

/** What an object says, in few characters: its spec, its data, its type, and what it states of labels and
 *  annotations. For one of a cluster only those labels and annotations count that we have applied and that
 *  nobody has taken since: then it is that of the object as it was intended, and differs when any of it was
 *  changed or removed. */
export function digestOf(object: KubeObject): string {
  const known = digests.get(object)
  if (known !== undefined) return known
  const digest = digested(object)
  digests.set(object, digest)
  return digest
}

/** An object is never changed once it is there, and asked about several times. */
const digests = new WeakMap<KubeObject, string>()

function digested(object: KubeObject): string {
  const { kind, type, spec, data, metadata } = object
  const stated = {
    kind,
    type,
    spec,
    data,
    labels: chosen(metadata.labels, ownKeys(object, 'labels')),
    annotations: chosen(metadata.annotations, ownKeys(object, 'annotations')),
  }
  return createHash('sha256').update(canonical(stated)).digest('base64url').slice(0, 22)
}

function chosen(
  all: Readonly<Record<string, string>> = {},
  keys: ReadonlySet<string> | undefined,
): Readonly<Record<string, string>> {
  if (!keys) return all
  return Object.fromEntries(Object.entries(all).filter(([key]) => keys.has(key)))
}

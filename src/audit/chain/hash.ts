import { createHash } from 'node:crypto'
import { canonical } from '../../core/canonical.ts'

/** An event as it is told, as far as its chain holds it: all but the name of its tenant, which is looked up,
 *  and its place in the chain. */
export type Entry = {
  readonly seq: string
  readonly at: string
  readonly actor: unknown
  readonly requestId: string | null
  readonly action: string
  readonly subject: unknown
  readonly changes: unknown
}

/** The chain of what concerns no one tenant. */
export const platformChain = '00000000-0000-0000-0000-000000000000'

/** What a chain begins with. */
export function startOf(chain: string): Buffer {
  return createHash('sha256').update(`gatesmith audit chain v1\n${chain}\n`).digest()
}

/** The hash of an event: SHA-256 over it as JSON in its canonical form (RFC 8785). */
export function entryHash(event: Entry): Buffer {
  const { seq, at, actor, requestId, action, subject, changes } = event
  const entry = canonical({ seq, at, actor, requestId, action, subject, changes })
  return createHash('sha256').update(entry).digest()
}

/** The hash of a place in a chain: SHA-256 over the one before it and the hash of its event. */
export function linkHash(previous: Buffer, entry: Buffer): Buffer {
  return createHash('sha256').update(previous).update(entry).digest()
}

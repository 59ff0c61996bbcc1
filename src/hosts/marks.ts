import { isDeepStrictEqual } from 'node:util'
import { differences } from '../audit/differences.ts'
import { record } from '../audit/record.ts'
import type { Actor } from '../core/actor.ts'
import { json, sql, type Tx } from '../core/database/db.ts'
import { type Marks, marksOf } from '../shared/lists/labels.ts'

/** A host as its marks are changed. */
type Marked = Parameters<typeof marksOf>[0] & {
  readonly id: string
  readonly tenantId: string
  readonly name: string
}

/** Stores what people say of a host, where that is all that was changed: nothing of it reaches a cluster, so
 *  nothing is due and the generation stays. Whoever calls this holds the host's lock. */
export async function markHost(
  tx: Tx,
  { actor, now }: { readonly actor: Actor; readonly now: Date },
  { host, marks }: { readonly host: Marked; readonly marks: Marks },
): Promise<void> {
  const { id, name, tenantId } = host
  const before = marksOf(host)
  if (isDeepStrictEqual(before, marks)) return
  await tx.host.update({
    where: { id },
    data: { ...marks, labels: json(marks.labels), updatedAt: now },
  })
  await labelCertificates(tx, [id])
  await record(tx, { actor, now }, 'host.changed', {
    subject: { kind: 'host', id, name, tenantId },
    changes: { changed: differences(before, marks) },
  })
}

/** Has the certificates in use that were made for hosts bear the labels of their hosts. Whoever calls this has written or locked the hosts' rows
 *  in this transaction, so that it is the labels of now, whoever changes them at the same time. */
export async function labelCertificates(tx: Tx, hostIds: readonly string[]): Promise<void> {
  await tx.$executeRaw(sql`
    update certificate set "labels" = host."labels" from host
    where host."id" = any(${hostIds}::uuid[]) and certificate."id" = host."certificateId"
      and certificate."uploaded" = '' and certificate."labels" <> host."labels"`)
}

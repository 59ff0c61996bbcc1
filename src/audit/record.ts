import type { Actor } from '../core/actor.ts'
import { json, type Tx } from '../core/database/db.ts'
import type { Differences } from './differences.ts'

/** Everything that can happen, in the words of the audit trail. */
export type AuditAction =
  | 'access.refused'
  | 'access.signed-in'
  | 'access.session-opened'
  | 'access.session-ended'
  | 'tenant.created'
  | 'tenant.changed'
  | 'tenant.removed'
  | 'api-key.created'
  | 'api-key.revoked'
  | 'api-key.rotated'
  | 'api-key.changed'
  | 'authority.created'
  | 'authority.account-registered'
  | 'certificate.revoked-at-ca'
  | 'certificate.revocation-refused'
  | 'authority.account-key-rotating'
  | 'authority.account-key-changed'
  | 'authority.account-key-refused'
  | 'authority.account-deactivated'
  | 'authority.imported'
  | 'authority.renewed'
  | 'authority.changed'
  | 'authority.removed'
  | 'authority.delegated'
  | 'authority.rotating'
  | 'authority.rotated'
  | 'authority.retirement-confirmed'
  | 'authority.issuer-revoked'
  | 'authority.approval-asked'
  | 'authority.approval-given'
  | 'authority.approval-rejected'
  | 'authority.cross-signed'
  | 'authority.list-near'
  | 'authority.list-over'
  | 'authority.list-fits'
  | 'replacement.ordered'
  | 'replacement.done'
  | 'key.blocked'
  | 'key.unblocked'
  | 'key.compromise-reported'
  | 'acme-key.created'
  | 'acme-key.removed'
  | 'acme-account.created'
  | 'acme-account.changed'
  | 'acme-account.key-changed'
  | 'acme-account.ended'
  | 'acme-order.created'
  | 'acme-order.authorized'
  | 'acme-order.refused'
  | 'acme-order.deauthorized'
  | 'certificate.issued'
  | 'certificate.uploaded'
  | 'certificate.removed'
  | 'certificate.renewal-asked'
  | 'certificate.changed'
  | 'certificate.downloaded'
  | 'certificate.revoked'
  | 'certificate.misrecorded'
  | 'cluster.created'
  | 'cluster.changed'
  | 'cluster.removed'
  | 'cluster.mesh-tls-ordered'
  | 'cluster.mesh-tls-changed'
  | 'host.created'
  | 'host.changed'
  | 'host.removed'
  | 'host.withdrawn'
  | 'host.abandoned'
  | 'host.backend-restarted'
  | 'delivery.created'
  | 'delivery.changed'
  | 'delivery.delivered'
  | 'delivery.repaired'
  | 'delivery.restarted'
  | 'delivery.removed'
  | 'delivery.withdrawn'
  | 'delivery.abandoned'
  | 'receiver.created'
  | 'receiver.changed'
  | 'receiver.removed'
  | 'receiver.secret-rotated'
  | 'host.repaired'
  | 'host.drifted'

/** What was changed: a kind, its id and the name people know it by. */
export type Subject = {
  readonly kind:
    | 'address'
    | 'tenant'
    | 'api-key'
    | 'authority'
    | 'key'
    | 'certificate'
    | 'acme-key'
    | 'acme-account'
    | 'acme-order'
    | 'replacement'
    | 'cluster'
    | 'host'
    | 'delivery'
    | 'receiver'
  readonly id: string
  readonly name: string
  readonly tenantId: string | null
}

/** Named facts about a change. Callers list the fields one by one: a body is never passed whole, so a
 *  secret can only get here by being named. */
export type Changes = Readonly<
  Record<string, string | number | boolean | null | readonly string[] | Differences | undefined>
>

/** Who did it, or tried to: `anonymous` is who did not say who it is. */
export type Author = Pick<Actor, 'id' | 'name' | 'requestId'> & {
  readonly kind: Actor['kind'] | 'anonymous'
}

/** An event that is still to be written. */
export type NewEvent = {
  readonly actor: Author
  readonly now: Date
  readonly action: AuditAction
  readonly subject: Subject
  readonly changes: Changes
}

/** Writes an audit event into the transaction of the change it tells of: both are stored or neither. */
export async function record(
  tx: Tx,
  { actor, now }: { actor: Actor; now: Date },
  action: AuditAction,
  { subject, changes }: { subject: Subject; changes: Changes },
): Promise<void> {
  await tx.auditEvent.create({
    data: rowOf({ actor, now, action, subject, changes }),
    select: { seq: true },
  })
}

/** Writes many by one statement. */
export async function recordAll(tx: Tx, entries: readonly NewEvent[]): Promise<void> {
  await tx.auditEvent.createMany({ data: entries.map(rowOf) })
}

function rowOf({ actor, now, action, subject, changes }: NewEvent) {
  return {
    at: now,
    actorKind: actor.kind,
    actorId: actor.id,
    actorName: actor.name,
    requestId: actor.requestId,
    tenantId: subject.tenantId,
    action,
    subjectKind: subject.kind,
    subjectId: subject.id,
    subjectName: subject.name,
    changes: json(changes),
  }
}

import type { Context } from '../../core/context.ts'
import { metersOf } from '../../core/metrics.ts'
import { certificateName } from '../name.ts'
import type { ReservedRow } from './reserve.ts'
import { issueStore } from './store.ts'

/** A certificate with its signature. */
export type SignedCertificate<Row extends ReservedRow = ReservedRow> = {
  readonly row: Row
  /** The name of its authority. */
  readonly authority: string
  readonly der: Buffer
  readonly fingerprintSha256: string
}

/** Stores a signed certificate and the audit event that tells of it, in the name of who asked. Answers
 *  whether it was this signature that was stored (false: another one was first). */
export async function recordIssued(ctx: Context, signed: SignedCertificate): Promise<boolean> {
  const { row, authority, der, fingerprintSha256 } = signed
  const { id, actor, tenantId } = row
  const stored = await issueStore(ctx).complete({
    id,
    der: der.toString('base64'),
    fingerprintSha256,
    at: ctx.now(),
    actor,
    tenantId,
    name: certificateName(row),
    changes: auditedChanges(row, authority),
  })
  if (stored) metersOf(ctx.config).issued.inc({ profile: row.profile, cause: row.cause })
  return stored
}

/** What the audit trail says of an issued certificate. */
function auditedChanges(row: ReservedRow, authority: string) {
  return {
    serial: row.serial,
    authority,
    profile: row.profile,
    dnsNames: row.dnsNames,
    ipAddresses: row.ipAddresses,
    emailAddresses: row.emailAddresses,
    uris: row.uris,
    keyAlgorithm: row.keyAlgorithm,
    keySource: row.keySource,
    cause: row.cause,
    ...(row.replacesId === null ? {} : { replaces: row.replacesId, reason: row.reason }),
    notAfter: row.notAfter.toISOString(),
  }
}

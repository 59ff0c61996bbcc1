import { chainPem } from '../authorities/issuers/ready.ts'
import { type Actor, allow, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import type { Tx } from '../core/database/db.ts'
import { MomentIdKey, pageOf, readCursor } from '../shared/cursor.ts'
import { Problem } from '../shared/problem.ts'
import type { Page, PageQuery } from '../shared/schema.ts'
import { shown, shownJson, timestamp, timestampOrNull } from '../shared/view.ts'
import { accessTenant } from '../tenants/access.ts'
import { toPem } from '../x509/der/pem.ts'
import { Certificate } from './certificate.ts'

const related = {
  tenant: { select: { name: true } },
  authority: { select: { name: true } },
  replacedBy: { select: { id: true }, orderBy: { createdAt: 'desc' }, take: 1 },
} as const

/** A certificate's row with the names it is shown with. */
export type CertificateWithNames = Awaited<ReturnType<typeof read>>[number]

function read(tx: Tx, where: object) {
  return tx.certificate.findMany({ where, include: related })
}

/** One certificate of a tenant. Throws tenant-unknown, certificate-unknown. */
export async function getCertificate(
  ctx: Context,
  actor: Actor,
  { tenant, id }: { tenant: string; id: string },
): Promise<Certificate> {
  const { id: tenantId } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const [row] = await read(ctx.db.read, { id, tenantId })
  if (!row) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  return certificateView(ctx, row)
}

/** The certificates of these ids that the actor may see, in no order; `hostId` joins them to hosts and
 *  is not part of what is shown. */
export async function certificatesByIds(
  ctx: Context,
  actor: Actor,
  ids: readonly string[],
): Promise<readonly (Certificate & { readonly hostId: string | null })[]> {
  allow(actor, 'read')
  const owner = actor.tenantId === null ? {} : { tenantId: actor.tenantId }
  const rows = await read(ctx.db.read, { id: { in: [...ids] }, ...owner })
  return Promise.all(
    rows.map(async (row) => ({ hostId: row.hostId, ...(await certificateView(ctx, row)) })),
  )
}

/** What a list of certificates is narrowed by. */
export type CertificateFilter = PageQuery & {
  readonly status?: 'active' | 'expired' | 'revoked'
  /** ISO 8601 duration: those that end within it and have not ended yet. */
  readonly expiringWithin?: string
  readonly dnsName?: string
  readonly serial?: string
}

/** A tenant's certificates, soonest end first. */
export async function listCertificates(
  ctx: Context,
  actor: Actor,
  { tenant, ...filter }: CertificateFilter & { readonly tenant: string },
): Promise<Page<Certificate>> {
  const { id } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  return listWhere(ctx, { tenantId: id }, filter)
}

/** Certificates of every tenant, soonest end first; for platform-wide roles. */
export async function listAllCertificates(
  ctx: Context,
  actor: Actor,
  filter: CertificateFilter,
): Promise<Page<Certificate>> {
  allowPlatform(actor, 'read')
  return listWhere(ctx, {}, filter)
}

async function listWhere(
  ctx: Context,
  owner: { tenantId?: string },
  filter: CertificateFilter,
): Promise<Page<Certificate>> {
  const { limit = 50, cursor } = filter
  const now = ctx.now()
  const rows = await ctx.db.read.certificate.findMany({
    where: {
      AND: [owner, listed(filter), statusWhere(filter, now), nameWhere(filter), after(cursor)],
    },
    orderBy: [{ notAfter: 'asc' }, { id: 'asc' }],
    take: limit + 1,
    include: related,
  })
  const page = pageOf(rows, limit, {
    key: ({ notAfter, id }) => [notAfter.toISOString(), id],
    item: (row) => row,
  })
  return { ...page, items: await Promise.all(page.items.map((row) => certificateView(ctx, row))) }
}

/** What was made to prove hosts by is only listed where it is asked for, by its serial. */
function listed({ serial }: CertificateFilter) {
  return serial === undefined ? { cause: { not: 'probe' } } : {}
}

function statusWhere({ status, expiringWithin }: CertificateFilter, now: Date) {
  return {
    AND: [
      status === 'revoked' ? { status: 'revoked' } : {},
      status === 'active' ? { status: 'active', notAfter: { gte: now } } : {},
      status === 'expired' ? { status: 'active', notAfter: { lt: now } } : {},
      expiringWithin === undefined
        ? {}
        : { status: 'active', notAfter: { gte: now, lte: endOf(expiringWithin, now) } },
    ],
  }
}

function nameWhere({ dnsName, serial }: CertificateFilter) {
  return {
    ...(dnsName === undefined ? {} : { dnsNames: { has: dnsName.toLowerCase() } }),
    ...(serial === undefined ? {} : { serial }),
  }
}

function after(cursor: string | undefined) {
  if (cursor === undefined) return {}
  const [notAfter, id] = readCursor(cursor, MomentIdKey)
  const at = new Date(notAfter)
  return { OR: [{ notAfter: { gt: at } }, { notAfter: at, id: { gt: id } }] }
}

/** The end of a period of ISO 8601 (`P30D`, `P4W`, `PT12H`) that begins now. Months and years have no
 *  fixed length and are not taken. Throws request-invalid. */
export function endOf(duration: string, now: Date): Date {
  const found =
    /^P(?=.)(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?=.)(?:(\d{1,6})H)?(?:(\d{1,8})M)?)?$/.exec(duration)
  if (!found) {
    throw new Problem(
      'request-invalid',
      `"${duration}" is not a period such as P30D, P4W or PT12H (ISO 8601, no months or years)`,
    )
  }
  const [weeks = 0, days = 0, hours = 0, minutes = 0] = found
    .slice(1)
    .map((part) => (part === undefined ? 0 : Number(part)))
  const seconds = ((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60
  return new Date(now.getTime() + seconds * 1000)
}

/** What of a row is shown. */
export type ViewableCertificate = Omit<
  Pick<CertificateWithNames, Exclude<keyof CertificateWithNames, Hidden>>,
  'dnsNames' | 'ipAddresses' | 'emailAddresses' | 'uris' | 'subject' | 'der' | 'replacedBy'
> & {
  readonly subject: unknown
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
  readonly der: Uint8Array | null
  readonly replacedBy: readonly { readonly id: string }[]
}
type Hidden =
  | 'tenantId'
  | 'authorityId'
  | 'commonName'
  | 'spkiSha256'
  | 'tbs'
  | 'actor'
  | 'replacementId'
  | 'requestKey'
  | 'requestHash'
  | 'crlShard'

/** The row as it is shown. */
export async function certificateView(
  ctx: Context,
  row: ViewableCertificate,
): Promise<Certificate> {
  const ended = row.status === 'active' && row.notAfter < ctx.now()
  return shown(Certificate, {
    id: row.id,
    tenant: row.tenant.name,
    authority: row.authority.name,
    host: row.hostId === null ? null : (row.dnsNames[0] ?? null),
    profile: row.profile,
    status: ended ? 'expired' : row.status,
    serial: row.serial,
    subject: shownJson(Certificate.properties.subject, row.subject),
    dnsNames: [...row.dnsNames],
    ipAddresses: [...row.ipAddresses],
    emailAddresses: [...row.emailAddresses],
    uris: [...row.uris],
    keyAlgorithm: row.keyAlgorithm,
    keySource: row.keySource,
    notBefore: timestamp(row.notBefore),
    notAfter: timestamp(row.notAfter),
    fingerprintSha256: row.fingerprintSha256,
    pem: row.der === null ? null : toPem('CERTIFICATE', Buffer.from(row.der)),
    chainPem: await chainPem(ctx, row.issuerId),
    cause: row.cause,
    replaces: row.replacesId,
    reason: row.reason,
    replacedBy: row.replacedBy[0]?.id ?? null,
    autoRenew: row.autoRenew,
    renewal: {
      at: timestampOrNull(row.renewAt),
      attempts: row.renewFailures,
      lastError: row.renewError,
      nextAttempt: timestampOrNull(row.renewAfter),
    },
    revokedAt: timestampOrNull(row.revokedAt),
    revocationReason: row.revocationReason,
    createdAt: timestamp(row.createdAt),
  })
}

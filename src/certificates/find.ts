import { type Actor, allow, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { listRows } from '../core/database/lists.ts'
import { readRows, rowsOwnedBy } from '../core/database/rows.ts'
import { hostRow } from '../hosts/find.ts'
import { Labels } from '../shared/lists/labels.ts'
import type { List } from '../shared/lists/query.ts'
import { Problem } from '../shared/problem.ts'
import { shown, shownJson, timestamp, timestampOrNull } from '../shared/view.ts'
import { accessTenant } from '../tenants/access.ts'
import { readCertificate } from '../x509/certificates/read.ts'
import { readPem, toPem } from '../x509/der/pem.ts'
import { formatName } from '../x509/names/distinguished.ts'
import { Certificate } from './certificate.ts'
import { sentChain } from './chain.ts'
import type { CertificateFilter } from './search/filter.ts'
import { type CertificateWithNames, certificateRows, searchOf } from './search/select.ts'
import { isPublicRoot } from './uploads/roots.ts'

/** One certificate of a tenant. Throws tenant-unknown, certificate-unknown. */
export async function getCertificate(
  ctx: Context,
  actor: Actor,
  { tenant, id }: { tenant: string; id: string },
): Promise<Certificate> {
  const { id: tenantId } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const [row] = await ofTenant(ctx, tenantId, id)
  if (!row) throw new Problem('certificate-unknown', `There is no certificate ${id}`)
  return certificateView(ctx, row)
}

/** The certificate that a host has in use: whichever that is now. Throws tenant-unknown, host-unknown,
 *  certificate-unknown while it has none. */
export async function getHostCertificate(
  ctx: Context,
  actor: Actor,
  { tenant, host }: { tenant: string; host: string },
): Promise<Certificate> {
  const { id: tenantId } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const { certificateId } = await hostRow(ctx.db.read, { tenantId, name: host })
  const [row] = certificateId ? await ofTenant(ctx, tenantId, certificateId) : []
  if (row) return certificateView(ctx, row)
  throw new Problem('certificate-unknown', `"${host}" has no certificate yet: its status says why`)
}

function ofTenant(ctx: Context, tenantId: string, id: string) {
  return readRows(ctx.db, certificateRows, [
    sql`certificate."id" = ${id}::uuid`,
    sql`certificate."tenantId" = ${tenantId}::uuid`,
  ])
}

/** The certificates of these ids that the actor may see, in no order; `hostId` joins them to hosts and
 *  is not part of what is shown. */
export async function certificatesByIds(
  ctx: Context,
  actor: Actor,
  ids: readonly string[],
): Promise<readonly (Certificate & { readonly hostId: string | null })[]> {
  allow(actor, 'read')
  const rows = await readRows(ctx.db, certificateRows, [
    sql`certificate."id" = any(${[...ids]}::uuid[])`,
    ...rowsOwnedBy(actor, sql`certificate."tenantId"`),
  ])
  return joinedCertificates(ctx, rows)
}

/** These rows with what joins them to hosts. */
export function joinedCertificates(
  ctx: Context,
  rows: readonly CertificateWithNames[],
): Promise<(Certificate & { readonly hostId: string | null })[]> {
  return Promise.all(
    rows.map(async (row) => ({ hostId: row.hostId, ...(await certificateView(ctx, row)) })),
  )
}

/** A tenant's certificates, soonest end first unless asked otherwise. */
export async function listCertificates(
  ctx: Context,
  actor: Actor,
  { tenant, ...filter }: CertificateFilter & { readonly tenant: string },
): Promise<List<Certificate>> {
  const { id } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  return listWhere(ctx, id, filter)
}

/** Certificates of every tenant, soonest end first unless asked otherwise; for platform-wide roles. */
export async function listAllCertificates(
  ctx: Context,
  actor: Actor,
  filter: CertificateFilter,
): Promise<List<Certificate>> {
  allowPlatform(actor, 'read')
  return listWhere(ctx, null, filter)
}

async function listWhere(
  ctx: Context,
  tenantId: string | null,
  query: CertificateFilter,
): Promise<List<Certificate>> {
  const { listing, conditions } = searchOf(ctx.now(), tenantId, query)
  const page = await listRows(ctx.db, listing, { conditions, query })
  return { ...page, items: await Promise.all(page.items.map((row) => certificateView(ctx, row))) }
}

/** What of a row is shown. */
export type ViewableCertificate = Omit<
  CertificateWithNames,
  'dnsNames' | 'ipAddresses' | 'emailAddresses' | 'uris' | 'leftOut' | 'subject' | 'labels' | 'der'
> & {
  readonly subject: unknown
  readonly labels: unknown
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly emailAddresses: readonly string[]
  readonly uris: readonly string[]
  readonly leftOut: readonly string[]
  readonly der: Uint8Array | null
}

function uploadView({ uploaded, der, anchorPem }: ViewableCertificate): Certificate['upload'] {
  if (uploaded === '' || der === null || anchorPem === null) return null
  const [root = Buffer.alloc(0)] = readPem(anchorPem, 'CERTIFICATE')
  return {
    issuer: formatName(readCertificate(Buffer.from(der)).issuer).slice(0, mostName),
    root: formatName(readCertificate(root).subject).slice(0, mostName),
    publicRoot: isPublicRoot(root),
  }
}

const mostName = 1000

/** The row as it is shown. */
export async function certificateView(
  ctx: Context,
  row: ViewableCertificate,
): Promise<Certificate> {
  const ended = row.status === 'active' && row.notAfter < ctx.now()
  return shown(Certificate, {
    id: row.id,
    tenant: row.tenant.name,
    authority: row.authority?.name ?? null,
    origin: row.uploaded === '' ? 'issued' : 'uploaded',
    upload: uploadView(row),
    host: row.hostId === null ? null : (row.dnsNames[0] ?? null),
    profile: row.profile,
    status: ended ? 'expired' : row.status,
    serial: row.serial,
    subject: shownJson(Certificate.properties.subject, row.subject),
    dnsNames: [...row.dnsNames],
    ipAddresses: [...row.ipAddresses],
    emailAddresses: [...row.emailAddresses],
    uris: [...row.uris],
    leftOut: [...row.leftOut],
    keyAlgorithm: row.keyAlgorithm,
    keySource: row.keySource,
    notBefore: timestamp(row.notBefore),
    notAfter: timestamp(row.notAfter),
    fingerprintSha256: row.fingerprintSha256,
    pem: row.der === null ? null : toPem('CERTIFICATE', Buffer.from(row.der)),
    chainPem: await sentChain(ctx, row),
    cause: row.cause,
    replaces: row.replacesId,
    reason: row.reason,
    replacedBy: row.replacedBy,
    autoRenew: row.autoRenew,
    renewal: {
      at: timestampOrNull(row.renewAt),
      attempts: row.renewFailures,
      lastError: row.renewError,
      nextAttempt: timestampOrNull(row.renewAfter),
    },
    revokedAt: timestampOrNull(row.revokedAt),
    revocationReason: row.revocationReason,
    labels: shownJson(Labels, row.labels),
    createdAt: timestamp(row.createdAt),
  })
}

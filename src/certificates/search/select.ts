import { joinSql, type Sql, sql } from '../../core/database/db.ts'
import { type Listing, when } from '../../core/database/lists.ts'
import { named, namedIfAny, type Row, rowsOf, value } from '../../core/database/rows.ts'
import { endingOf } from '../../hosts/request/query.ts'
import { labelTerms } from '../../shared/lists/labels.ts'
import { periodEnd } from '../../shared/lists/period.ts'
import { refuse } from '../../shared/problem.ts'
import { hostSpelling } from '../../shared/spelling.ts'
import { canonicalSerial } from '../../x509/certificates/serial.ts'
import type { CertificateFilter, CertificateSort } from './filter.ts'

/** What nobody is shown. */
const hidden = [
  'tenantId',
  'authorityId',
  'commonName',
  'spkiSha256',
  'tbs',
  'actor',
  'replacementId',
  'requestKey',
  'requestHash',
  'crlShard',
] as const

/** Certificates with the names that they are shown with, and the newest of those that took their place. */
export const certificateRows = rowsOf(
  'Certificate',
  {
    tenant: named(sql`tenant`, sql`certificate."tenantId"`),
    authority: namedIfAny(sql`authority`, sql`certificate."authorityId"`),
    replacedBy: value<string | null>(sql`select other."id" from certificate other
      where other."tenantId" = certificate."tenantId" and other."replacesId" = certificate."id"
      order by other."createdAt" desc limit 1`),
  },
  hidden,
)

/** A certificate's row with the names it is shown with. */
export type CertificateWithNames = Row<typeof certificateRows>

/** How certificates are listed. An id of a later one is greater: it begins with the time
 *  (src/core/context.ts). */
export const certificateListing: Listing<CertificateSort, CertificateWithNames> = {
  rows: certificateRows,
  usual: 'notAfter',
  orders: {
    notAfter: [
      { member: 'notAfter', kind: 'timestamptz' },
      { member: 'id', kind: 'uuid' },
    ],
    createdAt: [{ member: 'id', kind: 'uuid' }],
  },
}

/** Where certificates are found. */
export type Search = {
  readonly from: Sql
  /** The column by which their ends are sought. */
  readonly ends: Sql
  readonly listing: typeof certificateListing
  /** What holds for all that are found. */
  readonly conditions: readonly Sql[]
}

const usualEnds = sql`certificate."notAfter"`

/** Where to find what a filter asks for: on a cluster by the index of what ends there, which has them in the order of their
 *  ends, so that a page costs the same however many hosts there are. For one tenant PostgreSQL chooses which index to
 *  begin with: the tenant's certificates may be fewer, or those on the cluster. */
export function searchOf(now: Date, tenantId: string | null, asked: CertificateFilter): Search {
  const { cluster, ...filter } = asked
  if (cluster === undefined || tenantId !== null) {
    return {
      from: certificateListing.rows.table,
      ends: usualEnds,
      listing: certificateListing,
      conditions: conditionsOf(now, tenantId, asked),
    }
  }
  return {
    from: heldCertificates,
    ends: heldEnds,
    listing: heldListing,
    conditions: [
      heldBy(cluster),
      // Of several hosts on the cluster that use it, it is found by one.
      sql`not exists (select from cluster_certificate other where other."certificateId" = held."certificateId"
        and other."clusterId" = held."clusterId" and other."hostId" < held."hostId")`,
      ...conditionsOf(now, tenantId, filter, heldEnds),
    ],
  }
}

const heldBy = (cluster: string) =>
  sql`held."clusterId" = (select "id" from cluster where "name" = ${cluster})`

const heldCertificates = sql`cluster_certificate held
  join certificate on certificate."id" = held."certificateId"`
const heldEnds = sql`held."notAfter"`
const heldListing: typeof certificateListing = {
  ...certificateListing,
  from: heldCertificates,
  orders: {
    ...certificateListing.orders,
    notAfter: [
      { member: 'notAfter', kind: 'timestamptz', indexed: heldEnds },
      { member: 'id', kind: 'uuid', indexed: sql`held."certificateId"` },
    ],
  },
}

/** How many certificates there are, and how many of them are renewed without being asked. */
export const countAndRenewing = sql`count(*)::int as "count",
  (count(*) filter (where certificate."autoRenew"))::int as "renewing"`

/** What holds for all that are listed. What was made to prove hosts by is only listed where it is asked
 *  for, by its serial or fingerprint. */
export function conditionsOf(
  now: Date,
  tenantId: string | null,
  filter: CertificateFilter,
  ends = usualEnds,
): readonly Sql[] {
  const { serial, fingerprint } = filter
  const byName = serial !== undefined || fingerprint !== undefined
  return [
    ...(tenantId === null ? [] : [sql`certificate."tenantId" = ${tenantId}::uuid`]),
    ...(byName ? [] : [sql`certificate."cause" <> 'probe'`]),
    ...(filter.origin === undefined ? [] : [originCondition(filter.origin)]),
    ...statusConditions(filter),
    ...endConditions(now, filter, ends),
    ...renewalConditions(filter),
    ...nameConditions(filter),
    ...relationConditions(filter),
    ...when(filter.cluster, (name) => isOn(name, endConditions(now, filter, heldEnds))),
  ]
}

function originCondition(origin: NonNullable<CertificateFilter['origin']>): Sql {
  return origin === 'issued' ? sql`certificate."uploaded" = ''` : sql`certificate."uploaded" <> ''`
}

/** Whether those alone are asked for that are good now. */
function isOfGood({ status, expiringWithin, renewal }: CertificateFilter): boolean {
  return status === 'active' || expiringWithin !== undefined || renewal !== undefined
}

function statusConditions(filter: CertificateFilter): readonly Sql[] {
  const { status } = filter
  return [
    // As their indexes say it, none of which may be about the status (see the migration certificate_search).
    ...(status === 'revoked' ? [sql`certificate."revokedAt" is not null`] : []),
    ...(status === 'expired' || isOfGood(filter) ? [sql`certificate."status" = 'active'`] : []),
  ]
}

/** From when on, and until when, certificates end that are asked for. */
function endConditions(now: Date, filter: CertificateFilter, ends: Sql): readonly Sql[] {
  const { status, expiringWithin, notAfterFrom, notAfterTo } = filter
  return [
    ...(isOfGood(filter) ? [sql`${ends} >= ${now}::timestamptz`] : []),
    ...(status === 'expired' ? [sql`${ends} < ${now}::timestamptz`] : []),
    ...when(expiringWithin, (one) => sql`${ends} <= ${periodEnd(one, now)}::timestamptz`),
    ...when(notAfterFrom, (one) => sql`${ends} >= ${new Date(one)}::timestamptz`),
    ...when(notAfterTo, (one) => sql`${ends} < ${new Date(one)}::timestamptz`),
  ]
}

function renewalConditions({ renewal }: CertificateFilter): readonly Sql[] {
  if (renewal === undefined) return []
  if (renewal === 'failing') return [sql`certificate."renewFailures" > 0`]
  return [
    sql`not certificate."autoRenew"`,
    sql`not exists (select from certificate other where other."tenantId" = certificate."tenantId"
      and other."replacesId" = certificate."id")`,
  ]
}

function nameConditions({
  name,
  dnsName,
  serial,
  fingerprint,
  publicKey,
  keyAlgorithm,
  profile,
  label,
}: CertificateFilter): readonly Sql[] {
  return [
    ...(name === undefined ? [] : [holdsEnding(endingOf(name))]),
    // Through the index of endings, which holds every name itself.
    ...(dnsName === undefined ? [] : [holdsEnding(dnsName.toLowerCase())]),
    ...(serial === undefined ? [] : [sql`certificate."serial" = ${serialOf(serial)}`]),
    ...(fingerprint === undefined
      ? []
      : [
          sql`certificate."id" = (select "certificateId" from certificate_fingerprint
            where "sha256" = decode(${digestOf('/fingerprint', fingerprint)}, 'hex'))`,
        ]),
    ...(publicKey === undefined
      ? []
      : [sql`certificate."spkiSha256" = ${digestOf('/publicKey', publicKey)}`]),
    ...(keyAlgorithm === undefined ? [] : [sql`certificate."keyAlgorithm" = ${keyAlgorithm}`]),
    ...(profile === undefined ? [] : [sql`certificate."profile" = ${profile}`]),
    ...(label === undefined
      ? []
      : [sql`certificate."labelTerms" @> ${[...labelTerms(label)]}::text[]`]),
  ]
}

function holdsEnding(ending: string): Sql {
  return sql`certificate."dnsEndings" @> array[${ending}::text]`
}

function relationConditions({ authority, host }: CertificateFilter): readonly Sql[] {
  return [
    ...(authority === undefined
      ? []
      : [
          sql`certificate."authorityId" = (select "id" from authority where "name" = ${authority})`,
        ]),
    ...(host === undefined
      ? []
      : [
          sql`certificate."hostId" in (select "id" from host where "name" = ${hostSpelling(host)})`,
        ]),
  ]
}

/** When it ends is said of both tables: then PostgreSQL may begin with whichever has fewer. */
function isOn(cluster: string, endConditions: readonly Sql[]): Sql {
  const is = [sql`held."certificateId" = certificate."id"`, heldBy(cluster), ...endConditions]
  return sql`exists (select from cluster_certificate held where ${joinSql(is, ' and ')})`
}

function serialOf(text: string): string {
  const serial = canonicalSerial(text)
  if (serial === undefined) {
    refuse('request-invalid', [{ field: '/serial', message: 'This is no serial in hexadecimal' }])
  }
  return serial ?? ''
}

function digestOf(field: string, text: string): string {
  const digest = text.toLowerCase().replace(/[: -]/g, '')
  if (!/^[0-9a-f]{64}$/.test(digest)) {
    const message = 'This is no SHA-256: give 64 hexadecimal digits, with colons or without'
    refuse('request-invalid', [{ field, message }])
  }
  return digest
}

import type { Context } from '../../core/context.ts'
import { type Sql, sql, type Tx } from '../../core/database/db.ts'
import type { Listing } from '../../core/database/lists.ts'
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

/** What holds for all that are found, as `conditionsOf` has it, with the hosts of its cluster looked for first. */
export async function narrowedConditions(
  ctx: Context,
  tenantId: string | null,
  filter: CertificateFilter,
): Promise<readonly Sql[]> {
  return conditionsOf(ctx.now(), tenantId, await withHosts(ctx.db.read, filter))
}

/** What is asked for, with the hosts of its cluster where those are few. */
type Narrowed<Filter> = Filter & { readonly hostIds?: readonly string[] }

/** Up to so many hosts are looked for one by one. */
const fewHosts = 1_000

/** Names the hosts of the cluster that is asked for: of ids PostgreSQL knows how many they are and looks for each,
 *  while of a cluster by its name it knows nothing. Of many hosts the certificates are soon found among all. */
async function withHosts<Filter extends CertificateFilter>(
  tx: Tx,
  filter: Filter,
): Promise<Narrowed<Filter>> {
  const { cluster } = filter
  if (cluster === undefined) return filter
  const rows = await tx.$queryRaw<readonly { readonly id: string }[]>(sql`
    select "hostId"::text as id from placement
    where "clusterId" = (select "id" from cluster where "name" = ${cluster}) limit ${fewHosts + 1}::int`)
  const hostIds = [...new Set(rows.map(({ id }) => id))]
  return rows.length > fewHosts ? filter : { ...filter, hostIds }
}

/** How many certificates there are, and how many of them are renewed without being asked. */
export const countAndRenewing = sql`count(*)::int as "count",
  (count(*) filter (where certificate."autoRenew"))::int as "renewing"`

/** What holds for all that are listed. What was made to prove hosts by is only listed where it is asked
 *  for, by its serial or fingerprint. */
export function conditionsOf(
  now: Date,
  tenantId: string | null,
  filter: Narrowed<CertificateFilter>,
): readonly Sql[] {
  const { serial, fingerprint } = filter
  const byName = serial !== undefined || fingerprint !== undefined
  return [
    ...(tenantId === null ? [] : [sql`certificate."tenantId" = ${tenantId}::uuid`]),
    ...(byName ? [] : [sql`certificate."cause" <> 'probe'`]),
    ...(filter.origin === undefined ? [] : [originCondition(filter.origin)]),
    ...statusConditions(now, filter),
    ...renewalConditions(now, filter),
    ...nameConditions(filter),
    ...relationConditions(filter),
  ]
}

function originCondition(origin: NonNullable<CertificateFilter['origin']>): Sql {
  return origin === 'issued' ? sql`certificate."uploaded" = ''` : sql`certificate."uploaded" <> ''`
}

function statusConditions(
  now: Date,
  { status, expiringWithin, notAfterFrom, notAfterTo }: CertificateFilter,
): readonly Sql[] {
  const active = sql`certificate."status" = 'active'`
  return [
    // As their indexes say it, none of which may be about the status (see the migration certificate_search).
    ...(status === 'revoked' ? [sql`certificate."revokedAt" is not null`] : []),
    ...(status === 'active' ? [active, sql`certificate."notAfter" >= ${now}::timestamptz`] : []),
    ...(status === 'expired' ? [active, sql`certificate."notAfter" < ${now}::timestamptz`] : []),
    ...(expiringWithin === undefined
      ? []
      : [
          active,
          sql`certificate."notAfter" >= ${now}::timestamptz`,
          sql`certificate."notAfter" <= ${periodEnd(expiringWithin, now)}::timestamptz`,
        ]),
    ...(notAfterFrom === undefined
      ? []
      : [sql`certificate."notAfter" >= ${new Date(notAfterFrom)}::timestamptz`]),
    ...(notAfterTo === undefined
      ? []
      : [sql`certificate."notAfter" < ${new Date(notAfterTo)}::timestamptz`]),
  ]
}

function renewalConditions(now: Date, { renewal }: CertificateFilter): readonly Sql[] {
  if (renewal === undefined) return []
  const active = [
    sql`certificate."status" = 'active'`,
    sql`certificate."notAfter" >= ${now}::timestamptz`,
  ]
  if (renewal === 'failing') return [...active, sql`certificate."renewFailures" > 0`]
  return [
    ...active,
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

function relationConditions({
  authority,
  host,
  cluster,
  hostIds,
}: Narrowed<CertificateFilter>): readonly Sql[] {
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
    ...(cluster === undefined ? [] : [onCluster(cluster, hostIds)]),
  ]
}

/** `is true` has the hosts of the cluster looked up in a table of hashes, on the way along the certificates. */
function onCluster(cluster: string, hostIds: readonly string[] | undefined): Sql {
  if (hostIds) return sql`certificate."hostId" = any(${[...hostIds]}::uuid[])`
  return sql`certificate."hostId" is not null and (certificate."hostId" in (
    select placement."hostId" from placement
    where placement."clusterId" = (select "id" from cluster where "name" = ${cluster}))) is true`
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

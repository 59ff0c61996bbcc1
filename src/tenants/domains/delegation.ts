import { sql, type Tx } from '../../core/database/db.ts'
import { dueMany } from '../../core/database/due.ts'
import { type Affected, mostAffected } from './affected.ts'
import { claimsOn } from './claims.ts'
import { type Claim, claimFault, suffixes } from './ownership.ts'

/** Who holds domains decides about names that others have had for long: hosts, and certificates in force.
 *  Read before the change of domains, held against the claims after it. */
export type Touched = {
  readonly hosts: readonly Holding[]
  readonly certificates: readonly Holding[]
  readonly claims: readonly Claim[]
}

/** A host or certificate with the names that it stands for. */
type Holding = {
  readonly id: string
  readonly tenantId: string
  readonly tenant: string
  readonly serial: string
  readonly names: readonly string[]
}

/** So many of each are looked at. */
const most = 5000

/** All whose names lie under `domains`, or cover one of them as a wildcard. */
export async function touchedBy(tx: Tx, domains: readonly string[], now: Date): Promise<Touched> {
  if (domains.length === 0) return { hosts: [], certificates: [], claims: [] }
  const below = domains.map((domain) => `.${domain}`)
  const covering = domains.flatMap((domain) => suffixes(domain).slice(1)).map((rest) => `*.${rest}`)
  const exactly = [...domains, ...covering]
  const near = sql`exists (select from unnest("names") as "name"
    where "name" = any(${exactly}::text[]) or exists (
      select from unnest(${below}::text[]) as base where right("name", length(base)) = base))`
  const hosts = await tx.$queryRaw<readonly Holding[]>(sql`
    select host."id"::text as id, "tenantId"::text as "tenantId", tenant."name" as tenant,
      '' as serial, "names"
    from host join tenant on tenant."id" = "tenantId"
    cross join lateral (select array[host."name"] || array(select
      jsonb_array_elements_text(coalesce(host."spec"->'aliases', '[]')))) as each ("names")
    where "removedAt" is null and ${near}
    order by tenant."name", host."name" limit ${most}::int`)
  const certificates = await tx.$queryRaw<readonly Holding[]>(sql`
    select certificate."id"::text as id, "tenantId"::text as "tenantId", tenant."name" as tenant,
      "serial", "names"
    from certificate join tenant on tenant."id" = "tenantId"
    cross join lateral (select array_remove("dnsNames"
      || array(select lower(split_part(mail, '@', 2)) from unnest("emailAddresses") as mail)
      || array(select lower(substring(uri from '://([^/:?#]+)')) from unnest("uris") as uri)
      || lower("commonName"), null)) as each ("names")
    where "status" <> 'revoked' and "notAfter" >= ${now}::timestamptz and ${near}
    order by tenant."name", certificate."id" limit ${most}::int`)
  return { hosts, certificates, claims: await claimsOn(tx, namesOf([...hosts, ...certificates])) }
}

/** What became of those after the change: answers who lost the right to a name, and makes due whatever
 *  follows, also for those that have it again; `affected` is left out when nobody did. Their hosts say so from now on. */
export async function settleDelegation(
  tx: Tx,
  touched: Touched,
): Promise<{ readonly affected?: Affected }> {
  const { hosts, certificates, claims } = touched
  const after = await claimsOn(tx, namesOf([...hosts, ...certificates]))
  const lost = (each: Holding) =>
    foreign(each, after).filter((name) => !foreign(each, claims).includes(name))
  const changed = (each: Holding) => foreign(each, after).length !== foreign(each, claims).length
  for (const host of hosts.filter(changed)) await warn(tx, host, { before: claims, after })
  const tenants = [...hosts, ...certificates].filter(changed).map(({ tenantId }) => tenantId)
  const once = [...new Set(tenants)]
  await dueMany(
    tx,
    'tenant.review',
    once.map((tenantId) => ({ tenantId })),
  )
  const lostHosts = hosts.filter((each) => lost(each).length > 0)
  const lostCertificates = certificates.filter((each) => lost(each).length > 0)
  if (lostHosts.length + lostCertificates.length === 0) return {}
  return {
    affected: {
      hosts: lostHosts
        .slice(0, mostAffected)
        .map(({ tenant, names: [name = ''] }) => ({ tenant, name })),
      certificates: lostCertificates.slice(0, mostAffected).map((each) => ({
        tenant: each.tenant,
        id: each.id,
        serial: each.serial,
        names: [...new Set(lost(each))],
      })),
      hostCount: lostHosts.length,
      certificateCount: lostCertificates.length,
    },
  }
}

function namesOf(holdings: readonly Holding[]): readonly string[] {
  return [...new Set(holdings.flatMap(({ names }) => names))]
}

/** The names that are not the holder's. */
function foreign({ tenantId, names }: Holding, claims: readonly Claim[]): readonly string[] {
  return names.filter((name) => claimFault(tenantId, name, claims) !== undefined)
}

/** The same sentence as a push of the host finds (src/delivery/push.ts), without waiting for one. */
async function warn(
  tx: Tx,
  { id, tenantId, names }: Holding,
  { before, after }: { before: readonly Claim[]; after: readonly Claim[] },
): Promise<void> {
  const faults = (claims: readonly Claim[]) =>
    names.flatMap((name) => claimFault(tenantId, name, claims) ?? [])
  const [gone, come] = [faults(before), faults(after)]
  await tx.$executeRaw(sql`
    update placement set "warnings" = array(
        select warning from unnest("warnings") as warning where warning <> all(${gone}::text[])
      ) || ${come}::text[]
    where "hostId" = ${id}::uuid and "wanted"`)
}

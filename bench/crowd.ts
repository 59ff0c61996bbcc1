import { createAuthority } from '../src/authorities/create.ts'
import { issueCertificate } from '../src/certificates/issuance/issue.ts'
import { systemActor } from '../src/core/actor.ts'
import type { Context } from '../src/core/context.ts'
import { putHost } from '../src/hosts/put.ts'
import { createTenant } from '../src/tenants/write.ts'

/** How many there are of what. */
export type Crowd = {
  readonly certificates: number
  readonly tenants: number
  readonly hosts: number
  readonly events: number
}

/** How many clusters the hosts are spread over. */
export const crowdClusters = 20

const actor = systemActor('crowd')

/** What of a row is a matter of its number alone: the same in every run. */
const uuid = (text: string) => `md5(${text})::uuid`
const tenantId = (number: string) => uuid(`'tenant' || ${number}`)
const certificateId = (n: string) =>
  `(lpad(to_hex(1700000000000 + ${n}::bigint * 20000), 12, '0') || '7' || substr(md5('id' || ${n}), 1, 19))::uuid`

/** Fills the database with as many rows, copies of two certificates and a host that are made here as by any caller:
 *  tenant-1 has a tenth of all certificates and events, every tenth certificate is of a host, and one of a
 *  hundred of an authority of its own. Only for a database that a superuser speaks to, and none that is to be
 *  kept: indexes are made anew, and triggers do not hear of what comes. */
export async function raiseCrowd(ctx: Context, crowd: Crowd): Promise<void> {
  const run = (text: string) => ctx.db.statement(text, [])
  const now = `'${ctx.now().toISOString()}'::timestamptz`
  const owner = `(case when n % 10 = 0 then 1 else 1 + (n / 10) % ${crowd.tenants} end)`
  await run(peopleSql(crowd, now))
  const models = await issueModels(ctx)
  await run(hostsSql({ ...crowd, now }, models.host))
  await inBulk(ctx, 'certificate', crowd.certificates, (from, to) =>
    certificatesSql({ ...crowd, now, owner, models, from, to }),
  )
  await inBulk(ctx, 'audit_event', crowd.events, (from, to) =>
    eventsSql({ ...crowd, now, owner, from, to }),
  )
  await run(servingSql({ ...crowd, now }))
  const tables =
    'certificate, certificate_fingerprint, cluster_certificate, audit_event, host, placement, delivery'
  await run(`vacuum analyze ${tables}, delivery_target, placement_name, tenant, cluster, authority`)
}

type Models = { readonly large: string; readonly small: string; readonly host: string }

/** Answers the ids of what is copied. */
async function issueModels(ctx: Context): Promise<Models> {
  const issued = []
  for (const name of ['crowd-large', 'crowd-small']) {
    await createAuthority(ctx, actor, { name, kind: 'root', subject: { commonName: name } })
    const domains = [`${name}.test`]
    await createTenant(ctx, actor, { name, domains, namespaces: [name], defaultAuthority: name })
    const dnsNames = [`www.${name}.test`]
    const request = { profile: 'server' as const, dnsNames }
    const asked = { tenant: name, request, idempotencyKey: undefined }
    issued.push((await issueCertificate(ctx, actor, asked)).id)
  }
  const name = 'www.crowd-large.test'
  const to = { service: 'www', namespace: 'crowd-large', port: 80 }
  const spec = { routes: [{ match: { prefix: '/' }, to }], clusters: ['cluster-1'] }
  await putHost(ctx, actor, { tenant: 'crowd-large', name, spec })
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
  const [large = '', small = ''] = issued
  return { large, small, host: id }
}

/** Writes rows by their numbers, without the indexes that are no constraints: those are made at the end. */
async function inBulk(
  ctx: Context,
  table: string,
  count: number,
  sqlOf: (from: number, to: number) => string,
): Promise<void> {
  const rows = await ctx.db.statement(
    `select indexname as name, indexdef as definition from pg_indexes
      join pg_index on indexrelid = format('%I', indexname)::regclass
      where tablename = $1 and not indisunique order by indexname`,
    [table],
  )
  const indexes = rows as readonly { readonly name: string; readonly definition: string }[]
  for (const { name } of indexes) await ctx.db.statement(`drop index "${name}"`, [])
  const step = 200_000
  for (let from = 1; from <= count; from += step) {
    const text = sqlOf(from, Math.min(count, from + step - 1))
    await ctx.db.statement(
      `begin; set local session_replication_role = replica; set local synchronous_commit = off; ${text}; commit`,
      [],
    )
  }
  for (const { definition } of indexes) {
    const memory = `begin; set local maintenance_work_mem = '1GB'; ${definition}; commit`
    await ctx.db.statement(memory, [])
  }
}

function peopleSql({ tenants }: Crowd, now: string): string {
  return `
    insert into tenant ("id", "name", "displayName", "foldedName", "domains", "namespaces", "createdAt", "updatedAt")
    select ${tenantId('n')}, 'tenant-' || n, 'Tenant ' || n, 'tenant ' || n,
      array['tenant-' || n || '.example.com'], array['t' || n], ${now}, ${now}
    from generate_series(1, ${tenants}) as n;
    insert into cluster ("id", "name", "server", "ingressNamespace", "ingressSelector", "ingressAddress",
      "status", "createdAt", "updatedAt")
    select ${uuid("'cluster' || n")}, 'cluster-' || n, 'https://127.0.0.1:6443', 'istio-system',
      '{"istio": "ingressgateway"}', '127.0.0.1:443', 'Ready', ${now}, ${now}
    from generate_series(1, ${crowdClusters}) as n`
}

function hostsSql({ tenants, hosts, now }: Timed, model: string): string {
  return `
    begin; set local session_replication_role = replica;
    insert into host ("id", "tenantId", "name", "spec", "labels", "generation", "createdAt", "updatedAt")
    select ${uuid("'host' || n")}, ${tenantId(`(1 + n % ${tenants})`)},
      'www' || n || '.tenant-' || (1 + n % ${tenants}) || '.example.com', "spec",
      jsonb_build_object('team', 't' || n % 500), 1, ${now}, ${now}
    from host, generate_series(1, ${hosts}) as n where "id" = '${model}';
    insert into placement ("id", "tenantId", "hostId", "clusterId", "name", "wanted", "status", "since", "warnings")
    select ${uuid("'placement' || n")}, "tenantId", "id", ${uuid(`'cluster' || (1 + n / 7 % ${crowdClusters})`)},
      "name", true, case when n % 97 = 0 then 'Failed' when n % 89 = 0 then 'Pending' else 'Synced' end, ${now}, '{}'
    from generate_series(1, ${hosts}) as n join host on "id" = ${uuid("'host' || n")};
    insert into placement_name ("placementId", "clusterId", "ingress", "name")
    select "id", "clusterId", "ingress", "name" from placement on conflict do nothing;
    commit`
}

/** With the moment that its times are counted from, in SQL. */
type Timed = Crowd & { readonly now: string }
type Numbers = Timed & { readonly owner: string; readonly from: number; readonly to: number }

function certificatesSql(asked: Numbers & { readonly models: Models }): string {
  const { owner, models, from, to, hosts, tenants, now } = asked
  const host = `(1 + n / 10 % ${hosts})`
  return `
    insert into certificate ("id", "tenantId", "authorityId", "issuerId", "hostId", "profile", "status", "serial",
      "subject", "dnsNames", "ipAddresses", "emailAddresses", "uris", "keyAlgorithm", "spkiSha256",
      "keySource", "notBefore", "notAfter", "der", "fingerprintSha256", "cause", "createdAt", "labels",
      "crlShard", "autoRenew", "renewAt", "revokedAt", "revocationReason")
    select ${certificateId('n')}, ${tenantId(`(case when n % 10 = 5 then 1 + ${host} % ${tenants} else ${owner} end)`)},
      "authorityId", "issuerId", case when n % 10 = 5 then ${uuid(`'host' || ${host}`)} end,
      case when n % 10 = 1 then 'client' else 'server' end,
      case when n % 50 = 7 then 'revoked' else 'active' end,
      '5' || substr(md5('serial' || n), 2), "subject",
      array[case when n % 10 = 5 then 'www' || ${host} || '.tenant-' || (1 + ${host} % ${tenants})
        else 'srv' || n || '.tenant-' || ${owner} end || '.example.com'],
      "ipAddresses", "emailAddresses", "uris", "keyAlgorithm", md5('key' || n) || md5('yek' || n),
      "keySource", ends.at - interval '90 days', ends.at, "der", md5('print' || n) || md5('tnirp' || n),
      case when n % 10 = 5 then 'host' else 'requested' end, ${now},
      case when n % 4 = 0 then jsonb_build_object('env', case when n % 3 = 0 then 'test' else 'prod' end,
        'team', 't' || n % 500) else '{}' end,
      "crlShard", n % 3 = 0, case when n % 3 = 0 then ends.at - interval '30 days' end,
      case when n % 50 = 7 then date_trunc('second', ${now}) end, case when n % 50 = 7 then 'superseded' end
    from generate_series(${from}, ${to}) as n
    cross join lateral (select date_trunc('second', ${now}) + (n::bigint * 7919 % 365 - 60) * interval '1 day'
      + (n::bigint * 104729 % 86400) * interval '1 second' as at) as ends
    join certificate on certificate."id" = case when n % 100 = 3 then '${models.small}' else '${models.large}' end::uuid;
    insert into certificate_fingerprint select decode("fingerprintSha256", 'hex'), "id" from certificate
    join generate_series(${from}, ${to}) as n on "id" = ${certificateId('n')}`
}

function eventsSql({ owner, from, to, certificates, hosts, events, now }: Numbers): string {
  const rare = 'n % 100000 = 50000'
  return `
    insert into audit_event ("at", "actorKind", "actorId", "actorName", "requestId", "tenantId", "action",
      "subjectKind", "subjectId", "subjectName", "changes")
    select ${now} - (${events} - n) * (interval '2 years' / ${events}), 'api-key', md5('actor' || who.name)::uuid::text,
      who.name, case when n % 5 <> 0 then md5('request' || n)::uuid::text end,
      case when ${rare} then null else ${tenantId(owner)} end,
      case when ${rare} then 'authority.rotated' else what.kind || '.' || what.verb end, what.kind,
      case what.kind when 'certificate' then ${certificateId(`(1 + n % ${certificates})`)}::text
        when 'host' then ${uuid(`'host' || (1 + n % ${hosts})`)}::text else '192.0.2.' || n % 256 end,
      what.kind || n % 1000, jsonb_build_object('serial', md5('serial' || n), 'profile', 'server')
    from generate_series(${from}, ${to}) as n
    cross join lateral (select case when n % 3 = 0 then 'portal' else 'ci-' || ${owner} end as name) as who
    cross join lateral (select case when n % 100 < 60 then 'certificate' when n % 100 < 80 then 'host'
        when n % 100 < 88 then 'certificate' when n % 100 < 94 then 'access' else 'certificate' end as kind,
      case when n % 100 < 60 then 'issued' when n % 100 < 80 then 'changed' when n % 100 < 88 then 'downloaded'
        when n % 100 < 94 then 'refused' else 'revoked' end as verb) as what`
}

/** Hosts have the certificate that ends last, and every fifth is delivered as a Secret, too. */
function servingSql({ hosts, now }: Timed): string {
  return `
    begin; set local session_replication_role = replica;
    update host set "certificateId" = last."id" from (select distinct on ("hostId") "hostId", "id" from certificate
      where "hostId" is not null and "status" = 'active' order by "hostId", "notAfter" desc) as last
    where host."id" = last."hostId";
    insert into cluster_certificate ("clusterId", "certificateId", "hostId", "notAfter")
    select distinct "clusterId", certificate."id", "hostId", "notAfter" from certificate
    join placement using ("tenantId", "hostId");
    insert into delivery ("id", "tenantId", "name", "certificateId", "namespace", "secretName", "createdAt", "updatedAt")
    select ${uuid("'delivery' || n")}, "tenantId", 'delivery-' || n, "certificateId", 'ns-' || n % 50, 'tls-' || n, ${now}, ${now}
    from generate_series(5, ${hosts}, 5) as n join host on "id" = ${uuid("'host' || n")} and "certificateId" is not null;
    insert into delivery_target ("id", "tenantId", "deliveryId", "clusterId", "namespace", "secretName", "wanted",
      "status", "since")
    select "id", "tenantId", "id", ${uuid(`'cluster' || (1 + row_number() over (order by "name") % ${crowdClusters})`)},
      "namespace", "secretName", true, case when "name" like '%75' then 'Failed' else 'Synced' end, ${now}
    from delivery;
    commit`
}

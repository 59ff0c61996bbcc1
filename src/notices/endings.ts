import type { Context } from '../core/context.ts'
import { sql } from '../core/database/db.ts'
import { day, hour } from '../shared/moment.ts'
import type { News } from './tell.ts'
import { crossed, crossedAt, endText } from './thresholds.ts'

/** Ends after `from` up to `to`. */
type Within = { readonly from: Date; readonly to: Date }

const batchSize = 500

type Ending = {
  readonly id: string
  readonly tenantId: string | null
  readonly tenant: string | null
  readonly name: string
  readonly serial: string
  readonly notAfter: Date
}

type EndingCertificate = Ending & {
  readonly dnsNames: string[]
  readonly autoRenew: boolean
  readonly error: string | null
  /** What its next one waits for, where that was ordered of a CA elsewhere and is not there after an hour. */
  readonly waits: string | null
  readonly host: string | null
  readonly uploaded: string
  /** Of one that was uploaded: those that have it. */
  readonly hosts: readonly string[]
}

/** The certificates that end then and that no renewal takes care of: nobody renews them, or it has failed. What
 *  another has taken the place of is left out, and so is that of a host which has another one. */
export async function* endingCertificates(
  ctx: Context,
  { from, to }: Within,
): AsyncGenerator<readonly News[]> {
  let after = { notAfter: from, id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }
  for (;;) {
    const rows = await ctx.db.read.$queryRaw<readonly EndingCertificate[]>(sql`
      select item."id"::text, item."tenantId"::text, tenant."name" as "tenant",
        coalesce(item."commonName", item."dnsNames"[1], item."serial") as "name", item."serial",
        item."notAfter", item."dnsNames", item."autoRenew", item."renewError" as "error",
        waiting."message" as "waits",
        host."name" as "host", item."uploaded",
        array(select "name" from host user_of where user_of."certificateId" = item."id"
          and item."uploaded" <> '' and user_of."removedAt" is null order by "name" limit 20) as "hosts"
      from certificate item join tenant on tenant."id" = item."tenantId"
      left join host on host."id" = item."hostId"
      left join lateral (
        select coalesce("message", 'the CA') as "message" from ca_order where "hostId" = item."hostId" and "endedAt" is null
          and "createdAt" < ${new Date(ctx.now().getTime() - hour)}::timestamptz
      ) waiting on true
      where (item."notAfter", item."id") > (${after.notAfter}::timestamptz, ${after.id}::uuid)
        and item."notAfter" <= ${to}::timestamptz
        and item."status" = 'active' and item."cause" <> 'probe'
        and (not item."autoRenew" or item."renewFailures" > 0
          or waiting."message" is not null)
        and not exists (select from certificate other
          where other."replacesId" = item."id" and other."status" = 'active')
        and (item."hostId" is null
          or (host."certificateId" = item."id" and host."removedAt" is null))
      order by item."notAfter", item."id" limit ${batchSize}::int`)
    yield rows.flatMap((row) => newsOfCertificate(row, ctx.now()))
    const last = rows.at(-1)
    if (!last || rows.length < batchSize) return
    after = last
  }
}

function newsOfCertificate(row: EndingCertificate, now: Date): readonly News[] {
  const { dnsNames, autoRenew, error, waits, host, uploaded, hosts } = row
  const serves = hosts.length > 0 ? `; it serves ${hosts.slice(0, 5).join(', ')}` : ''
  const why = autoRenew
    ? waits !== null && error === null
      ? `its next one was ordered and is waited for: ${waits}`
      : `renewal fails: ${error ?? 'no reason is known'}`
    : uploaded === ''
      ? 'nobody renews it'
      : `it was uploaded, so nothing renews it: upload its successor (replaces)${serves}`
  return newsOf(row, now, { kind: 'certificate', type: 'certificate.expiring', why }).map(
    (news) => ({
      ...news,
      data: {
        ...news.data,
        dnsNames,
        autoRenew,
        error: error ?? waits,
        host: host ?? hosts[0] ?? null,
      },
    }),
  )
}

function newsOf(
  row: Ending,
  now: Date,
  { kind, type, why }: { kind: string; type: News['type']; why: string },
): readonly News[] {
  const days = crossed(row.notAfter, now)
  if (days === undefined) return []
  const { id, tenantId, tenant, name, serial, notAfter } = row
  return [
    {
      key: `${kind}/${id}/ends/${days}`,
      type,
      tenantId,
      since: crossedAt(notAfter, days),
      data: {
        tenant,
        subject: { kind, id, name },
        summary: `${kind} ${name} ${endText(notAfter, now)}: ${why}`,
        ...{ serial, notAfter: notAfter.toISOString(), days },
      },
    },
  ]
}

/** The certificates of authorities that end then and are still in use. */
export async function endingAuthorities(
  ctx: Context,
  { from, to }: Within,
): Promise<readonly News[]> {
  const rows = await ctx.db.read.$queryRaw<readonly Ending[]>(sql`
    select issuer."id"::text, authority."tenantId"::text, tenant."name" as "tenant",
      authority."name", issuer."serial", issuer."notAfter"
    from issuer join authority on authority."id" = issuer."authorityId"
    left join tenant on tenant."id" = authority."tenantId"
    where issuer."notAfter" > ${from}::timestamptz and issuer."notAfter" <= ${to}::timestamptz
      and issuer."revokedAt" is null and (issuer."issues" or issuer."trusted")
      and authority."removedAt" is null`)
  return rows.flatMap((row) =>
    newsOf(row, ctx.now(), {
      kind: 'authority',
      type: 'authority.expiring',
      why: 'change its key, or renew it, before then',
    }),
  )
}

type EndingList = {
  readonly keyId: string
  readonly shard: number
  readonly number: bigint
  readonly nextUpdate: Date
  readonly tenantId: string | null
  readonly tenant: string | null
  readonly name: string
}

/** A list is published every day, for a week: one that ends within two days is not published any more. */
const margin = 2 * day

/** The revocation lists that are about to end, or have, with no newer one. */
export async function endingLists(ctx: Context): Promise<readonly News[]> {
  const now = ctx.now()
  const soon = new Date(now.getTime() + margin)
  const rows = await ctx.db.read.$queryRaw<readonly EndingList[]>(sql`
    select distinct on (list."keyId", list."shard") list."keyId"::text, list."shard", list."number",
      list."nextUpdate", authority."tenantId"::text, tenant."name" as "tenant", authority."name"
    from revocation_list list join issuer on issuer."keyId" = list."keyId"
    join authority on authority."id" = issuer."authorityId"
    left join tenant on tenant."id" = authority."tenantId"
    where list."nextUpdate" <= ${soon}::timestamptz and list."number" is not null
      and issuer."notAfter" > ${now}::timestamptz and authority."removedAt" is null
    order by list."keyId", list."shard" limit ${batchSize}::int`)
  return rows.map(({ keyId, shard, number, nextUpdate, tenantId, tenant, name }) => ({
    key: `list/${keyId}/${shard}/${number}/ends`,
    type: 'list.expiring',
    tenantId,
    since: new Date(nextUpdate.getTime() - margin),
    data: {
      tenant,
      subject: { kind: 'authority', id: keyId, name },
      summary: `revocation list ${shard} of authority ${name} ${endText(nextUpdate, now)}: none newer is published`,
      ...{ shard, number: String(number), nextUpdate: nextUpdate.toISOString() },
    },
  }))
}

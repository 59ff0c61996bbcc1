import Type from 'typebox'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { emptySql, joinSql, type Sql, sql } from '../../core/database/db.ts'
import { closed, Timestamp } from '../../shared/schema.ts'
import { timestamp } from '../../shared/view.ts'
import { tenantIdOf } from './expiries.ts'
import type { CertificateFilter } from './filter.ts'
import { countAndRenewing, searchOf } from './select.ts'

/** By what certificates are put together. */
export const Grouping = Type.Enum(
  ['tenant', 'authority', 'cluster', 'profile', 'keyAlgorithm', 'day', 'week'],
  {
    title: 'Grouping',
    description:
      'What certificates are put together by; of a cluster are those of the hosts on it, a week begins on Monday (UTC)',
  },
)
export type Grouping = Type.Static<typeof Grouping>

/** The certificates that have something in common. */
export const CertificateGroup = closed(
  {
    key: Type.String({
      description:
        'What they have in common: a name, a word, or the moment that a day begins; as an authority "" of those that were uploaded',
    }),
    count: Type.Integer({ description: 'How many they are' }),
    renewing: Type.Integer({ description: 'Of these, renewed without being asked' }),
    soonestEnd: Timestamp,
  },
  { title: 'CertificateGroup', description: 'Certificates that have something in common' },
)
export type CertificateGroup = Type.Static<typeof CertificateGroup>

const most = 500

type Keyed = { readonly key: Sql; readonly name: Sql; readonly joined: Sql }

const word = (key: Sql): Keyed => ({ key, name: sql`"key"::text`, joined: emptySql })
const named = (key: Sql, table: Sql, joined = emptySql): Keyed => ({
  key,
  name: sql`(select "name" from ${table} where "id" = grouped."key")`,
  joined,
})
const since = (step: Sql): Keyed => ({
  key: sql`date_trunc(${step}, certificate."notAfter", 'UTC')`,
  name: sql`to_char("key" at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`,
  joined: emptySql,
})

const groupings: Readonly<Record<Grouping, Keyed>> = {
  tenant: named(sql`certificate."tenantId"`, sql`tenant`),
  authority: {
    ...named(sql`certificate."authorityId"`, sql`authority`),
    name: sql`coalesce((select "name" from authority where "id" = grouped."key"), '')`,
  },
  // However many of its hosts use it.
  cluster: named(
    sql`placed."clusterId"`,
    sql`cluster`,
    sql`join (select distinct "certificateId", "clusterId" from cluster_certificate) as placed
      on placed."certificateId" = certificate."id"`,
  ),
  profile: word(sql`certificate."profile"`),
  keyAlgorithm: word(sql`certificate."keyAlgorithm"`),
  day: since(sql`'day'`),
  week: since(sql`'week'`),
}

type Asked = CertificateFilter & { readonly tenant?: string; readonly by: Grouping }

/** The certificates that a filter finds, put together; the group with the soonest end first, 500 groups at most. A
 *  tenant's API key is told of its own. Throws forbidden, tenant-unknown, request-invalid. */
export async function certificateGroups(
  ctx: Context,
  actor: Actor,
  { by, tenant, ...filter }: Asked,
): Promise<readonly CertificateGroup[]> {
  const tenantId = await tenantIdOf(ctx, actor, tenant)
  const { key, name, joined } = groupings[by]
  const { from, conditions } = searchOf(ctx.now(), tenantId, filter)
  const rows = await ctx.db.rows<Row>(sql`
    select ${name} as "key", "count", "renewing", "soonestEnd" from (
      select ${key} as "key", ${countAndRenewing},
        min(certificate."notAfter") as "soonestEnd"
      from ${from} ${joined} where ${joinSql([sql`true`, ...conditions], ' and ')}
      group by 1 order by 4, 1 limit ${most}::int
    ) as grouped order by "soonestEnd", 1`)
  return rows.map((row) => ({ ...row, soonestEnd: timestamp(row.soonestEnd) }))
}

type Row = Omit<CertificateGroup, 'soonestEnd'> & { readonly soonestEnd: Date }

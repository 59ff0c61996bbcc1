import { type Actor, allowPlatform } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { type Scalars, type Sql, sql } from '../../core/database/db.ts'
import { type Listing, listRows, when } from '../../core/database/lists.ts'
import { named, type Row, rowsOf } from '../../core/database/rows.ts'
import { periodEnd } from '../../shared/lists/period.ts'
import type { List } from '../../shared/lists/query.ts'
import { timestamp } from '../../shared/view.ts'
import { clusterRow } from '../find.ts'
import type { EndSort, ForeignCertificate, ForeignQuery, Gateway, Gateways } from './schema.ts'

const rows = rowsOf('ForeignCertificate', {
  cluster: named(sql`cluster`, sql`foreign_certificate."clusterId"`),
})

const listing: Listing<EndSort, Row<typeof rows>> = {
  rows,
  usual: 'notAfter',
  orders: {
    notAfter: [
      { member: 'notAfter', kind: 'timestamptz' },
      { member: 'id', kind: 'uuid' },
    ],
  },
}

/** Certificates that gateways hold and that nobody has here, soonest end first unless asked otherwise, as they were
 *  last read. For platform-wide roles: whose they are is not known. Throws forbidden, cursor-refused,
 *  request-invalid. */
export async function listForeign(
  ctx: Context,
  actor: Actor,
  query: ForeignQuery,
): Promise<List<ForeignCertificate>> {
  allowPlatform(actor, 'read')
  const page = await listRows(ctx.db, listing, {
    conditions: conditionsOf(ctx.now(), query),
    query,
  })
  return { ...page, items: page.items.map(foreignView) }
}

function conditionsOf(now: Date, query: ForeignQuery): readonly Sql[] {
  const { cluster, ingress, expiringWithin, notAfterFrom, notAfterTo, name } = query
  return [
    ...when(
      cluster,
      (one) =>
        sql`foreign_certificate."clusterId" = (select "id" from cluster where "name" = ${one})`,
    ),
    ...when(ingress, (one) => sql`foreign_certificate."ingress" = ${one}`),
    ...when(
      expiringWithin,
      (one) => sql`foreign_certificate."notAfter" >= ${now}::timestamptz
        and foreign_certificate."notAfter" <= ${periodEnd(one, now)}::timestamptz`,
    ),
    ...when(
      notAfterFrom,
      (one) => sql`foreign_certificate."notAfter" >= ${new Date(one)}::timestamptz`,
    ),
    ...when(
      notAfterTo,
      (one) => sql`foreign_certificate."notAfter" < ${new Date(one)}::timestamptz`,
    ),
    ...when(
      name,
      (one) => sql`${one.toLowerCase()} = any(
        foreign_certificate."dnsNames" || foreign_certificate."servedNames")`,
    ),
  ]
}

/** The gateway pods of a cluster, and what came of the last reading of each. Throws forbidden, cluster-unknown. */
export async function listGateways(ctx: Context, actor: Actor, cluster: string): Promise<Gateways> {
  allowPlatform(actor, 'read')
  const { id } = await clusterRow(ctx.db.read, cluster)
  const found = await ctx.db.read.gatewayReading.findMany({
    where: { clusterId: id },
    orderBy: [{ ingress: 'asc' }, { pod: 'asc' }],
  })
  return { items: found.map(gatewayView) }
}

/** The same of many clusters, by their names. Throws forbidden. */
export async function gatewaysOfClusters(
  ctx: Context,
  actor: Actor,
  names: readonly string[],
): Promise<ReadonlyMap<string, readonly Gateway[]>> {
  allowPlatform(actor, 'read')
  const found = await ctx.db.read.gatewayReading.findMany({
    where: { cluster: { name: { in: [...names] } } },
    include: { cluster: { select: { name: true } } },
    orderBy: [{ ingress: 'asc' }, { pod: 'asc' }],
  })
  const groups = Map.groupBy(found, ({ cluster }) => cluster.name)
  return new Map([...groups].map(([name, rows]) => [name, rows.map(gatewayView)]))
}

function gatewayView(row: Scalars<'GatewayReading'>): Gateway {
  const { ingress, pod, readAt, reason, holds, foreign } = row
  const counts = { certificates: holds, foreign }
  return { ingress, pod: pod === '' ? null : pod, readAt: timestamp(readAt), reason, ...counts }
}

function foreignView(row: Row<typeof rows>): ForeignCertificate {
  const { clusterId: _, cluster, notBefore, notAfter, firstSeenAt, seenAt, ...facts } = row
  return {
    ...facts,
    cluster: cluster.name,
    notBefore: timestamp(notBefore),
    notAfter: timestamp(notAfter),
    firstSeenAt: timestamp(firstSeenAt),
    seenAt: timestamp(seenAt),
  }
}

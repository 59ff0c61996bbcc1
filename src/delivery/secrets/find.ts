import Type from 'typebox'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { joinSql, type Sql, sql, type Tx } from '../../core/database/db.ts'
import { byName, listRows, when } from '../../core/database/lists.ts'
import { named, type Row, rowsOf } from '../../core/database/rows.ts'
import { type LineMember, newestInLines } from '../../hosts/certificates/line.ts'
import { type Cursored, type List, listQuery, NameSort } from '../../shared/lists/query.ts'
import { must } from '../../shared/must.ts'
import { Problem } from '../../shared/problem.ts'
import { Name, Namespace } from '../../shared/schema.ts'
import { shown, shownJson, timestamp, timestampOrNull } from '../../shared/view.ts'
import { accessTenant } from '../../tenants/access.ts'
import { Delivery, Keystores } from './schema.ts'

const related = {
  tenant: { select: { name: true } },
  targets: {
    include: { cluster: { select: { name: true } } },
    orderBy: { cluster: { name: 'asc' } },
  },
} as const

/** A delivery with what is shown of its relations. */
export type DeliveryRow = NonNullable<Awaited<ReturnType<typeof findDelivery>>>

/** The row of this name. */
export function findDelivery(tx: Tx, tenantId: string, name: string) {
  return tx.delivery.findUnique({
    where: { tenantId_name: { tenantId, name } },
    include: related,
  })
}

/** The row of this name. Throws delivery-unknown. */
export async function deliveryRow(tx: Tx, tenantId: string, name: string): Promise<DeliveryRow> {
  const row = await findDelivery(tx, tenantId, name)
  if (!row) throw new Problem('delivery-unknown', `There is no delivery "${name}"`)
  return row
}

/** One delivery: what was asked for, and how it stands on each cluster. Throws tenant-unknown,
 *  delivery-unknown. */
export async function getDelivery(
  ctx: Context,
  actor: Actor,
  { tenant, name }: { readonly tenant: string; readonly name: string },
): Promise<Delivery> {
  const { id } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  return viewDelivery(ctx.db.read, await deliveryRow(ctx.db.read, id, name))
}

/** Which deliveries are listed; all that is named must hold. */
export const DeliveryQuery = listQuery(NameSort, {
  status: Type.Optional(
    Type.Enum(['Pending', 'Synced', 'Failed', 'Conflict'], {
      title: 'DeliveryStatusFilter',
      description: 'Those that stand so on a cluster; with `cluster`, on that one',
    }),
  ),
  cluster: Type.Optional(Name),
  namespace: Type.Optional(Namespace),
})
export type DeliveryQuery = Cursored<Type.Static<typeof DeliveryQuery>>

const rows = rowsOf('Delivery', { tenant: named(sql`tenant`, sql`delivery."tenantId"`) })

/** A delivery as it is listed: with the name of its tenant. */
type ListedDelivery = Row<typeof rows>

/** How deliveries are listed. */
export const deliveryListing = byName(rows)

/** What holds for the deliveries that are asked for, of whichever tenant. */
export function deliveryConditions({ status, cluster, namespace }: DeliveryQuery): readonly Sql[] {
  const targets = [
    ...when(status, (one) => sql`target."status" = ${one}`),
    ...when(
      cluster,
      (one) => sql`target."clusterId" = (select "id" from cluster where "name" = ${one})`,
    ),
  ]
  return [
    ...(targets.length === 0
      ? []
      : [
          sql`exists (select from delivery_target target where target."tenantId" = delivery."tenantId"
            and target."deliveryId" = delivery."id" and ${joinSql(targets, ' and ')})`,
        ]),
    ...when(namespace, (one) => sql`delivery."namespace" = ${one}`),
  ]
}

/** The tenant's deliveries, by name unless asked otherwise. Throws tenant-unknown, cursor-refused. */
export async function listDeliveries(
  ctx: Context,
  actor: Actor,
  { tenant, ...query }: DeliveryQuery & { readonly tenant: string },
): Promise<List<Delivery>> {
  const { id } = await accessTenant(ctx, actor, { name: tenant, permission: 'read' })
  const conditions = [sql`delivery."tenantId" = ${id}::uuid`, ...deliveryConditions(query)]
  const page = await listRows(ctx.db, deliveryListing, { conditions, query })
  return { ...page, items: await listedDeliveries(ctx, page.items) }
}

/** These as they are shown, in as many statements for many as for one. */
export async function listedDeliveries(
  { db: { read } }: Context,
  deliveries: readonly ListedDelivery[],
): Promise<Delivery[]> {
  const targets = await read.deliveryTarget.findMany({
    where: { deliveryId: { in: deliveries.map(({ id }) => id) } },
    ...related.targets,
  })
  const aimed = Map.groupBy(targets, ({ deliveryId }) => deliveryId)
  const whole = deliveries.map((each) => ({ ...each, targets: aimed.get(each.id) ?? [] }))
  return viewDeliveries(read, whole)
}

/** The row as it is shown. */
export async function viewDelivery(tx: Tx, row: DeliveryRow): Promise<Delivery> {
  const [view] = await viewDeliveries(tx, [row])
  return must(view, 'a delivery is shown')
}

/** The rows as they are shown, in as many statements for many as for one. */
async function viewDeliveries(tx: Tx, rows: readonly DeliveryRow[]): Promise<Delivery[]> {
  const newest = await newestInLines(
    tx,
    rows.map(({ certificateId }) => certificateId),
  )
  return rows.map((row) =>
    deliveryView(row, must(newest.get(row.certificateId), 'a delivery has a certificate')),
  )
}

/** The stores that were asked for. */
export function keystoresAsked({
  keystores,
}: Pick<DeliveryRow, 'keystores'>): Keystores | undefined {
  const { pkcs12 } = shownJson(Type.Partial(Keystores), keystores)
  return pkcs12 && { pkcs12 }
}

function deliveryView(row: DeliveryRow, newest: LineMember): Delivery {
  const { id, serial, notAfter, autoRenew } = newest
  const wanted = row.targets.filter((target) => target.wanted)
  const keystores = keystoresAsked(row)
  return shown(Delivery, {
    name: row.name,
    tenant: row.tenant.name,
    certificate: id,
    secret: { name: row.secretName, namespace: row.namespace },
    ...(keystores ? { keystores } : {}),
    ...(row.deployment === null ? {} : { restart: { deployment: row.deployment } }),
    clusters: wanted.map(({ cluster }) => cluster.name),
    createdAt: timestamp(row.createdAt),
    updatedAt: timestamp(row.updatedAt),
    removedAt: timestampOrNull(row.removedAt),
    status: {
      certificate: { id, serial, notAfter: timestamp(notAfter), autoRenew },
      warnings: autoRenew
        ? []
        : [
            `The certificate is not renewed by itself and ends at ${notAfter.toISOString()}: renew it in time (POST …/certificates/{id}/renew), or order one with autoRenew`,
          ],
      clusters: row.targets.map((target) => ({
        cluster: target.cluster.name,
        status: target.status,
        since: timestamp(target.since),
        message: target.message,
        secret: { name: target.secretName, namespace: target.namespace },
        certificate: target.certificateId,
        syncedAt: timestampOrNull(target.syncedAt),
      })),
    },
  })
}

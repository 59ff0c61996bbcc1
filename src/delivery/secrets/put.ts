import { isDeepStrictEqual } from 'node:util'
import { record } from '../../audit/record.ts'
import { type Actor, allow } from '../../core/actor.ts'
import { type Context, newId } from '../../core/context.ts'
import { isDuplicate, json, type Tx } from '../../core/database/db.ts'
import { dueMany } from '../../core/database/due.ts'
import type { Precondition } from '../../core/refusal.ts'
import { type LineMember, newestInLine } from '../../hosts/certificates/line.ts'
import { blockedSentence } from '../../hosts/certificates/uploaded.ts'
import { lock } from '../../hosts/lock.ts'
import { Problem, refuse, type Violation } from '../../shared/problem.ts'
import { accessTenant, type TenantRow } from '../../tenants/access.ts'
import { holdRoom } from '../../tenants/quotas/usage.ts'
import {
  type DeliveryRow,
  deliveryRow,
  findDelivery,
  keystoresAsked,
  viewDelivery,
} from './find.ts'
import type { Delivery, DeliverySpec } from './schema.ts'

/** What a caller says of a delivery. */
export type DeliveryRequest = {
  readonly tenant: string
  readonly name: string
  readonly spec: DeliverySpec
}

/** Has a certificate, and whatever takes its place, delivered as a Secret to a namespace of the tenant on
 *  the clusters that are named, and on no others. The same twice changes nothing; one that is being removed
 *  comes back. Throws tenant-unknown, forbidden, delivery-refused, delivery-conflict, quota-exceeded. */
export async function putDelivery(
  ctx: Context,
  actor: Actor,
  asked: DeliveryRequest,
  expected?: Precondition,
): Promise<{ readonly delivery: Delivery; readonly created: boolean }> {
  const tenant = await accessTenant(ctx, actor, {
    name: asked.tenant,
    permission: 'write-certificates',
  })
  // The key goes where whoever may read Secrets there can have it.
  allow(actor, 'read-keys')
  const checked = await check(ctx.db.read, tenant, asked)
  try {
    return await ctx.db.transaction(async (tx) => {
      await lock(tx, [deliveryLock(tenant.id, asked.name)])
      if (expected) {
        const before = await findDelivery(tx, tenant.id, asked.name)
        expected(before && (await viewDelivery(tx, before)))
      }
      const created = await store(tx, { ctx, actor, checked })
      const row = await deliveryRow(tx, tenant.id, asked.name)
      return { delivery: await viewDelivery(tx, row), created }
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    const { name, namespace } = asked.spec.secret
    throw new Problem(
      'delivery-conflict',
      `Another delivery has Secret ${namespace}/${name} on one of these clusters; choose another name`,
    )
  }
}

/** What to hold while a delivery is changed. */
export function deliveryLock(tenantId: string, name: string): string {
  return `delivery/${tenantId}/${name}`
}

type Checked = {
  readonly tenant: TenantRow
  readonly name: string
  readonly spec: DeliverySpec
  readonly newest: LineMember
  readonly clusters: readonly { readonly id: string; readonly name: string }[]
}

async function check(tx: Tx, tenant: TenantRow, { name, spec }: DeliveryRequest): Promise<Checked> {
  const clusters = await tx.cluster.findMany({
    where: { name: { in: spec.clusters } },
    select: { id: true, name: true },
  })
  const newest = await newestInLine(tx, spec.certificate)
  refuse('delivery-refused', [
    ...certificateFaults(newest, tenant.id),
    ...secretFaults(spec, tenant.namespaces),
    ...spec.clusters.flatMap((each, index) =>
      clusters.some((cluster) => cluster.name === each)
        ? []
        : [{ field: `/clusters/${index}`, message: `There is no cluster "${each}"` }],
    ),
  ])
  if (!newest) throw new Problem('delivery-refused', 'There is no such certificate')
  return { tenant, name, spec, newest, clusters }
}

function certificateFaults(newest: LineMember | undefined, tenantId: string): readonly Violation[] {
  const field = '/certificate'
  if (!newest || newest.tenantId !== tenantId || newest.cause === 'probe') {
    return [{ field, message: 'There is no certificate of this id' }]
  }
  if (newest.hostId !== null) {
    const message =
      'It was made for a host: its key goes to the clusters of that host and nowhere else. Order one for this'
    return [{ field, message }]
  }
  if (newest.keySource === 'caller') {
    const message =
      'Its key is with whoever sent its CSR: only one whose key was made here can be delivered'
    return [{ field, message }]
  }
  if (newest.uploaded !== '' && newest.keyBlockedSince !== null) {
    return [{ field, message: blockedSentence(newest.keyBlockedSince) }]
  }
  if (newest.status === 'revoked') {
    return [{ field, message: 'It was revoked, and nothing has taken its place: renew it first' }]
  }
  return []
}

function secretFaults({ secret, keystores }: DeliverySpec, namespaces: readonly string[]) {
  const faults: Violation[] = []
  if (!namespaces.includes(secret.namespace)) {
    const message = `Namespace "${secret.namespace}" is not one of the tenant's: ${namespaces.join(', ') || 'it has none'}`
    faults.push({ field: '/secret/namespace', message })
  }
  if (keystores?.pkcs12.passwordSecretRef?.name === secret.name) {
    const message = 'The password lies in another Secret than the one that is delivered'
    faults.push({ field: '/keystores/pkcs12/passwordSecretRef/name', message })
  }
  // Istio reads a Secret of such a name as client CA only (istio.md 1.5).
  if (secret.name.endsWith('-cacert')) {
    faults.push({ field: '/secret/name', message: 'It must not end in -cacert' })
  }
  return faults
}

/** Answers whether it is new. */
async function store(
  tx: Tx,
  { ctx, actor, checked }: { ctx: Context; actor: Actor; checked: Checked },
): Promise<boolean> {
  const { tenant, name, spec, newest, clusters } = checked
  const tenantId = tenant.id
  const before = await findDelivery(tx, tenantId, name)
  if (before && (await isSame(tx, before, checked))) return false
  if (!before) {
    const count = () => tx.delivery.count({ where: { tenantId } })
    await holdRoom(tx, { ctx, tenant }, { quota: 'deliveries', count })
  }
  const now = ctx.now()
  const id = before?.id ?? newId(now)
  const data = {
    certificateId: newest.id,
    namespace: spec.secret.namespace,
    secretName: spec.secret.name,
    deployment: spec.restart?.deployment ?? null,
    keystores: json(spec.keystores ?? {}),
    removedAt: null,
    updatedAt: now,
  }
  if (before) await tx.delivery.update({ where: { id }, data })
  else await tx.delivery.create({ data: { id, tenantId, name, ...data, createdAt: now } })
  await aim(tx, { now, id, checked })
  const created = !before || before.removedAt !== null
  await record(tx, { actor, now }, created ? 'delivery.created' : 'delivery.changed', {
    subject: { kind: 'delivery', id, name, tenantId },
    changes: {
      certificate: newest.id,
      serial: newest.serial,
      secret: `${spec.secret.namespace}/${spec.secret.name}`,
      restart: spec.restart?.deployment,
      keystores: spec.keystores && Object.keys(spec.keystores),
      passwordSecret: spec.keystores?.pkcs12.passwordSecretRef?.name,
      clusters: clusters.map((cluster) => cluster.name).toSorted(),
    },
  })
  return created
}

async function isSame(tx: Tx, row: DeliveryRow, { spec, newest }: Checked): Promise<boolean> {
  if (row.removedAt !== null) return false
  const stands = await newestInLine(tx, row.certificateId)
  const wanted = row.targets.filter((target) => target.wanted).map(({ cluster }) => cluster.name)
  return isDeepStrictEqual(
    [
      stands?.id,
      row.namespace,
      row.secretName,
      row.deployment,
      keystoresAsked(row),
      wanted.toSorted(),
    ],
    [
      newest.id,
      spec.secret.namespace,
      spec.secret.name,
      spec.restart?.deployment ?? null,
      spec.keystores,
      spec.clusters.toSorted(),
    ],
  )
}

/** A target for each cluster that is named; those elsewhere, or of another Secret, are to go. */
async function aim(
  tx: Tx,
  { now, id: deliveryId, checked }: { now: Date; id: string; checked: Checked },
): Promise<void> {
  const { tenant, spec, clusters } = checked
  const { name: secretName, namespace } = spec.secret
  const state = { wanted: true, status: 'Pending', since: now, message: null }
  const kept: { readonly targetId: string; readonly clusterId: string }[] = []
  for (const { id: clusterId } of clusters) {
    const key = { clusterId, namespace, secretName }
    const own = await tx.deliveryTarget.findFirst({ where: { deliveryId, ...key } })
    const { id } = own
      ? await tx.deliveryTarget.update({ where: { id: own.id }, data: state })
      : await tx.deliveryTarget.create({
          data: { id: newId(now), tenantId: tenant.id, deliveryId, ...key, ...state },
        })
    kept.push({ targetId: id, clusterId })
  }
  await dueMany(tx, 'delivery.reconcile', kept)
  await withdrawTargets(
    tx,
    now,
    await tx.deliveryTarget.findMany({
      where: { deliveryId, id: { notIn: kept.map(({ targetId }) => targetId) } },
      select: { id: true, clusterId: true },
    }),
  )
}

/** Marks targets as to be taken off their clusters, and makes that due. */
export async function withdrawTargets(
  tx: Tx,
  now: Date,
  targets: readonly { readonly id: string; readonly clusterId: string }[],
): Promise<void> {
  await tx.deliveryTarget.updateMany({
    where: { id: { in: targets.map(({ id }) => id) } },
    data: { wanted: false, status: 'Pending', since: now, message: 'Being taken off the cluster' },
  })
  const keys = targets.map(({ id: targetId, clusterId }) => ({ targetId, clusterId }))
  await dueMany(tx, 'delivery.reconcile', keys)
}

import { isDeepStrictEqual } from 'node:util'
import { differences } from '../audit/differences.ts'
import { record } from '../audit/record.ts'
import { authorityUnknown } from '../authorities/authority.ts'
import { placeOf } from '../clusters/cluster.ts'
import { apiOf, holdClusters } from '../clusters/find.ts'
import type { Actor } from '../core/actor.ts'
import { type Context, newId } from '../core/context.ts'
import { json, type Tx } from '../core/database/db.ts'
import { due, dueMany, placementKeys } from '../core/database/due.ts'
import type { Precondition } from '../core/refusal.ts'
import { askedMarksOf, type Marks, marksOf } from '../shared/lists/labels.ts'
import { Problem, refuse } from '../shared/problem.ts'
import { shownJson } from '../shared/view.ts'
import { heldAuthorities } from '../tenants/authorities.ts'
import { countOne, holdRoom } from '../tenants/quotas/usage.ts'
import { holdUploaded, uploadedFor } from './certificates/uploaded.ts'
import { findHost, hostRow, viewHost } from './find.ts'
import { CompleteSpec, type Host, namesOf } from './host.ts'
import { clusterLock, hostLock, lock } from './lock.ts'
import { labelCertificates, markHost } from './marks.ts'
import { holdNames } from './names.ts'
import { conflictsOn } from './neighbours/conflictson.ts'
import { withTwins } from './neighbours/twins.ts'
import { type CheckedHost, checkHost, clusterFaults, type HostRequest } from './request/check.ts'
import { backendClientsIn } from './route.ts'

/** Makes the host what is asked for, on the clusters that are named and on no others. The same twice
 *  changes nothing. A host that is being removed comes back. Throws tenant-unknown, host-refused,
 *  host-conflict, quota-exceeded, what `expected` throws. */
export async function putHost(
  ctx: Context,
  actor: Actor,
  request: HostRequest,
  expected?: Precondition,
): Promise<{ readonly host: Host; readonly created: boolean }> {
  const checked = await checkHost(ctx, actor, { request, permission: 'write-hosts' })
  const { tenant, name, clusters } = checked
  return ctx.db.transaction(async (tx) => {
    // Two who want one name on one cluster ask one after the other.
    const places = clusters.map(({ id: clusterId, ingress }) => ({ clusterId, ingress }))
    const all = await withTwins(tx, places)
    const keys = [...new Set(all.map(({ clusterId }) => clusterLock(clusterId)))]
    await lock(tx, [...keys, hostLock({ tenantId: tenant.id, name })])
    if (expected) await holdTo(tx, { tenantId: tenant.id, name }, expected)
    await holdAuthorities(tx, checked)
    await holdIngresses(tx, checked)
    await holdCertificate(tx, checked, ctx.now())
    await refuseConflicts(tx, actor, checked)
    const created = await store(tx, { ctx, actor, checked, marks: askedMarksOf(request.spec) })
    const row = await hostRow(tx, { tenantId: tenant.id, name })
    return { host: await viewHost(tx, row), created }
  })
}

/** Asks what is expected of a host as it stands; whoever calls this holds its lock. */
export async function holdTo(
  tx: Tx,
  { tenantId, name }: { readonly tenantId: string; readonly name: string },
  expected: Precondition,
): Promise<void> {
  const row = await findHost(tx, tenantId, name)
  expected(row && (await viewHost(tx, row)))
}

/** Those that the host names are not removed meanwhile. */
async function holdAuthorities(tx: Tx, { spec }: CheckedHost): Promise<void> {
  const { certificate, tls } = spec
  const named = [
    ...(certificate.authority === undefined
      ? []
      : [{ field: '/certificate/authority', name: certificate.authority }]),
    ...(tls.clientAuthority === undefined
      ? []
      : [{ field: '/tls/clientAuthority', name: tls.clientAuthority }]),
  ]
  const held = await heldAuthorities(
    tx,
    named.map(({ name }) => name),
  )
  const gone = named.filter(({ name }) => !held.some((one) => one.name === name))
  refuse(
    'host-refused',
    gone.map(({ field, name }) => ({ field, message: authorityUnknown(name).message })),
  )
}

/** Those that the host names are not taken from their clusters meanwhile. */
async function holdIngresses(tx: Tx, { spec, clusters }: CheckedHost): Promise<void> {
  const rows = await holdClusters(
    tx,
    clusters.map(({ id }) => id),
  )
  refuse('host-refused', clusterFaults(spec.clusters.map(placeOf), rows))
  const changed = clusters.some(({ id, api }) =>
    rows.some((row) => row.id === id && api !== undefined && apiOf(row) !== api),
  )
  if (changed) throw new Problem('host-refused', 'api of a cluster changed just now: try again')
}

/** The uploaded one that the host names is not removed meanwhile, and what took its place by now serves the host. */
async function holdCertificate(tx: Tx, checked: CheckedHost, now: Date): Promise<void> {
  const { tenant, name, spec } = checked
  const { uploaded } = spec.certificate
  if (uploaded === undefined) return
  await holdUploaded(tx, uploaded)
  const { faults } = await uploadedFor(tx, uploaded, { tenantId: tenant.id, name, spec, now })
  refuse('host-refused', faults)
}

async function refuseConflicts(tx: Tx, actor: Actor, checked: CheckedHost): Promise<void> {
  const found = await conflictsOn(tx, actor, checked)
  const [first] = found
  if (!first) return
  const more = found.length > 1 ? ` (and ${found.length - 1} more, see conflicts)` : ''
  throw new Problem('host-conflict', `${first.message}${more}`, { conflicts: found })
}

type Write = {
  readonly ctx: Context
  readonly actor: Actor
  readonly checked: CheckedHost
  readonly marks: Marks
}

/** Answers whether there was no such host, or only one on its way out. */
async function store(tx: Tx, { ctx, actor, checked, marks }: Write): Promise<boolean> {
  const { tenant, name, spec } = checked
  const now = ctx.now()
  const tenantId = tenant.id
  const before = await tx.host.findUnique({ where: { tenantId_name: { tenantId, name } } })
  const created = !before || before.removedAt !== null
  if (!created && isDeepStrictEqual(before.spec, json(spec))) {
    await takeBack(tx, before.id)
    await markHost(tx, { actor, now }, { host: before, marks })
    return false
  }
  const id = before?.id ?? newId(now)
  const generation = (before?.generation ?? 0) + 1
  const said = { ...marks, labels: json(marks.labels) }
  const stored = { ...said, spec: json(spec), generation, certifyFailures: 0, updatedAt: now }
  if (!before) {
    const count = () => tx.host.count({ where: { tenantId } })
    await holdRoom(tx, { ctx, tenant }, { quota: 'hosts', count })
  }
  // Another certificate is an order; one that is due for renewal is none.
  if (created || !isDeepStrictEqual(certified(before.spec), certified(json(spec)))) {
    await countOne(tx, { ctx, tenant }, 'certificatesPerDay')
  }
  if (before) {
    await tx.host.update({ where: { id }, data: { ...stored, removedAt: null } })
  } else {
    await tx.host.create({ data: { id, tenantId, name, ...stored, createdAt: now } })
  }
  await labelCertificates(tx, [id])
  await holdBackendClients(tx, { tenantId, hostId: id }, spec)
  await place(tx, { now, hostId: id, checked })
  await record(tx, { actor, now }, created ? 'host.created' : 'host.changed', {
    subject: { kind: 'host', id, name, tenantId },
    changes: {
      generation,
      mode: spec.tls.mode,
      http: spec.http,
      authority: spec.certificate.authority,
      uploaded: spec.certificate.uploaded,
      clientAuthority: spec.tls.clientAuthority,
      clients: spec.tls.clients,
      routes: spec.routes.map((route) => JSON.stringify(route)),
      clusters: spec.clusters,
      changed: {
        ...differences(created ? null : before.spec, json(spec)),
        ...differences(created ? null : marksOf(before), marks),
      },
    },
  })
  await due(tx, 'host.certify', { hostId: id })
  return created
}

/** By these a host is found when something takes the place of a certificate that its backends are shown. */
async function holdBackendClients(
  tx: Tx,
  host: { readonly tenantId: string; readonly hostId: string },
  { routes }: CompleteSpec,
): Promise<void> {
  const named = backendClientsIn(routes)
  await tx.backendClient.deleteMany({
    where: { hostId: host.hostId, certificateId: { notIn: [...named] } },
  })
  await tx.backendClient.createMany({
    data: named.map((certificateId) => ({ ...host, certificateId })),
    skipDuplicates: true,
  })
}

/** Whoever asks for a host again wants it as it was asked for, whatever others have made of it since, and what
 *  failed tried again now: a right may have been given meanwhile. */
async function takeBack(tx: Tx, hostId: string): Promise<void> {
  await tx.placement.updateMany({
    where: { hostId, NOT: { drift: { equals: [] } } },
    data: { takeBack: true },
  })
  const found = await tx.placement.findMany({
    where: {
      ...{ hostId, wanted: true },
      OR: [{ NOT: { drift: { equals: [] } } }, { status: { in: ['Failed', 'Conflict'] } }],
    },
    select: { id: true, clusterId: true },
  })
  await dueMany(tx, 'placement.push', placementKeys(found))
}

/** What of a spec says what its certificate is. */
function certified(spec: unknown) {
  const { certificate, aliases } = shownJson(CompleteSpec, spec)
  return { certificate, aliases }
}

/** A placement for each ingress that is named; those on others are to go. */
async function place(
  tx: Tx,
  { now, hostId, checked }: { now: Date; hostId: string; checked: CheckedHost },
): Promise<void> {
  const { tenant, name, spec, clusters } = checked
  const pending = { status: 'Pending', since: now }
  for (const { id: clusterId, ingress } of clusters) {
    const again = { ...pending, wanted: true, message: null, takeBack: true }
    const { id } = await tx.placement.upsert({
      where: { clusterId_ingress_name: { clusterId, ingress, name } },
      update: again,
      create: { ...again, id: newId(now), tenantId: tenant.id, hostId, clusterId, ingress, name },
      select: { id: true },
    })
    await holdNames(tx, id, namesOf(name, spec))
  }
  const kept = clusters.map(({ id: clusterId, ingress }) => ({ clusterId, ingress }))
  const dropped = await tx.placement.findMany({
    where: { hostId, NOT: kept.length > 0 ? { OR: kept } : {} },
    select: { id: true, clusterId: true },
  })
  await withdrawPlacements(tx, now, dropped)
}

/** Marks placements as to be taken off their clusters, and makes that due. */
export async function withdrawPlacements(
  tx: Tx,
  now: Date,
  placements: readonly { readonly id: string; readonly clusterId: string }[],
): Promise<void> {
  await tx.placement.updateMany({
    where: { id: { in: placements.map(({ id }) => id) } },
    data: { wanted: false, status: 'Pending', since: now, message: 'Being taken off the cluster' },
  })
  await dueMany(tx, 'placement.push', placementKeys(placements))
}

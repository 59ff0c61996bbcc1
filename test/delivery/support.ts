import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { startCluster } from '../../sandbox/cluster.ts'
import { createAuthority } from '../../src/authorities/create.ts'
import { certifyHost } from '../../src/certificates/hosts/certify.ts'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import type { KubeRef } from '../../src/clusters/kubernetes/kinds.ts'
import { createCluster } from '../../src/clusters/register.ts'
import type { Context } from '../../src/core/context.ts'
import { confirmPlacement } from '../../src/delivery/proof/confirm.ts'
import { pushPlacement } from '../../src/delivery/push.ts'
import { getHost } from '../../src/hosts/find.ts'
import type { HostSpec } from '../../src/hosts/host.ts'
import { putHost } from '../../src/hosts/put.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { admin, openTestContext } from '../support/context.ts'

/** A sandbox cluster registered as `sandbox`, with tenant `shop` (shop.test) and authority `house`. */
export async function openStage() {
  const directory = await mkdtemp(join(tmpdir(), 'gatesmith-delivery-'))
  const free = { apiPort: 0, tlsPort: 0, plainPort: 0 }
  const sandbox = await startCluster({ directory, host: '127.0.0.1', ...free })
  after(async () => {
    await sandbox.stop()
    await rm(directory, { recursive: true })
  })
  const ctx = await openTestContext()
  const address = `127.0.0.1:${sandbox.tlsPort}`
  const { kubeconfig } = sandbox
  await createCluster(ctx, admin, { name: 'sandbox', kubeconfig, ingress: { address } })
  await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject: { commonName: 'r' } })
  await createAuthority(ctx, admin, {
    name: 'house',
    kind: 'intermediate',
    parent: 'root',
    subject: { commonName: 'house' },
  })
  await createTenant(ctx, admin, {
    name: 'shop',
    domains: ['shop.test'],
    namespaces: ['test'],
    defaultAuthority: 'house',
  })
  const kube = connect(kubeconfig)
  after(() => kube.close())
  return { ctx, sandbox, address, kube }
}

export const httpbin = { service: 'httpbin', namespace: 'test', port: 80 }

/** Puts a host of tenant `shop` on the sandbox. */
export function put(ctx: Context, name: string, spec: Partial<HostSpec> = {}) {
  const all = { routes: [{ to: httpbin }], clusters: ['sandbox'], ...spec }
  return putHost(ctx, admin, { tenant: 'shop', name, spec: all })
}

/** Does the work that a put makes due, as the worker would; answers the host as it then stands. */
export async function work(ctx: Context, name: string) {
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
  await certifyHost(ctx, id)
  const placements = await ctx.db.read.placement.findMany({ where: { hostId: id } })
  for (const placement of placements) await deliver(ctx, placement.id)
  return read(ctx, name)
}

/** Brings a host to its cluster and has that confirmed, again and again as the worker would. */
export async function deliver(ctx: Context, placementId: string): Promise<void> {
  await pushPlacement(ctx, { placementId })
  await confirm(ctx, placementId)
}

/** Has it confirmed that the ingress serves what is there, until that is said one way or the other. */
export async function confirm(ctx: Context, placementId: string): Promise<void> {
  for (;;) {
    const asked = ctx.now().getTime()
    await confirmPlacement(ctx, { placementId })
    const row = await ctx.db.read.placement.findUnique({ where: { id: placementId } })
    const fresh = row?.appliedAt && asked - row.appliedAt.getTime() < 15_000
    if (!row?.wanted || !['Applied', 'Synced'].includes(row.status) || !fresh) return
    await wait(100)
  }
}

/** The host of tenant `shop`. */
export function read(ctx: Context, name: string) {
  return getHost(ctx, admin, { tenant: 'shop', name })
}

/** Its one placement, as stored and as shown. */
export async function placementOf(ctx: Context, name: string) {
  const row = await ctx.db.read.placement.findFirstOrThrow({ where: { name } })
  const [shown] = (await read(ctx, name)).status.clusters
  assert.ok(shown)
  return { row, shown }
}

/** `Secret istio-system`, in the order in which they are recorded. */
export function places(objects: readonly Pick<KubeRef, 'kind' | 'namespace'>[]): readonly string[] {
  return objects.map(({ kind, namespace }) => `${kind} ${namespace}`)
}

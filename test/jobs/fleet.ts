import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Sandbox, startCluster } from '../../sandbox/cluster.ts'
import { createAuthority } from '../../src/authorities/create.ts'
import { createCluster } from '../../src/clusters/register.ts'
import { type Actor, systemActor } from '../../src/core/actor.ts'
import type { Context } from '../../src/core/context.ts'
import { putHost } from '../../src/hosts/put.ts'
import { createTenant } from '../../src/tenants/write.ts'

// Many clusters, of which some take connections and never say a word.

const actor: Actor = { ...systemActor('fleet'), requestId: 'fleet' }

/** A server that takes connections and says nothing. */
export type Hole = {
  readonly address: string
  /** Connections that wait for it now. */
  readonly waiting: () => number
  readonly close: () => Promise<void>
}

/** Opens one at a port of its own. */
async function openHole(): Promise<Hole> {
  const sockets = new Set<Socket>()
  const take = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.resume()
  }
  const server: Server = createServer(take)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const place = server.address()
  return {
    address: `127.0.0.1:${typeof place === 'object' ? place?.port : 0}`,
    waiting: () => sockets.size,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The clusters of a fleet. */
export type Fleet = {
  readonly healthy: readonly string[]
  readonly silent: readonly string[]
  readonly holes: readonly Hole[]
  readonly sandboxes: readonly Sandbox[]
  readonly stop: () => Promise<void>
}

/** Registers so many clusters, the silent ones first, with a tenant `fleet` and an authority. */
export async function openFleet(
  ctx: Context,
  counts: { readonly healthy: number; readonly silent: number },
): Promise<Fleet> {
  const directory = await mkdtemp(join(tmpdir(), 'gatesmith-fleet-'))
  const free = { host: '127.0.0.1', apiPort: 0, tlsPort: 0, plainPort: 0 }
  const sandboxes = await Promise.all(
    names('healthy', counts.healthy).map((name) =>
      startCluster({ directory: join(directory, name), ...free }),
    ),
  )
  const holes = await Promise.all(names('silent', counts.silent).map(() => openHole()))
  const [some] = sandboxes
  if (!some) throw new Error('A fleet has at least one healthy cluster')
  await createAuthority(ctx, actor, { name: 'fleet', kind: 'root', subject: { commonName: 'f' } })
  await createTenant(ctx, actor, {
    name: 'fleet',
    domains: ['fleet.test'],
    namespaces: ['test'],
    defaultAuthority: 'fleet',
  })
  const fleet = {
    silent: names('silent', counts.silent),
    healthy: names('healthy', counts.healthy),
  }
  for (const [index, { address }] of holes.entries()) {
    const kubeconfig = some.kubeconfig.replace(some.apiUrl, `https://${address}`)
    await register(ctx, fleet.silent[index], { kubeconfig, address })
  }
  for (const [index, { kubeconfig, tlsPort }] of sandboxes.entries()) {
    await register(ctx, fleet.healthy[index], { kubeconfig, address: `127.0.0.1:${tlsPort}` })
  }
  return {
    ...fleet,
    holes,
    sandboxes,
    stop: async () => {
      for (const hole of holes) await hole.close()
      for (const sandbox of sandboxes) await sandbox.stop()
      await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
    },
  }
}

function names(kind: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${kind}-${index}`)
}

async function register(
  ctx: Context,
  name = '',
  { kubeconfig, address }: { readonly kubeconfig: string; readonly address: string },
): Promise<void> {
  await createCluster(ctx, actor, { name, kubeconfig, ingress: { address } })
}

/** Puts so many hosts on each of the clusters, in turns. */
export async function putHosts(
  ctx: Context,
  clusters: readonly string[],
  each: number,
  prefix = 'h',
): Promise<void> {
  const routes = [{ to: { service: 'httpbin', namespace: 'test', port: 80 } }]
  for (let index = 0; index < each; index++) {
    for (const cluster of clusters) {
      const spec = { routes, clusters: [cluster] }
      const name = `${prefix}${index}-${cluster}.fleet.test`
      await putHost(ctx, actor, { tenant: 'fleet', name, spec })
    }
  }
}

/** Puts so many hosts, each on all of the clusters. */
export async function putWideHosts(
  ctx: Context,
  clusters: readonly string[],
  count: number,
  prefix = 'wide',
): Promise<void> {
  const routes = [{ to: { service: 'httpbin', namespace: 'test', port: 80 } }]
  for (let index = 0; index < count; index++) {
    const spec = { routes, clusters: [...clusters] }
    const name = `${prefix}${index}.fleet.test`
    await putHost(ctx, actor, { tenant: 'fleet', name, spec })
  }
}

/** How many placements on clusters whose name begins so have this status. */
export function countOf(ctx: Context, kind: string, status: string): Promise<number> {
  return ctx.db.read.placement.count({
    where: { status, cluster: { name: { startsWith: `${kind}-` } } },
  })
}

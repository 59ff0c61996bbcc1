import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createCluster } from '../src/clusters/register.ts'
import { systemActor } from '../src/core/actor.ts'
import { sql } from '../src/core/database/db.ts'
import { putHost } from '../src/hosts/put.ts'
import { openFleet } from '../test/jobs/fleet.ts'
import { peakMegabytes, setStage } from './stage.ts'

// node bench/hundred.ts [healthy = 80] [dead = 10] [slow = 10]
// A host on all of a hundred clusters, of which some take connections and never answer, and others answer every
// request after five seconds: how long until it is Synced on the healthy ones after a change. The sandbox
// clusters live in this process, on the same two cores. npm run build first.

const [healthy = 80, dead = 10, slow = 10] = process.argv.slice(2).map(Number)
const lateMilliseconds = 5_000
const actor = systemActor('bench')
const stage = await setStage()
const { ctx } = stage
const say = (line: string) => process.stdout.write(`${line}\n`)
const fleet = await openFleet(ctx, { healthy, silent: dead })

/** Hands what comes on to a cluster, but all that follows the first flight of the handshake late. */
async function openLate(port: number): Promise<{ readonly port: number; close: () => void }> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const behind = connect(port, '127.0.0.1')
    let flights = 0
    for (const socket of [client, behind]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
    }
    client.on('data', (chunk) => {
      if (flights++ === 0) behind.write(chunk)
      else setTimeout(() => behind.write(chunk), lateMilliseconds)
    })
    behind.on('data', (chunk) => client.write(chunk))
    behind.on('close', () => client.destroy())
    client.on('close', () => behind.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const place = server.address()
  return {
    port: typeof place === 'object' ? (place?.port ?? 0) : 0,
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

async function put(name: string, prefix: string, clusters: readonly string[]): Promise<void> {
  const to = { service: 'httpbin', namespace: 'test', port: 80 }
  const spec = { routes: [{ match: { prefix }, to }], clusters: [...clusters] }
  await putHost(ctx, actor, { tenant: 'fleet', name, spec })
}

async function synced(name: string): Promise<number> {
  const [row] = await ctx.db.read.$queryRaw<readonly { readonly count: number }[]>(sql`
    select count(*)::int as count from placement
    join cluster on cluster."id" = "clusterId" join host on host."id" = "hostId"
    where host."name" = ${name} and cluster."name" like 'healthy-%'
      and placement."status" = 'Synced' and placement."generation" = host."generation"`)
  return row?.count ?? 0
}

async function until(what: string, since: number, done: () => Promise<boolean>): Promise<void> {
  while (!(await done())) await delay(100)
  say(`${what}: ${((performance.now() - since) / 1000).toFixed(1)} s`)
}

const late: { close: () => void }[] = []
try {
  const [some] = fleet.sandboxes
  if (!some) throw new Error('at least one healthy cluster')
  const names: string[] = []
  for (let n = 0; n < slow; n++) {
    const relay = await openLate(Number(new URL(some.apiUrl).port))
    late.push(relay)
    const kubeconfig = some.kubeconfig.replace(some.apiUrl, `https://127.0.0.1:${relay.port}`)
    const address = `127.0.0.1:${some.tlsPort}`
    await createCluster(ctx, actor, { name: `slow-${n}`, kubeconfig, ingress: { address } })
    names.push(`slow-${n}`)
  }
  const all = [...fleet.silent, ...names, ...fleet.healthy]
  const { environment: env } = stage
  const worker = spawn(process.execPath, ['dist/main.js', 'worker'], { env, stdio: 'inherit' })
  const start = performance.now()
  await until('every cluster was looked at', start, async () => {
    const left = await ctx.db.read.cluster.count({ where: { checkedAt: null } })
    return left === 0
  })
  const first = performance.now()
  await put('wide.fleet.test', '/', all)
  say(`put on ${all.length} clusters in ${((performance.now() - first) / 1000).toFixed(1)} s`)
  await until(
    `new: Synced on ${healthy}`,
    first,
    async () => (await synced('wide.fleet.test')) === healthy,
  )
  for (const prefix of ['/a', '/b', '/c']) {
    const begun = performance.now()
    await put('wide.fleet.test', prefix, all)
    await until(
      `changed: Synced on ${healthy}`,
      begun,
      async () => (await synced('wide.fleet.test')) === healthy,
    )
  }
  say(`most memory of the worker: ${await peakMegabytes(worker)} MB`)
  worker.kill('SIGTERM')
  await once(worker, 'exit')
} finally {
  for (const each of late) each.close()
  await fleet.stop()
  await stage.stop()
}

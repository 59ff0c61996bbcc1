import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { certifyHost } from '../src/certificates/hosts/certify.ts'
import { connect } from '../src/clusters/kubernetes/connect.ts'
import { kinds } from '../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../src/clusters/kubernetes/kube.ts'
import { createCluster } from '../src/clusters/register.ts'
import { syncCluster } from '../src/clusters/sync.ts'
import { systemActor } from '../src/core/actor.ts'
import { sql } from '../src/core/database/db.ts'
import { putHost } from '../src/hosts/put.ts'
import { changeTenant } from '../src/tenants/write.ts'
import { peakMegabytes, setStage } from './stage.ts'

// node bench/delivery.ts <kubeconfig> <host:port of the ingress> [hosts = 2000]
// How fast a worker brings hosts to a real cluster, three objects each, and what a second run costs; beside it
// what `kubectl apply --server-side` takes for such objects on the same machine. npm run build first.

const [path = '', address = '', count = '2000'] = process.argv.slice(2)
const hosts = Number(count)
const actor = systemActor('bench')
const stage = await setStage()
const { ctx } = stage
const say = (line: string) => process.stdout.write(`${line}\n`)
const kubeconfig = await readFile(path, 'utf8')
const kube = connect(kubeconfig)
const ours = { namespace: 'istio-system', labelSelector: 'app.kubernetes.io/managed-by=gatesmith' }
const all = [kinds.secret, kinds.istioGateway, kinds.istioVirtualService] as const

const keyOf = ({ kind, metadata }: KubeObject) => `${kind} ${metadata.name}`

async function objects() {
  return (await Promise.all(all.map((kind) => kube.list(kind, ours)))).flat()
}

async function statuses(): Promise<Readonly<Record<string, number>>> {
  const rows = await ctx.db.read.$queryRaw<readonly { status: string; count: number }[]>(
    sql`select "status", count(*)::int as count from placement group by 1`,
  )
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]))
}

const seconds = (since: number) => (performance.now() - since) / 1000

async function kubectlRate(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'gatesmith-bench-'))
  const sample = (await objects()).slice(0, 600).map((object, n) => {
    const { name, namespace } = object.metadata
    const spec = JSON.parse(
      JSON.stringify(object.spec ?? {}).replaceAll('.bench.test', '.other.test'),
    )
    return {
      ...object,
      metadata: { name: `${name}-${n}`.slice(0, 63), namespace, labels: { bench: 'kubectl' } },
      ...(object.spec ? { spec } : {}),
    }
  })
  const file = join(folder, 'objects.yaml')
  await writeFile(file, sample.map((each) => stringify(each)).join('---\n'))
  const env = { ...process.env, KUBECONFIG: path }
  const run = promisify(execFile)
  const begun = performance.now()
  await run('kubectl', ['apply', '--server-side', '-f', file], { env, maxBuffer: 1e8 })
  const rate = sample.length / seconds(begun)
  const kindNames = 'secrets,gateways.networking.istio.io,virtualservices.networking.istio.io'
  await run('kubectl', ['delete', kindNames, '-n', ours.namespace, '-l', 'bench=kubectl'], {
    env,
    maxBuffer: 1e8,
  })
  await rm(folder, { recursive: true })
  return rate
}

try {
  await changeTenant(ctx, actor, { name: 'bench', patch: { namespaces: ['test'] } })
  await createCluster(ctx, actor, { name: 'real', kubeconfig, ingress: { address } })
  say(`putting ${hosts} hosts, and issuing their certificates`)
  for (let n = 0; n < hosts; n++) {
    const name = `h${n}.bench.test`
    const to = { service: 'httpbin', namespace: 'test', port: 80 }
    await putHost(ctx, actor, {
      tenant: 'bench',
      name,
      spec: { routes: [{ to }], clusters: ['real'] },
    })
    const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
    await certifyHost(ctx, id)
  }
  const { environment: env } = stage
  const args = ['--max-semi-space-size=24', '--max-old-space-size=256', 'dist/main.js', 'worker']
  const worker = spawn(process.execPath, args, { env, stdio: 'inherit' })
  const begun = performance.now()
  let applied: number | undefined
  for (;;) {
    const { Pending = 0, Synced = 0, ...rest } = await statuses()
    if (Pending === 0) applied ??= seconds(begun)
    if (Synced === hosts) break
    if (Math.floor(seconds(begun)) % 10 === 0) say(JSON.stringify({ Pending, Synced, ...rest }))
    await delay(1000)
  }
  const taken = seconds(begun)
  const rate = (3 * hosts) / (applied ?? taken)
  say(`${3 * hosts} objects there after ${applied?.toFixed(1)} s: ${rate.toFixed()} a second`)
  say(`all hosts Synced after ${taken.toFixed(1)} s`)
  say(`most memory of the worker: ${await peakMegabytes(worker)} MB`)
  const before = new Map((await objects()).map((object) => [keyOf(object), object]))
  await ctx.db.read.$executeRaw(sql`update placement set "provedAt" = null`)
  const again = performance.now()
  await syncCluster(ctx, actor, 'real')
  for (;;) {
    const [row] = await ctx.db.read.$queryRaw<readonly { left: number }[]>(
      sql`select count(*)::int as left from placement where "provedAt" is null`,
    )
    if (row?.left === 0) break
    await delay(200)
  }
  const changed = (await objects()).filter(
    (object) => JSON.stringify(object) !== JSON.stringify(before.get(keyOf(object))),
  )
  say(`second run: ${seconds(again).toFixed(1)} s, ${changed.length} objects written`)
  worker.kill('SIGTERM')
  await once(worker, 'exit')
  say(`limit: kubectl apply --server-side, ${(await kubectlRate()).toFixed()} objects a second`)
} finally {
  kube.close()
  await stage.stop()
}

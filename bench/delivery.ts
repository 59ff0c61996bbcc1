import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import { connect } from '../src/clusters/kubernetes/connect.ts'
import { kinds } from '../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../src/clusters/kubernetes/kube.ts'
import { createCluster } from '../src/clusters/register.ts'
import { syncCluster } from '../src/clusters/sync.ts'
import { type Sql, sql } from '../src/core/database/db.ts'
import { refOf } from '../src/delivery/plan.ts'
import { must } from '../src/shared/must.ts'
import { changeTenant } from '../src/tenants/write.ts'
import {
  actor,
  allSynced,
  inLanes,
  processorTimes,
  putCertified,
  seconds,
  shares,
  startWorker,
  stated,
} from './real.ts'
import { peakMegabytes, setStage } from './stage.ts'

// node bench/delivery.ts <kubeconfig> <host:port of the ingress> [hosts = 2000]
// How fast a worker brings hosts to a real cluster, three objects each, and what a second run costs; beside it
// what `kubectl apply --server-side` takes for the same objects on the same machine, and where the processor time
// goes. npm run build first.

const [path = '', address = '', count = '2000'] = process.argv.slice(2)
const hosts = Number(count)
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

/** What `kubectl apply --server-side` takes for the same objects, on the cluster as it was before they were there. */
async function kubectlRate(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'gatesmith-bench-'))
  const files = await objects()
  const file = join(folder, 'objects.yaml')
  await writeFile(file, files.map((each) => stringify(stated(each))).join('---\n'))
  const env = { ...process.env, KUBECONFIG: path }
  await inLanes(files.length, (n) => kube.remove(refOf(must(files[n], 'it was listed'))))
  // istiod gathers changes for ten seconds at most, and tells Envoy.
  await delay(15_000)
  const begun = performance.now()
  await promisify(execFile)('kubectl', ['apply', '--server-side', '-f', file], {
    env,
    maxBuffer: 1e8,
  })
  const rate = files.length / seconds(begun)
  await rm(folder, { recursive: true })
  return rate
}

const rig = path.replace(/\/run\/.*/, '')
const times = () => processorTimes(rig)

try {
  await changeTenant(ctx, actor, { name: 'bench', patch: { namespaces: ['test'] } })
  await createCluster(ctx, actor, { name: 'real', kubeconfig, ingress: { address } })
  say(`putting ${hosts} hosts, and issuing their certificates`)
  await inLanes(hosts, (n) => putCertified(ctx, `h${n}.bench.test`))
  const before = await times()
  const worker = await startWorker(stage)
  const begun = performance.now()
  const applied = await allSynced(ctx, hosts)
  const rate = (3 * hosts) / applied
  say(`${3 * hosts} objects there after ${applied.toFixed(1)} s: ${rate.toFixed()} a second`)
  say(`all hosts Synced after ${seconds(begun).toFixed(1)} s`)
  say(`processor time of each host: ${shares(before, await times(), hosts)}`)
  say(`most memory of the worker: ${await peakMegabytes(worker)} MB`)
  const there = new Map((await objects()).map((object) => [keyOf(object), object]))
  await ctx.db.read.$executeRaw(sql`update placement set "provedAt" = null`)
  const between = await times()
  const again = performance.now()
  await syncCluster(ctx, actor, 'real')
  await until(sql`select count(*)::int as left from graphile_worker._private_jobs
    where key like 'placement.push/%' and run_at <= now()`)
  say(`second run: all compared after ${seconds(again).toFixed(1)} s`)
  await until(sql`select count(*)::int as left from placement where "provedAt" is null`)
  say(`second run: all proved by a handshake after ${seconds(again).toFixed(1)} s`)
  say(`processor time of each host: ${shares(between, await times(), hosts)}`)
  const changed = (await objects()).filter(
    (object) => JSON.stringify(object) !== JSON.stringify(there.get(keyOf(object))),
  )
  say(`second run: ${changed.length} objects written`)
  say(`most memory of the worker: ${await peakMegabytes(worker)} MB`)
  worker.kill('SIGTERM')
  await once(worker, 'exit')
  const limit = await kubectlRate()
  say(
    `limit: kubectl apply --server-side, ${limit.toFixed(1)} objects a second; we are ${(rate / limit).toFixed(1)} times as fast`,
  )
} finally {
  kube.close()
  await stage.stop()
}

async function until(left: Sql): Promise<void> {
  for (;;) {
    const [row] = await ctx.db.read.$queryRaw<readonly { readonly left: number }[]>(left)
    if (row?.left === 0) return
    await delay(100)
  }
}

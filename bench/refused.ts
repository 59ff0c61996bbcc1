import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { getBundle } from '../src/certificates/bundle.ts'
import { revokeCertificate } from '../src/certificates/revocation/revoke.ts'
import { connect } from '../src/clusters/kubernetes/connect.ts'
import { kinds } from '../src/clusters/kubernetes/kinds.ts'
import { KubeObject } from '../src/clusters/kubernetes/kube.ts'
import { createCluster } from '../src/clusters/register.ts'
import { sql } from '../src/core/database/db.ts'
import { dueMany, placementKeys } from '../src/core/database/due.ts'
import { shakeHands } from '../src/delivery/proof/handshake.ts'
import { recordedObjects } from '../src/hosts/objects.ts'
import { mustConform } from '../src/shared/shape.ts'
import { changeTenant } from '../src/tenants/write.ts'
import {
  actor,
  allSynced,
  inLanes,
  isListStale,
  issueClient,
  putCertified,
  seconds,
  spreadOf,
  startWorker,
  stated,
  untilSo,
} from './real.ts'
import { setStage } from './stage.ts'

// node bench/refused.ts <kubeconfig> <host:port of the ingress> [hosts = 1000] [revocations = 100]
// How long after a client certificate is revoked a real ingress refuses it, first by itself and then while so many
// hosts are changed, over and over. Then the machine's own limit: a client that does nothing but apply the same
// Secret, by itself and while it changes as many hosts. npm run build first.

const [path = '', address = '', ...counts] = process.argv.slice(2)
const [hosts = 1000, revocations = 100] = counts.map(Number)
const kubeconfig = await readFile(path, 'utf8')
const kube = connect(kubeconfig)
const stage = await setStage()
const { ctx } = stage
const say = (line: string) => process.stdout.write(`${line}\n`)
const name = 'clients.bench.test'

type Client = { readonly id: string; readonly pem: string }

async function newClient(): Promise<Client> {
  const id = await issueClient(ctx)
  const { body } = await getBundle(ctx, actor, { tenant: 'bench', id, privateKey: true })
  return { id, pem: body.toString('utf8') }
}

async function isLetIn({ pem }: Client): Promise<boolean> {
  const client = { cert: pem, key: pem }
  return (await shakeHands({ address, name, client, leafAlone: true })).accepted
}

/** The host's Secrets as whoever applies them says them. */
async function secretsThere(): Promise<readonly KubeObject[]> {
  const { objects } = await ctx.db.read.placement.findFirstOrThrow({ where: { name } })
  const secrets = recordedObjects(objects).filter(({ kind }) => kind === 'Secret')
  const found = await Promise.all(secrets.map((ref) => kube.get(ref)))
  return found.flatMap((object) => (object ? [stated(object)] : []))
}

/** What the Secrets of the host have on the cluster. */
async function listThere(): Promise<string> {
  return JSON.stringify((await secretsThere()).map(({ data }) => data))
}

/** Milliseconds from before the revocation. */
type Times = {
  /** Its lists are published. */
  readonly listed: number
  /** The list is in its Secret on the cluster. */
  readonly applied: number
  readonly refused: number
  /** Of that istiod's and Envoy's own part. */
  readonly theirs: number
}

async function refusedAfter(client: Client): Promise<Times> {
  if (!(await isLetIn(client))) throw new Error('a client was refused before it was revoked')
  const before = await listThere()
  const begun = performance.now()
  await revokeCertificate(ctx, actor, { tenant: 'bench', id: client.id, reason: 'superseded' })
  const [listed, applied, refused] = await Promise.all([
    untilSo(begun, async () => !(await isListStale(ctx))),
    untilSo(begun, async () => (await listThere()) !== before),
    untilSo(begun, async () => !(await isLetIn(client))),
  ])
  return { listed, applied, refused, theirs: Math.max(0, refused - applied) }
}

async function measure(what: string, count: number): Promise<void> {
  const times: Times[] = []
  for (let n = 0; n < count; n++) {
    await changeAgain()
    times.push(await refusedAfter(await newClient()))
  }
  for (const step of ['listed', 'applied', 'theirs', 'refused'] as const) {
    const words = step === 'theirs' ? 'from applied to refused' : `${step} after`
    say(`${what}: ${words} ${spreadOf(times.map((each) => each[step]))}`)
  }
}

/** The same by a client alone: the list of before, until the client is let in, then that of after. */
async function measureBare(what: string, { before, after, client }: Last): Promise<void> {
  const put = async (objects: readonly KubeObject[]) => {
    for (const object of objects) await kube.apply(object, { force: true })
  }
  const times: number[] = []
  for (let n = 0; n < revocations / 5; n++) {
    await put(before)
    await untilSo(0, () => isLetIn(client))
    const begun = performance.now()
    await put(after)
    times.push(await untilSo(begun, async () => !(await isLetIn(client))))
  }
  say(`limit, a bare client, ${what}: refused after ${spreadOf(times)}`)
}

/** Changes routes of the hosts, as many at a time as a worker does, until it is told to stop. */
function changeBarely(): () => Promise<void> {
  let stopped = false
  const lane = async (services: readonly KubeObject[]) => {
    for (let turn = 0; !stopped; turn++) {
      for (const object of services) {
        if (stopped) return
        const text = JSON.stringify(stated(object))
        const changed: unknown = JSON.parse(
          text.replace(/"prefix":"[^"]*"/, `"prefix":"/bare-${turn}"`),
        )
        await kube.apply(mustConform(KubeObject, changed, 'it is still an object'), { force: true })
      }
    }
  }
  const lanes = kube
    .list(kinds.istioVirtualService, { labelSelector: 'app.kubernetes.io/managed-by=gatesmith' })
    .then((all) =>
      Promise.all(Array.from({ length: 16 }, (_, n) => lane(all.filter((_, at) => at % 16 === n)))),
    )
  return async () => {
    stopped = true
    await lanes
  }
}

/** The last revocation: the Secrets before and after it, and whose it was. */
type Last = {
  readonly before: readonly KubeObject[]
  readonly after: readonly KubeObject[]
  readonly client: Client
}

async function revokeOneMore(): Promise<Last> {
  const client = await newClient()
  const before = await secretsThere()
  await refusedAfter(client)
  return { before, after: await secretsThere(), client }
}

let loaded = false
let turn = 0

function left(): Promise<number> {
  const isBehind = sql`select count(*)::int as left from placement join host on host."id" = "hostId"
    where placement."generation" is distinct from host."generation"`
  return ctx.db.read
    .$queryRaw<readonly { readonly left: number }[]>(isBehind)
    .then(([row]) => row?.left ?? 0)
}

/** Sees to it that changes are under way: the routes of all the other hosts are changed, faster than a worker can follow. */
async function changeAgain(): Promise<void> {
  if (!loaded || (await left()) > hosts / 2) return
  turn++
  const match = JSON.stringify({ prefix: `/${turn}` })
  await inLanes(hosts, (n) =>
    ctx.db.transaction(async (tx) => {
      const host = `h${n}.bench.test`
      await tx.$executeRaw(sql`update host set "generation" = "generation" + 1,
        "spec" = jsonb_set("spec", '{routes,0,match}', ${match}::jsonb) where "name" = ${host}`)
      const placements = await tx.placement.findMany({ where: { name: host } })
      await dueMany(tx, 'placement.push', placementKeys(placements))
    }),
  )
  say(`changed ${hosts} hosts; ${await left()} changes are under way`)
}

try {
  await changeTenant(ctx, actor, { name: 'bench', patch: { namespaces: ['test'] } })
  await createCluster(ctx, actor, { name: 'real', kubeconfig, ingress: { address } })
  await putCertified(ctx, name, { tls: { mode: 'MUTUAL', clientAuthority: 'bench-issuing' } })
  await inLanes(hosts, (n) => putCertified(ctx, `h${n}.bench.test`))
  const worker = await startWorker(stage)
  const begun = performance.now()
  await allSynced(ctx, hosts + 1)
  say(`${hosts + 1} hosts Synced after ${seconds(begun).toFixed()} s`)
  await measure('nothing else under way', Math.ceil(revocations / 5))
  loaded = true
  await measure(`${hosts / 2} to ${hosts} changes under way`, revocations)
  const last = await revokeOneMore()
  worker.kill('SIGTERM')
  await once(worker, 'exit')
  await measureBare('nothing else under way', last)
  const stopChanging = changeBarely()
  await measureBare('changes under way', last)
  await stopChanging()
} finally {
  kube.close()
  await stage.stop()
}

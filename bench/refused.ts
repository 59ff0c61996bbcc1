import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { getBundle } from '../src/certificates/bundle.ts'
import { issueCertificate } from '../src/certificates/issuance/issue.ts'
import { revokeCertificate } from '../src/certificates/revocation/revoke.ts'
import { connect } from '../src/clusters/kubernetes/connect.ts'
import { createCluster } from '../src/clusters/register.ts'
import { sql } from '../src/core/database/db.ts'
import { shakeHands } from '../src/delivery/proof/handshake.ts'
import { recordedObjects } from '../src/hosts/objects.ts'
import { changeTenant } from '../src/tenants/write.ts'
import { actor, allSynced, putCertified, putReal, seconds, startWorker } from './real.ts'
import { setStage } from './stage.ts'

// node bench/refused.ts <kubeconfig> <host:port of the ingress> [hosts = 1000] [revocations = 100]
// How long after a client certificate is revoked a real ingress refuses it, first by itself and then while so many
// hosts are changed, over and over. npm run build first.

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
  const { id } = await issueCertificate(ctx, actor, {
    tenant: 'bench',
    request: { profile: 'client', subject: { commonName: 'bench' } },
    idempotencyKey: undefined,
  })
  const { body } = await getBundle(ctx, actor, { tenant: 'bench', id, privateKey: true })
  return { id, pem: body.toString('utf8') }
}

async function isLetIn({ pem }: Client): Promise<boolean> {
  const client = { cert: pem, key: pem }
  return (await shakeHands({ address, name, client, leafAlone: true })).accepted
}

/** What the Secrets of the host have on the cluster. */
async function listThere(): Promise<string> {
  const { objects } = await ctx.db.read.placement.findFirstOrThrow({ where: { name } })
  const secrets = recordedObjects(objects).filter(({ kind }) => kind === 'Secret')
  const found = await Promise.all(secrets.map((ref) => kube.get(ref)))
  return JSON.stringify(found.map((object) => object?.data))
}

/** Milliseconds until this is so. */
async function untilSo(begun: number, look: () => Promise<boolean>): Promise<number> {
  while (!(await look())) await delay(10)
  return performance.now() - begun
}

/** Whether a list is still to be published. */
async function isStale(): Promise<boolean> {
  const [row] = await ctx.db.read.$queryRaw<readonly { readonly stale: boolean }[]>(
    sql`select exists (select from revocation_list where "shown" is distinct from "revision") as stale`,
  )
  return row?.stale ?? false
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
    untilSo(begun, async () => !(await isStale())),
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
    const sorted = times.map((each) => each[step]).toSorted((a, b) => a - b)
    const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed()
    const words = step === 'theirs' ? 'from applied to refused' : `${step} after`
    say(`${what}: ${words} p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms`)
  }
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

/** Sees to it that changes are under way. */
async function changeAgain(): Promise<void> {
  if (!loaded || (await left()) > hosts / 2) return
  turn++
  const to = { service: 'httpbin', namespace: 'test', port: 80 }
  const routes = [{ match: { prefix: `/${turn}` }, to }]
  for (let n = 0; n < hosts; n++) await putReal(ctx, `h${n}.bench.test`, { routes })
  say(`changed ${hosts} hosts; ${await left()} changes are under way`)
}

try {
  await changeTenant(ctx, actor, { name: 'bench', patch: { namespaces: ['test'] } })
  await createCluster(ctx, actor, { name: 'real', kubeconfig, ingress: { address } })
  await putCertified(ctx, name, { tls: { mode: 'MUTUAL', clientAuthority: 'bench-issuing' } })
  for (let n = 0; n < hosts; n++) await putCertified(ctx, `h${n}.bench.test`)
  const worker = await startWorker(stage)
  const begun = performance.now()
  await allSynced(ctx, hosts + 1)
  say(`${hosts + 1} hosts Synced after ${seconds(begun).toFixed()} s`)
  await measure('nothing else under way', Math.ceil(revocations / 5))
  loaded = true
  await measure(`${hosts / 2} to ${hosts} changes under way`, revocations)
  worker.kill('SIGTERM')
  await once(worker, 'exit')
} finally {
  kube.close()
  await stage.stop()
}

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { objectName } from '../../../src/delivery/istio/names.ts'
import { recordedRefs } from '../../../src/hosts/objects.ts'
import { removeHost } from '../../../src/hosts/remove.ts'
import { startWorker, type Worker } from '../../../src/jobs/worker.ts'
import { admin } from '../../support/context.ts'
import { kill, settingsFor, startProcess, until } from '../../support/process.ts'
import { openStage, put, read, work } from '../support.ts'

// Who follows a cluster, what is found when that begins, and what others put before the ingress.

const workers: Worker[] = []
// Before the database goes.
after(() => Promise.all(workers.map((worker) => worker.stop())))
const { ctx, kube } = await openStage()
const namespace = 'istio-system'

async function begin(): Promise<Worker> {
  const worker = await startWorker(ctx, 4)
  workers.push(worker)
  return worker
}

function placement(name: string) {
  return read(ctx, name).then(({ status: { clusters } }) => clusters[0])
}

function untilStatus(name: string, status: string, words = /.*/) {
  return until(`${name} is ${status}: ${words}`, async () => {
    const found = await placement(name)
    const said = [found?.message, ...(found?.warnings ?? [])].join('. ')
    return found?.status === status && words.test(said) ? found : undefined
  })
}

async function watch() {
  const row = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name: 'sandbox' } })
  return row.watch
}

function theirs(name: string, host: string): KubeObject {
  const port = { number: 443, name: 'https', protocol: 'HTTPS' }
  const tls = { mode: 'SIMPLE', credentialName: 'theirs' }
  return {
    ...kinds.istioGateway,
    metadata: { name, namespace: 'test' },
    spec: { selector: { istio: 'ingressgateway' }, servers: [{ port, hosts: [host], tls }] },
  }
}

async function presentOf(names: readonly string[]): Promise<number> {
  const rows = await ctx.db.read.placement.findMany({ where: { name: { in: [...names] } } })
  const refs = rows.flatMap(({ objects }) => recordedRefs(objects))
  const found = await Promise.all(refs.map((ref) => kube.get(ref)))
  return found.filter((each) => each !== undefined).length
}

const many = Array.from({ length: 5 }, (_, index) => `many${index}.shop.test`)

test('a cluster that is restored empty while nobody looks is as it was again', async (t) => {
  for (const name of many) await put(ctx, name)
  for (const name of many) await work(ctx, name)
  for (const name of many) assert.equal((await placement(name))?.status, 'Synced', name)
  const whole = await presentOf(many)
  for (const row of await ctx.db.read.placement.findMany()) {
    for (const ref of recordedRefs(row.objects)) await kube.remove(ref)
  }
  assert.equal(await presentOf(many), 0)
  const begun = performance.now()
  await begin()
  await until('all objects are there again', async () => {
    return (await presentOf(many)) === whole ? true : undefined
  })
  t.diagnostic(
    `${whole} objects of ${many.length} hosts: ${Math.round(performance.now() - begun)} ms`,
  )
  for (const name of many) await untilStatus(name, 'Synced')
})

test('how a cluster is followed is told, with what belongs to nobody', async () => {
  await until('it is watched', async () =>
    JSON.stringify(await watch()).includes('watching') ? true : undefined,
  )
  const stray: KubeObject = {
    ...kinds.istioGateway,
    metadata: {
      name: 'stray',
      namespace,
      labels: {
        'app.kubernetes.io/managed-by': 'gatesmith',
        'gatesmith.dev/host-id': randomUUID(),
      },
    },
    spec: { ...theirs('stray', 'stray.test').spec },
  }
  await kube.apply(stray)
  const [before] = workers.splice(0)
  await before?.stop()
  await begin()
  await until('it is told of', async () =>
    JSON.stringify(await watch()).includes(`Gateway ${namespace}/stray`) ? true : undefined,
  )
  const ref = { ...kinds.istioGateway, namespace, name: 'stray' }
  assert.ok(await kube.get(ref))
  await kube.remove(ref)
})

test('what others put before the ingress is named at once, and forgotten when it goes', async (t) => {
  const [name = ''] = many
  const begun = performance.now()
  await kube.apply(theirs('theirs', name))
  const told = await untilStatus(name, 'Conflict', /Gateway test\/theirs already serves/)
  t.diagnostic(`named after ${Math.round(performance.now() - begun)} ms: ${told.message}`)
  await kube.remove({ ...kinds.istioGateway, namespace: 'test', name: 'theirs' })
  const gone = performance.now()
  await untilStatus(name, 'Synced')
  t.diagnostic(`Synced again after ${Math.round(performance.now() - gone)} ms`)
})

test('a host that the ingress does not take up says who keeps it from that', async () => {
  const [name = ''] = many
  await kube.apply(theirs('freezing', name))
  await untilStatus(name, 'Conflict', /Gateway test\/freezing/)
  await put(ctx, 'late.shop.test')
  const late = await untilStatus('late.shop.test', 'Applied', /takes no new configuration since/)
  assert.match(
    late.message ?? '',
    /takes no new configuration since \S+: Gateway test\/freezing.* and Gateway istio-system\/.* both serve many0\.shop\.test on port 443/,
  )
  await removeHost(ctx, admin, { tenant: 'shop', name: 'many1.shop.test' })
  await untilStatus(
    'many1.shop.test',
    'Failed',
    /still serves the host.*takes no new configuration.*Gateway test\/freezing/,
  )
  await kube.remove({ ...kinds.istioGateway, namespace: 'test', name: 'freezing' })
  await untilStatus('late.shop.test', 'Synced')
})

test('when the process that follows a cluster is killed, another does within seconds', async (t) => {
  for (const worker of workers.splice(0)) await worker.stop()
  const settings = {
    ...(await settingsFor(ctx.config.databaseUrl)),
    GATESMITH_SEALING_KEY: ctx.config.sealingKey.toString('base64'),
    GATESMITH_PUBLIC_URL: ctx.config.publicUrl,
  }
  const before = Date.now()
  const first = startProcess(['worker'], settings)
  await until('the first follows', async () => {
    const { watch: told } = await ctx.db.read.cluster.findUniqueOrThrow({
      where: { name: 'sandbox' },
    })
    const at = typeof told === 'object' && told && 'at' in told ? String(told.at) : ''
    return Date.parse(at) > before ? true : undefined
  })
  startProcess(['worker'], settings)
  const [name = ''] = many
  const ref = { ...kinds.istioVirtualService, namespace, name: objectName(name) }
  await kill(first)
  const killed = performance.now()
  await kube.remove(ref)
  await until('it is there again', async () => ((await kube.get(ref)) ? true : undefined))
  t.diagnostic(`put right ${Math.round(performance.now() - killed)} ms after the kill`)
})

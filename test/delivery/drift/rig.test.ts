import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { createAuthority } from '../../../src/authorities/create.ts'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import { type KubeRef, kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import { changeCluster, createCluster } from '../../../src/clusters/register.ts'
import { type Feature, featuresWith } from '../../../src/clusters/rights/table.ts'
import type { Context } from '../../../src/core/context.ts'
import { digestOf } from '../../../src/delivery/drift/digest.ts'
import { objectName } from '../../../src/delivery/istio/names.ts'
import { getHost } from '../../../src/hosts/find.ts'
import { recordedObjects } from '../../../src/hosts/objects.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { removeHost } from '../../../src/hosts/remove.ts'
import { startWorker, type Worker } from '../../../src/jobs/worker.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openAccount } from '../../support/account.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { until } from '../../support/process.ts'

// A real API server, a real istiod and a real Envoy: what kubectl does to what is ours, first with the rights that
// hosts need and no more, then with those of a watch. KUBECONFIG is an administrator's.

const { GATESMITH_RIG_KUBECONFIG: rig, KUBECONFIG: ruler } = process.env
const skip = (rig === undefined || ruler === undefined) && 'GATESMITH_RIG_KUBECONFIG names no rig'
const namespace = 'istio-system'
const places = {
  ...{ ingress: [namespace], workload: ['test'], backendTls: [], mesh: [namespace] },
  ...{ backend: [], restart: [], configMap: [] },
}
const many = Array.from({ length: 44 }, (_, index) => `many${index}.rigshop.test`)

async function kubectl(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('kubectl', [...args])
  return stdout
}

function put(ctx: Context, name: string) {
  const to = { service: 'httpbin', namespace: 'test', port: 80 }
  const spec = { routes: [{ to }], clusters: ['rig'] }
  return putHost(ctx, admin, { tenant: 'rigshop', name, spec })
}

test('on a real cluster', { skip }, async (t) => {
  let worker: Worker | undefined
  // Before the database goes.
  after(() => worker?.stop())
  const text = await readFile(ruler ?? '', 'utf8')
  const kube = connect(text)
  after(() => kube.close())
  const account = (features: readonly Feature[]) =>
    openAccount(kube, { name: 'gatesmith-drift', api: 'istio', features, places })
  const all = featuresWith({})
  const credentials = await account(all.filter((feature) => feature !== 'watch'))
  const ctx = await openTestContext()
  const ingress = { address: '127.0.0.1:4443' }
  const server: string = parse(text).clusters[0].cluster.server
  await createCluster(ctx, admin, { name: 'rig', server, ...credentials, ingress })
  await createAuthority(ctx, admin, { name: 'rig', kind: 'root', subject: { commonName: 'rig' } })
  await createTenant(ctx, admin, {
    ...{ name: 'rigshop', domains: ['rigshop.test'], namespaces: ['test'] },
    defaultAuthority: 'rig',
  })
  // What a run of before left.
  const ours = 'gateways.networking.istio.io,virtualservices.networking.istio.io,secrets'
  const selector = ['-l', 'app.kubernetes.io/managed-by=gatesmith', '-n', namespace]
  await kubectl('delete', ours, ...selector)
  await kubectl(
    'delete',
    'gateway.networking.istio.io',
    'freezing',
    '-n',
    'test',
    '--ignore-not-found',
  )
  worker = await startWorker(ctx, 8)

  const name = 'one.rigshop.test'
  const place = { namespace, name: objectName(name) }
  const refs = {
    secret: { ...kinds.secret, ...place },
    gateway: { ...kinds.istioGateway, ...place },
    route: { ...kinds.istioVirtualService, ...place },
  }

  async function status(of: string, wanted: string, words = /.*/, seconds = 90) {
    return until(
      `${of} is ${wanted}: ${words}`,
      async () => {
        const host = await getHost(ctx, admin, { tenant: 'rigshop', name: of })
        const [found] = host.status.clusters
        const said = [found?.message, ...(found?.warnings ?? [])].join('. ')
        return found?.status === wanted && words.test(said) ? found : undefined
      },
      seconds,
    )
  }

  async function mode(wanted: string) {
    let seen: string | undefined
    const look = async () => {
      const { watch } = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name: 'rig' } })
      seen = JSON.stringify(watch)
      return seen.includes(`"mode":"${wanted}"`) ? seen : undefined
    }
    return until(`the cluster is ${wanted}`, look, 90).catch((error: unknown) => {
      throw new Error(`it is ${seen}`, { cause: error })
    })
  }

  async function isAsWanted(ref: KubeRef) {
    const row = await ctx.db.read.placement.findFirstOrThrow({ where: { name } })
    const recorded = recordedObjects(row.objects).find((each) => each.kind === ref.kind)
    const there = await kube.get(ref)
    return there && digestOf(there) === recorded?.digest ? true : undefined
  }

  async function repaired(what: string, ref: KubeRef, work: Promise<unknown>) {
    await work
    const begun = performance.now()
    await until(`${what} is put right`, () => isAsWanted(ref), 90)
    const took = Math.round(performance.now() - begun)
    t.diagnostic(`${what}: put right after ${took} ms`)
  }

  const remove = (ref: KubeRef) =>
    kubectl(
      'delete',
      `${ref.kind.toLowerCase()}${ref.kind === 'Gateway' ? '.networking.istio.io' : ''}`,
      ref.name,
      '-n',
      ref.namespace,
    )
  const patch = (ref: KubeRef, change: object) =>
    kubectl(
      ...['patch', ref.kind === 'Gateway' ? 'gateway.networking.istio.io' : ref.kind.toLowerCase()],
      ...[ref.name, '-n', ref.namespace, '--type=merge', '-p', JSON.stringify(change)],
    )
  const elsewhere = { spec: { http: [{ route: [{ destination: { host: 'elsewhere' } }] }] } }
  const unlabelled = {
    metadata: { labels: { 'gatesmith.dev/host-id': null, 'app.kubernetes.io/managed-by': null } },
  }

  await put(ctx, name)
  await status(name, 'Synced')
  t.diagnostic(`without a right to watch: ${await mode('listing')}`)
  await repaired('an edit, listed', refs.route, patch(refs.route, elsewhere))
  await status(name, 'Synced')

  await account(all)
  t.diagnostic(`with it: ${await mode('watching')}`)
  for (const ref of Object.values(refs)) {
    await repaired(`${ref.kind} removed`, ref, remove(ref))
    await status(name, 'Synced')
  }
  for (const [what, ref, change] of [
    ['VirtualService edited', refs.route, elsewhere],
    ['Gateway edited', refs.gateway, { spec: { selector: { istio: 'nobody' } } }],
    ['Secret edited', refs.secret, { data: { 'tls.crt': 'bm9uZQ==' } }],
    ['Gateway without our labels', refs.gateway, unlabelled],
    ['Secret without our labels', refs.secret, unlabelled],
  ] as const) {
    // What was put right a moment ago is put right again a little later.
    await pause(8_000)
    await repaired(what, ref, patch(ref, change))
    await status(name, 'Synced')
  }
  const told = await ctx.db.read.auditEvent.findMany({ where: { action: 'host.repaired' } })
  t.diagnostic(`the trail: ${JSON.stringify(told.at(4)?.changes)}`)

  // Somebody who writes the same object again and again.
  const fought = 'fought.rigshop.test'
  await put(ctx, fought)
  await status(fought, 'Synced')
  const foughtRoute = { ...refs.route, name: objectName(fought) }
  const end = Date.now() + 20_000
  let edits = 0
  let said = ''
  while (Date.now() < end) {
    const there = await kube.get(foughtRoute)
    if (there && !JSON.stringify(there.spec).includes('elsewhere')) {
      await patch(foughtRoute, elsewhere)
      edits++
    }
    const [found] = (await getHost(ctx, admin, { tenant: 'rigshop', name: fought })).status.clusters
    if (found?.status === 'Conflict') said = found.message ?? ''
  }
  const repairs = await ctx.db.read.auditEvent.count({
    where: { action: 'host.repaired', subjectName: fought },
  })
  t.diagnostic(`a fight of 20 s: ${edits} edits, ${repairs} repairs: ${said}`)
  assert.ok(repairs >= 3 && repairs <= 6)
  assert.match(said, /kubectl-patch at .* again and again/)
  await status(fought, 'Synced')

  // Only told of, until somebody asks again.
  const reported = 'reported.rigshop.test'
  await put(ctx, reported)
  await status(reported, 'Synced')
  await changeCluster(ctx, admin, { name: 'rig', patch: { drift: 'report' } })
  await patch({ ...refs.route, name: objectName(reported) }, elsewhere)
  const report = await status(reported, 'Conflict', /kubectl-patch/)
  t.diagnostic(`reported: ${report.message}`)
  await put(ctx, reported)
  await status(reported, 'Synced')
  await changeCluster(ctx, admin, { name: 'rig', patch: { drift: 'repair' } })

  // Somebody else's Gateway for the same name, made later in another namespace: Envoy refuses the listener.
  const theirs = {
    apiVersion: kinds.istioGateway.apiVersion,
    kind: 'Gateway',
    metadata: { name: 'freezing', namespace: 'test' },
    spec: {
      selector: { istio: 'ingressgateway' },
      servers: [
        {
          port: { number: 443, name: 'https', protocol: 'HTTPS' },
          hosts: [name],
          tls: { mode: 'SIMPLE', credentialName: objectName(name) },
        },
      ],
    },
  }
  const gone = 'gone.rigshop.test'
  await put(ctx, gone)
  await status(gone, 'Synced')
  const raw = '/apis/networking.istio.io/v1/namespaces/test/gateways'
  const { spawn } = await import('node:child_process')
  const create = spawn('kubectl', ['create', '--raw', raw, '-f', '-'])
  create.stdin.end(JSON.stringify(theirs))
  await new Promise((resolve) => create.once('close', resolve))
  const frozen = performance.now()
  const named = await status(name, 'Conflict', /Gateway test\/freezing/)
  t.diagnostic(
    `a foreign Gateway named after ${Math.round(performance.now() - frozen)} ms: ${named.message}`,
  )
  await put(ctx, 'late.rigshop.test')
  const late = await status('late.rigshop.test', 'Applied', /takes no new configuration/, 120)
  t.diagnostic(`a new host: ${late.message}`)
  await removeHost(ctx, admin, { tenant: 'rigshop', name: gone })
  const stalled = await status(gone, 'Failed', /takes no new configuration/, 120)
  t.diagnostic(`a removal: ${stalled.message}`)
  await kubectl('delete', 'gateway.networking.istio.io', 'freezing', '-n', 'test')
  await status(name, 'Synced')
  await status('late.rigshop.test', 'Synced', /.*/, 150)

  // Emptied while nobody looks.
  for (const each of many) await put(ctx, each)
  for (const each of many) await status(each, 'Synced', /.*/, 150)
  await worker.stop()
  worker = undefined
  await kubectl('delete', ours, ...selector)
  const count = async () => {
    const lines = await kubectl('get', ours, ...selector, '-o', 'name')
    return lines.split('\n').filter((line) => line !== '').length
  }
  assert.equal(await count(), 0)
  worker = await startWorker(ctx, 8)
  const emptied = performance.now()
  const whole = 3 * (many.length + 4)
  await until('all is there again', async () => ((await count()) === whole ? true : undefined), 150)
  t.diagnostic(
    `${whole} objects of ${many.length + 4} hosts there again after ${Math.round(performance.now() - emptied)} ms`,
  )
  for (const each of many) await status(each, 'Synced', /.*/, 150)
  t.diagnostic(`all Synced after ${Math.round(performance.now() - emptied)} ms`)
  for (const each of [...many, name, 'late.rigshop.test', fought, reported]) {
    await removeHost(ctx, admin, { tenant: 'rigshop', name: each })
  }
  await until('nothing is left', async () => ((await count()) === 0 ? true : undefined), 150)
})

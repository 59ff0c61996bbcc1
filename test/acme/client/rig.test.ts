import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { createAuthority } from '../../../src/authorities/create.ts'
import { renewCertificate } from '../../../src/certificates/renewal/renew.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import type { HostSpec } from '../../../src/hosts/host.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { startWorker, type Worker } from '../../../src/jobs/worker.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openChallenges } from '../../support/acme.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { isProblem } from '../../support/problem.ts'
import { accountWhen, eventually, hostWhen, isSynced, openCa, openSandbox } from './support.ts'

// Against a real istiod and a real Envoy: while a CA elsewhere looks, port 80 of each host answers its challenge, whatever else it
// does; afterwards nothing of that is left. The CA looks when its worker is started.

const { GATESMITH_RIG_KUBECONFIG: own, KUBECONFIG: ruler } = process.env
const skip = (own === undefined || ruler === undefined) && 'GATESMITH_RIG_KUBECONFIG names no rig'
const note = skip ? ` (skipped: ${skip})` : ''
const run = promisify(execFile)

const to = (service: string, port: number) => ({ service, namespace: 'test', port })
const hosts = {
  'redirect.shop.test': { http: 'redirect', routes: [{ to: to('httpbin', 80) }] },
  'off.shop.test': { http: 'off', routes: [{ to: to('httpbin', 80) }] },
  'serve.shop.test': { http: 'serve', routes: [{ to: to('httpbin', 80) }] },
  'mutual.shop.test': {
    tls: { mode: 'MUTUAL', clientAuthority: 'house' },
    routes: [{ to: to('httpbin', 80) }],
  },
  'through.shop.test': {
    tls: { mode: 'PASSTHROUGH' },
    http: 'serve',
    certificate: { secretName: 'passthrough-example-com-tls' },
    routes: [
      { to: to('nginx-service', 443) },
      { match: { port: 80 }, to: to('nginx-service', 80) },
    ],
  },
  // On another cluster too.
  'both.shop.test': { routes: [{ to: to('httpbin', 80) }], clusters: ['rig', 'other'] },
} as const satisfies Readonly<
  Record<string, Omit<HostSpec, 'clusters'> & { clusters?: readonly string[] }>
>
type Name = keyof typeof hosts
const names = Object.keys(hosts) as readonly Name[]

async function open() {
  const workers = new Map<string, Worker>()
  const stop = async (name: string) => {
    await workers.get(name)?.stop()
    workers.delete(name)
  }
  const kube = connect(await readFile(ruler ?? '', 'utf8'))
  after(async () => {
    for (const name of workers.keys()) await stop(name)
    // Other tests look at all that is there.
    const labelSelector = 'app.kubernetes.io/managed-by=gatesmith'
    for (const kind of [kinds.istioGateway, kinds.istioVirtualService, kinds.secret]) {
      for (const { metadata } of await kube.list(kind, { labelSelector })) {
        const { name, namespace = '' } = metadata
        await kube.remove({ ...kind, name, namespace })
      }
    }
    kube.close()
  })
  const { dnsPort } = await openChallenges()
  const acme = {
    ...{ httpPort: 4480, tlsPort: 4443, resolvers: [`127.0.0.1:${dnsPort}`] },
    ranges: ['127.0.0.0/8'],
  }
  const { ca, root, binding } = await openCa(acme)
  const ctx = await openTestContext({}, { acme, caRanges: ['127.0.0.0/8'] })
  const ingress = {
    ...{ namespace: 'istio-system', selector: { istio: 'ingressgateway' } },
    ...{
      address: '127.0.0.1:4443',
      plainAddress: '127.0.0.1:4480',
      adminAddress: '127.0.0.1:15000',
    },
  }
  const kubeconfig = await readFile(own ?? '', 'utf8')
  await createCluster(ctx, admin, { name: 'rig', kubeconfig, ingress })
  const sandbox = await openSandbox()
  await createCluster(ctx, admin, {
    ...{ name: 'other', kubeconfig: sandbox.kubeconfig },
    ingress: {
      address: `127.0.0.1:${sandbox.tlsPort}`,
      plainAddress: `127.0.0.1:${sandbox.plainPort}`,
    },
  })
  const subject = { commonName: 'house' }
  await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject })
  await createAuthority(ctx, admin, {
    ...{ name: 'public', kind: 'acme', directory: `${ca.url}/acme/issuing/directory` },
    ...{ externalAccountBinding: binding, trustedRoots: root.pem ?? '' },
    ...{ challenge: { type: 'http-01' }, termsOfServiceAgreed: true },
  })
  await createTenant(ctx, admin, {
    ...{ name: 'shop', domains: ['shop.test'], namespaces: ['test'], defaultAuthority: 'public' },
  })
  workers.set('own', await startWorker(ctx, 6))
  await accountWhen({ ctx }, 'public', 'valid')
  return {
    ...{ ctx, ca, kube, stop },
    start: async (name: 'ca') => workers.set(name, await startWorker(ca.ctx, 2)),
  }
}

const opened = skip ? undefined : await open()

function world() {
  assert.ok(opened)
  return opened
}

/** What plain HTTP, or TLS, answers by curl: the status, where it redirects to, and the body. */
async function curl(url: string, ...more: readonly string[]) {
  const { hostname } = new URL(url)
  const at = [`${hostname}:80:127.0.0.1`, `${hostname}:443:127.0.0.1`]
  const to = [`${hostname}:80:127.0.0.1:4480`, `${hostname}:443:127.0.0.1:4443`]
  const where = [
    ...at.flatMap((each) => ['--resolve', each]),
    ...to.flatMap((each) => ['--connect-to', each]),
  ]
  const asked = ['-sk', '--max-time', '10', '-w', '\n%{http_code} %{redirect_url}', ...where]
  const { stdout } = await run('curl', [...asked, ...more, url]).catch((error) => error)
  const lines = `${stdout}`.split('\n')
  const [status = '', location = ''] = (lines.at(-1) ?? '').split(' ')
  return { status: Number(status), location, body: lines.slice(0, -1).join('\n') }
}

/** What kubectl shows of all that routes. */
async function listed(): Promise<string> {
  const what = 'virtualservices.networking.istio.io,gateways.networking.istio.io'
  return (await run('kubectl', ['get', what, '-A', '-o', 'yaml'])).stdout
}

/** The challenges that the CA was told to look for, by name, when all of these are there. */
function shown(wanted: readonly Name[]) {
  return eventually(async () => {
    const rows = await world().ctx.db.read.caChallenge.findMany({
      where: { name: { in: [...wanted] }, cleanedAt: null, answeredAt: { not: null } },
    })
    const said = await world().ctx.db.read.caOrder.findMany({ where: { endedAt: null } })
    assert.equal(
      rows.length,
      wanted.length,
      JSON.stringify(said.map(({ names, message }) => [names, message])),
    )
    return rows
  }, 60_000)
}

async function answersAll(rows: Awaited<ReturnType<typeof shown>>): Promise<void> {
  const yaml = await listed()
  for (const { name, token, keyAuthorization } of rows) {
    const told = await curl(`http://${name}/.well-known/acme-challenge/${token}`)
    assert.deepEqual([name, told.status, told.body], [name, 200, keyAuthorization])
    assert.ok(yaml.includes(`/.well-known/acme-challenge/${token}`), name)
    const other = await curl(`http://${name}/.well-known/acme-challenge/${'x'.repeat(43)}`)
    assert.notEqual(other.body, keyAuthorization)
  }
}

/** What is answered where no CA looks any more. */
async function answersNone(rows: Awaited<ReturnType<typeof shown>>): Promise<void> {
  await eventually(async () => {
    assert.ok(!(await listed()).includes('acme-challenge'))
    for (const { name, token, keyAuthorization } of rows) {
      const { status, body } = await curl(`http://${name}/.well-known/acme-challenge/${token}`)
      assert.ok(status !== 200 || body !== keyAuthorization, `${name} ${status}`)
    }
  }, 60_000)
}

const synced = (name: Name, than?: string) =>
  hostWhen(
    { ctx: world().ctx },
    name,
    (host) => isSynced(host) && host.status.certificate?.id !== than,
  )

test(`a real Envoy answers challenges of hosts that have no certificate yet, and nothing else${note}`, {
  skip,
}, async () => {
  const { ctx, start } = world()
  for (const name of names) {
    const spec = { clusters: ['rig'], ...hosts[name] }
    await putHost(ctx, admin, { tenant: 'shop', name, spec: structuredClone(spec) as never })
  }
  const rows = await shown(names)
  await answersAll(rows)
  for (const name of names) {
    assert.equal((await curl(`http://${name}/status/418`)).status, 404, name)
    assert.equal((await curl(`https://${name}/status/418`)).status, 0, name)
  }
  await start('ca')
  for (const name of names) await synced(name)
  await answersNone(rows)
  const orders = await ctx.db.read.caOrder.findMany({ where: { names: { has: 'both.shop.test' } } })
  assert.deepEqual(
    orders.map(({ state }) => state),
    ['issued'],
  )
  await servedAsAsked()
})

async function servedAsAsked(): Promise<void> {
  const redirected = await curl('http://redirect.shop.test/status/418')
  assert.deepEqual(
    [redirected.status, redirected.location],
    [301, 'https://redirect.shop.test/status/418'],
  )
  assert.equal((await curl('http://off.shop.test/status/418')).status, 404)
  assert.equal((await curl('http://serve.shop.test/status/418')).status, 418)
  for (const name of ['redirect', 'off', 'serve'] as const) {
    assert.equal((await curl(`https://${name}.shop.test/status/418`)).status, 418, name)
  }
  assert.equal((await curl('https://mutual.shop.test/status/418')).status, 0)
  assert.equal((await curl('https://through.shop.test/')).status, 200)
  assert.equal((await curl('http://through.shop.test/')).status, 200)
}

test(`while they are renewed they are served as they are asked for, and answer challenges beside that${note}`, {
  skip,
}, async () => {
  const { ctx, start, stop } = world()
  await stop('ca')
  const before = new Map<Name, string>()
  for (const name of names) {
    const id = (await synced(name)).status.certificate?.id ?? ''
    before.set(name, id)
    const renewal = { tenant: 'shop', id, csr: undefined, idempotencyKey: undefined }
    await assert.rejects(renewCertificate(ctx, admin, renewal), isProblem('certificate-ordered'))
  }
  const rows = await shown(names)
  await answersAll(rows)
  await servedAsAsked()
  await start('ca')
  for (const name of names) await synced(name, before.get(name))
  await answersNone(rows)
  await servedAsAsked()
})

test(`a certificate that is revoked is replaced before a real Envoy, and its CA is told${note}`, {
  skip,
}, async () => {
  const { ctx, ca } = world()
  const host = await synced('redirect.shop.test')
  const { id = '', serial = '' } = host.status.certificate ?? {}
  await revokeCertificate(ctx, admin, { tenant: 'shop', id, reason: 'superseded' })
  await synced('redirect.shop.test', id)
  await eventually(async () => {
    const row = await ca.ctx.db.read.certificate.findFirstOrThrow({ where: { serial } })
    assert.equal(row.revocationReason, 'superseded')
  })
})

test(`what others hold of port 80 is named, and the order says what is answered instead${note}`, {
  skip,
}, async () => {
  const { ctx, kube } = world()
  const name = 'held.shop.test'
  // By its name before ours, of those that were made within one second.
  const place = { name: 'a-theirs', namespace: 'istio-system' }
  const [gateway, routes] = [
    { ...kinds.istioGateway, ...place },
    { ...kinds.istioVirtualService, ...place },
  ]
  after(async () => {
    for (const ref of [routes, gateway]) await kube.remove(ref)
  })
  const port = { number: 80, name: 'http-theirs', protocol: 'HTTP' }
  await kube.apply({
    ...kinds.istioGateway,
    metadata: place,
    spec: { selector: { istio: 'ingressgateway' }, servers: [{ port, hosts: [`*/${name}`] }] },
  })
  await kube.apply({
    ...kinds.istioVirtualService,
    metadata: place,
    spec: {
      ...{ hosts: [name], gateways: [`${place.namespace}/${place.name}`] },
      http: [
        {
          match: [{ uri: { prefix: '/.well-known/acme-challenge/' } }],
          directResponse: { status: 503 },
        },
      ],
    },
  })
  await eventually(async () => {
    assert.equal((await curl(`http://${name}/.well-known/acme-challenge/x`)).status, 503)
  }, 60_000)
  const spec = { http: 'off', routes: [{ to: to('httpbin', 80) }], clusters: ['rig'] } as const
  await putHost(ctx, admin, { tenant: 'shop', name, spec: structuredClone(spec) as never })
  const says = (message: RegExp, warning: RegExp) =>
    hostWhen({ ctx }, name, ({ status: { clusters } }) => {
      const [found] = clusters
      return message.test(found?.message ?? '') && warning.test(found?.warnings.join(' ') ?? '')
    })
  await says(/it answers 503/, /VirtualService istio-system\/a-theirs answers for it there/)
  // A server that redirects, as others have one for all of a port.
  const redirecting = { port, hosts: [`*/${name}`], tls: { httpsRedirect: true } }
  await kube.apply({
    ...kinds.istioGateway,
    metadata: place,
    spec: { selector: { istio: 'ingressgateway' }, servers: [redirecting] },
  })
  await kube.remove(routes)
  await says(/it answers 301/, /theirs redirects the plain HTTP/)
  // Once it is gone, the order goes on.
  for (const ref of [routes, gateway]) await kube.remove(ref)
  await hostWhen({ ctx }, name, isSynced)
})

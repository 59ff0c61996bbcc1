import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { manifests } from '../../../src/delivery/istio/manifests.ts'
import { objectName } from '../../../src/delivery/istio/names.ts'
import { istio } from '../../../src/delivery/istio/renderer.ts'
import { observe } from '../../../src/delivery/observe.ts'
import { refOf } from '../../../src/delivery/plan.ts'
import { askPlainly, shakeHands } from '../../../src/delivery/proof/handshake.ts'
import type { DesiredHost } from '../../../src/delivery/renderer.ts'
import type { CompleteSpec } from '../../../src/hosts/host.ts'
import { issue, type Pair } from '../../sandbox/pki.ts'
import { startTestCluster } from '../../sandbox/support.ts'

// What others can put before an ingress, made with objects: what the ingress then does, and what we say of
// it, each beside a host that came first and one that came later. On the sandbox; and on a real cluster where
// GATESMITH_TEST_ADMIN_KUBECONFIG (who may write Gateways in all namespaces), GATESMITH_TEST_INGRESS and
// GATESMITH_TEST_PLAIN_PORT say where. It takes ports 443 and 80 of that ingress for itself: only on one
// that nobody else uses.

const { GATESMITH_TEST_ADMIN_KUBECONFIG: path, GATESMITH_TEST_INGRESS: real } = process.env
const world = path === undefined || real === undefined ? await sandbox() : await cluster(path, real)
const { kube, address, plainAddress, pause } = world
after(() => world.close())

async function sandbox() {
  const { sandbox: started, stop } = await startTestCluster()
  const opened = connect(started.kubeconfig)
  return {
    kube: opened,
    address: `127.0.0.1:${started.tlsPort}`,
    plainAddress: `127.0.0.1:${started.plainPort}`,
    pause: 15,
    close: async () => {
      opened.close()
      await stop()
    },
  }
}

async function cluster(kubeconfig: string, tlsAddress: string) {
  const opened = connect(await readFile(kubeconfig, 'utf8'))
  const port = process.env.GATESMITH_TEST_PLAIN_PORT ?? '80'
  return {
    kube: opened,
    address: tlsAddress,
    plainAddress: tlsAddress.replace(/:\d+$/, `:${port}`),
    // istiod gathers changes for some time, and Envoy takes them up in its own.
    pause: 1_000,
    close: async () => opened.close(),
  }
}

const ingress = {
  namespace: 'istio-system',
  selector: { istio: 'ingressgateway' },
  address,
}
const networking = 'networking.istio.io/v1'
const to = (service: string, port: number) => [
  { destination: { host: `${service}.test.svc.cluster.local`, port: { number: port } } },
]

function gateway(server: object, more: object = {}, selector: object | null = ingress.selector) {
  const metadata = { name: 'theirs', namespace: 'test', ...more }
  const spec = { ...(selector ? { selector } : {}), servers: [server] }
  return { apiVersion: networking, kind: 'Gateway', metadata, spec }
}

function routed(hosts: readonly string[], spec: object = {}, more: object = {}): KubeObject {
  const http = [{ directResponse: { status: 288 } }]
  const metadata = { name: 'theirs', namespace: 'test', ...more }
  const all = { hosts, gateways: ['theirs'], http, ...spec }
  return { apiVersion: networking, kind: 'VirtualService', metadata, spec: all }
}

const https = (hosts: readonly string[], more: object = {}, number = 443) => ({
  port: { number, name: 'https-theirs', protocol: 'HTTPS' },
  hosts,
  tls: { mode: 'SIMPLE', credentialName: 'their-secret' },
  ...more,
})
const http = (hosts: readonly string[], more: object = {}, number = 80) => ({
  ...{ port: { number, name: 'http-theirs', protocol: 'HTTP' }, hosts, ...more },
})
const raw = (protocol: string, number: number) => ({
  ...{ port: { number, name: 'raw', protocol }, hosts: ['*'] },
})
const through = (hosts: readonly string[]) => ({
  port: { number: 443, name: 'tls-theirs', protocol: 'TLS' },
  hosts,
  tls: { mode: 'PASSTHROUGH' },
})
const passed = (sniHosts: readonly string[]) => ({
  http: undefined,
  tls: [{ match: [{ sniHosts }], route: to('nginx-service', 443) }],
})

/** What is seen: whose certificate and which status over TLS, the status on port 80, and whether a host that
 *  is made afterwards is served. */
type Seen =
  `tls ${'ours' | 'theirs' | 'other' | 'none'} ${number | null}, plain ${number | null}, ${
    | 'open'
    | 'frozen'}`

type Row = {
  readonly title: string
  readonly theirs: (name: string, own: string) => readonly KubeObject[]
  readonly mode?: 'PASSTHROUGH'
  readonly http?: CompleteSpec['http']
  /** When theirs came first, and when ours did. */
  readonly before: Seen
  readonly after: Seen
}

const untouched: Seen = 'tls ours 418, plain 418, open'
const same = (seen: Seen) => ({ before: seen, after: seen })
const freezes = {
  before: 'tls theirs 288, plain 418, frozen',
  after: 'tls ours 418, plain 418, frozen',
} as const
const atOurs = (own: string, spec: object = {}) => ({ gateways: [own], ...spec })
const inside = { namespace: 'istio-system' }

const rows: readonly Row[] = [
  { title: 'nothing', theirs: () => [], ...same(untouched) },
  {
    title: 'the same host with the same namespace',
    theirs: (name) => [gateway(https([`istio-system/${name}`])), routed([name])],
    before: 'tls theirs 404, plain 418, open',
    after: untouched,
  },
  {
    title: 'the same host of any namespace',
    theirs: (name) => [gateway(https([name])), routed([name])],
    ...freezes,
  },
  {
    title: 'the same host of its own namespace',
    theirs: (name) => [gateway(https([`./${name}`])), routed([name])],
    ...freezes,
  },
  {
    title: 'the host without a selector',
    theirs: (name) => [gateway(https([name]), {}, null), routed([name])],
    ...freezes,
  },
  {
    title: 'the host by the port of the pods',
    theirs: (name) => [gateway(https([name], {}, podPort)), routed([name])],
    ...freezes,
  },
  {
    title: 'the host for other pods',
    theirs: (name) => [gateway(https([name]), {}, { istio: 'other' }), routed([name])],
    ...same(untouched),
  },
  {
    title: 'the host on another port',
    theirs: (name) => [gateway(https([name], {}, 7443)), routed([name])],
    ...same(untouched),
  },
  {
    title: 'the host with a dot at its end',
    theirs: (name) => [gateway(https([`${name}.`]))],
    ...same(untouched),
  },
  {
    title: 'a wildcard over the host',
    theirs: () => [gateway(https(['*.traps.test'])), routed(['*.traps.test'])],
    ...same(untouched),
  },
  {
    title: 'all hosts',
    theirs: () => [gateway(https(['*/*'])), routed(['*'])],
    ...same(untouched),
  },
  {
    title: 'a wildcard that is passed through, and an SNI of the host under it',
    theirs: (name) => [gateway(through(['*.traps.test'])), routed([name], passed([name]))],
    // The workload has a certificate of its own in the sandbox alone.
    before: `tls ${path === undefined ? 'other 200' : 'none null'}, plain 418, frozen`,
    after: 'tls ours 418, plain 418, frozen',
  },
  {
    title: 'the host passed through to nowhere',
    theirs: (name) => [gateway(through([name]))],
    ...same(untouched),
  },
  {
    title: 'the host on port 80',
    theirs: (name) => [gateway(http([name])), routed([name])],
    before: 'tls ours 418, plain 288, open',
    after: untouched,
  },
  {
    title: 'one path of the host on port 80',
    theirs: (name) => [
      gateway(http([name])),
      routed([name], {
        http: [{ match: [{ uri: { exact: '/status/418' } }], directResponse: { status: 288 } }],
      }),
    ],
    ...same('tls ours 418, plain 288, open'),
  },
  {
    title: 'all hosts on port 80, with routes for this one',
    theirs: (name) => [gateway(http(['*'])), routed([name])],
    before: 'tls ours 418, plain 288, open',
    after: untouched,
  },
  {
    title: 'the host on port 80 where we redirect it',
    theirs: (name) => [gateway(http([name])), routed([name])],
    http: 'redirect',
    ...same('tls ours 418, plain 301, open'),
  },
  {
    title: 'the host on port 80 redirected where we serve it',
    theirs: (name) => [gateway(http([name], { tls: { httpsRedirect: true } }))],
    ...same('tls ours 418, plain 301, open'),
  },
  {
    title: 'the host on port 80 where ours is off',
    theirs: (name) => [gateway(http([name])), routed([name])],
    http: 'off',
    ...same('tls ours 418, plain 288, open'),
  },
  {
    title: 'the host on port 80 without routes',
    theirs: (name) => [gateway(http([name]))],
    ...same(untouched),
  },
  {
    title: 'routes for the host at TLS servers of others',
    theirs: (name) => [gateway(https(['*.traps.test'])), routed([name])],
    ...same(untouched),
  },
  {
    title: 'routes for the host that are not shown to the pods',
    theirs: (name) => [gateway(http(['*'])), routed([name], { exportTo: ['.'] })],
    ...same(untouched),
  },
  {
    title: 'HTTP on port 443',
    theirs: () => [gateway(http(['z.traps.test'], {}, 443))],
    before: 'tls none null, plain 418, frozen',
    after: 'tls ours 418, plain 418, frozen',
  },
  {
    title: 'TCP on port 443',
    theirs: () => [gateway(raw('TCP', 443))],
    before: 'tls none null, plain 418, frozen',
    after: 'tls ours 418, plain 418, frozen',
  },
  {
    title: 'MONGO on port 80',
    theirs: () => [gateway(raw('MONGO', 80))],
    before: 'tls ours 418, plain null, open',
    after: untouched,
  },
  {
    title: 'TLS on port 80',
    theirs: () => [gateway(https(['z.traps.test'], {}, 80))],
    ...same(untouched),
  },
  {
    title: 'another host at the address of the pods',
    theirs: () => [gateway(https(['z.traps.test'], { bind: '127.0.0.1' }))],
    ...same('tls none null, plain 418, frozen'),
  },
  {
    title: 'another host at another address',
    theirs: () => [gateway(https(['z.traps.test'], { bind: '127.0.0.3' }))],
    ...same(untouched),
  },
  {
    title: 'another host at all addresses, in so many words',
    theirs: () => [gateway(https(['z.traps.test'], { bind: '0.0.0.0' }))],
    ...same(untouched),
  },
  {
    title: 'a VirtualService of another namespace at our Gateway',
    theirs: (name, own) => [routed([name], atOurs(own))],
    ...same(untouched),
  },
  {
    title: 'one of the namespace of the ingress',
    theirs: (name, own) => [routed([name], atOurs(own), inside)],
    before: 'tls ours 288, plain 288, open',
    after: untouched,
  },
  {
    title: 'one of the namespace of the ingress, shown to it alone, which comes first at any age',
    theirs: (name, own) => [routed([name], atOurs(own, { exportTo: ['.'] }), inside)],
    ...same('tls ours 288, plain 288, open'),
  },
  {
    title: 'one of the namespace of the ingress, not shown to the pods',
    theirs: (name, own) => [routed([name], atOurs(own, { exportTo: ['test'] }), inside)],
    ...same(untouched),
  },
]

/** What a Service of the ingress leads 443 to. */
const podPort = path === undefined ? 8443 : Number(address.replace(/.*:/, ''))

async function deliveryOf(name: string, fields: Pick<Row, 'mode' | 'http'> = {}) {
  const pair = await issue(name, 'server')
  const httpbin = { service: 'httpbin', namespace: 'test', port: 80 }
  const spec: CompleteSpec = {
    tls: { mode: 'SIMPLE' },
    http: fields.http ?? 'serve',
    certificate: { authority: 'a', keyAlgorithm: 'ECDSA_P256', validityDays: 1 },
    routes: [{ match: { prefix: '/' }, to: httpbin }],
    clusters: ['one'],
  }
  const id = `trap-${name.replaceAll('.', '-')}`
  const delivery: DesiredHost = {
    host: { id, name, tenant: 'traps', generation: 1, spec },
    ingress,
    certificate: { serial: pair.serial, chain: pair.cert, key: pair.key },
  }
  return { delivery, pair }
}

/** What is in the way of a host, or beside it, as a push would be told. */
async function told(delivery: DesiredHost): Promise<readonly string[]> {
  const observed = await observe(kube, manifests(delivery).map(refOf))
  const found = await istio.collisions(kube, { delivery, observed, recent: false })
  return found.map(({ message }) => message)
}

async function see(name: string, { serial }: Pair): Promise<string> {
  const path = '/status/418'
  const { tls, status } = await shakeHands({ address, name, path })
  const plain = await askPlainly({ address: plainAddress, name, path })
  const shown = tls?.leaf.serialNumber.toLowerCase().replace(/^0+/, '')
  const whose =
    shown === undefined
      ? 'none'
      : shown === serial.replace(/^0+/, '')
        ? 'ours'
        : tls?.leaf.subject.includes('theirs')
          ? 'theirs'
          : 'other'
  return `tls ${whose} ${status}, plain ${plain.status}`
}

async function make(objects: readonly KubeObject[]): Promise<void> {
  for (const object of objects) await kube.apply(object, { force: true })
}

async function remove(objects: readonly KubeObject[]): Promise<void> {
  for (const object of objects) await kube.remove(refOf(object))
}

/** The objects under a name that says the same as their age: of one second the lesser name comes first. */
function under(prefix: string, objects: readonly KubeObject[]): readonly KubeObject[] {
  const text = JSON.stringify(objects).replaceAll('"theirs"', `"${prefix}theirs"`)
  const renamed: readonly KubeObject[] = JSON.parse(text)
  return renamed
}

let made = 0

/** Makes both in this order; answers what is seen once it stays so, and what we say of it. */
async function play({ theirs, ...fields }: Row, order: 'before' | 'after', expected: Seen) {
  made++
  const name = `t${made}.traps.test`
  const { delivery, pair } = await deliveryOf(name, fields)
  const ours = manifests(delivery)
  const own = `istio-system/${objectName(name)}`
  const foreign = under(order === 'before' ? 'a-' : 'z-', theirs(name, own))
  const later = await deliveryOf(`zz${made}.traps.test`, { http: 'off' })
  const next = manifests(later.delivery)
  try {
    await make(order === 'before' ? foreign : ours)
    // What is refused later leaves in place what was taken up before.
    if (order === 'after') await settled(() => see(name, pair), 'tls ours')
    else if (expected.startsWith('tls theirs')) await settled(() => see(name, pair), 'tls theirs')
    const before = order === 'before' ? await told(delivery) : []
    await make(order === 'before' ? ours : foreign)
    const seen = await settled(() => see(name, pair), expected.replace(/, \w+$/, ''))
    const after = await told(delivery)
    await make(next)
    const open = expected.endsWith('open')
    const canary = () => see(later.delivery.host.name, later.pair)
    const served = (await settled(canary, open ? 'tls ours 418' : 'tls none')).startsWith(
      'tls ours',
    )
    return { seen: `${seen}, ${served ? 'open' : 'frozen'}`, told: [...before, ...after] }
  } finally {
    await remove([...next.toReversed(), ...foreign, ...ours.toReversed()])
    await settled(() => see(name, pair), 'tls none')
  }
}

/** What is seen when it begins as expected and then stays so, or at last. */
async function settled(look: () => Promise<string>, expected: string): Promise<string> {
  const end = Date.now() + 120_000
  for (let good = 0; ; ) {
    const seen = await look()
    good = seen.startsWith(expected) ? good + 1 : 0
    if (good >= 3 || Date.now() > end) return seen
    await wait(pause)
  }
}

const theirPair = await issue('theirs.test', 'server')
const base64 = (text: string) => Buffer.from(text).toString('base64')
await make([
  {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'their-secret', namespace: 'istio-system' },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(theirPair.cert), 'tls.key': base64(theirPair.key) },
  },
])

for (const row of rows) {
  test(`beside a host: ${row.title}`, async () => {
    for (const order of ['before', 'after'] as const) {
      const expected = row[order]
      const { seen, told: said } = await play(row, order, expected)
      assert.equal(seen, expected, order)
      // We speak where the ingress does something else than it would alone.
      const alone = row.http === 'redirect' ? 'tls ours 418, plain 301, open' : untouched
      if (seen !== alone) assert.ok(said.length > 0, `${order}: nothing was said`)
    }
  })
}

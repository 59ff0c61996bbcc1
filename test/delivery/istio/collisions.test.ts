import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isKind, type Kind, kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { collisions, type Neighbours } from '../../../src/delivery/istio/collisions.ts'
import { gateway as ourGateway } from '../../../src/delivery/istio/gateway.ts'
import { madeAt, precedes } from '../../../src/delivery/istio/merge.ts'
import { converted, otherKinds } from '../../../src/delivery/istio/others.ts'
import { virtualService as ourService } from '../../../src/delivery/istio/virtualservice.ts'
import type { CompleteSpec } from '../../../src/hosts/host.ts'

// What is expected here was seen on a real Istio and Envoy: traps.test.ts has the cases with objects.

const name = 'www.shop.test'
const nginx = { service: 'nginx', namespace: 'test', port: 443 }
const plainSpec: CompleteSpec = {
  tls: { mode: 'SIMPLE' },
  http: 'serve',
  certificate: { authority: 'a', keyAlgorithm: 'ECDSA_P256', validityDays: 90 },
  routes: [{ match: { prefix: '/' }, to: { ...nginx, port: 80 } }],
  clusters: ['one'],
}
const pod = { istio: 'ingressgateway', app: 'istio-ingressgateway' }
const ingress = {
  namespace: 'istio-system',
  selector: { istio: 'ingressgateway' },
  address: '192.0.2.1:443',
}
const [early, ours, late] = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', '2026-01-03T00:00:00Z']

/** Of the ingress: port 80 leads to 8080 of its pods, 443 to 8443. */
const services: readonly KubeObject[] = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'ingress', namespace: 'istio-system' },
    spec: {
      selector: ingress.selector,
      ports: [
        { port: 80, targetPort: 8080 },
        { port: 443, targetPort: 8443 },
        { port: 9443, targetPort: 8443 },
        { port: 15021, targetPort: 'status' },
      ],
    },
  },
]

function object(kind: string, spec: object, more: object = {}): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind,
    metadata: { name: kind === 'Gateway' ? 'gw' : 'vs', namespace: 'their', ...more },
    spec: { ...spec },
  }
}

const gateway = (server: object, more: object = {}, selector: object | null = ingress.selector) =>
  object('Gateway', { ...(selector ? { selector } : {}), servers: [server] }, more)
const routed = (hosts: readonly string[], more: object = {}, metadata: object = {}) =>
  object('VirtualService', { hosts, gateways: ['gw'], http: [{}], ...more }, metadata)
const https = (hosts: readonly string[], more: object = {}, number = 443) => ({
  ...{ port: { number, protocol: 'HTTPS' }, hosts, tls: { mode: 'SIMPLE', credentialName: 'x' } },
  ...more,
})
const http = (hosts: readonly string[], more: object = {}, number = 80) => ({
  ...{ port: { number, protocol: 'HTTP' }, hosts, ...more },
})
const other = (protocol: string, number: number) => ({
  ...{ port: { number, protocol }, hosts: ['*'] },
})
const through = (hosts: readonly string[]) => ({
  ...{ port: { number: 443, protocol: 'TLS' }, hosts, tls: { mode: 'PASSTHROUGH' } },
})
const sni = (host: string) => ({ http: undefined, tls: [{ match: [{ sniHosts: [host] }] }] })

function ingressObject(
  spec: object,
  annotations: Record<string, string> = { 'kubernetes.io/ingress.class': 'istio' },
): KubeObject {
  const metadata = { name: 'i', namespace: 'their', annotations }
  return { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata, spec: { ...spec } }
}

const ingressClass: KubeObject = {
  ...{ apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass', metadata: { name: 'mesh' } },
  spec: { controller: 'istio.io/ingress-controller' },
}

const gatewayApi = 'gateway.networking.k8s.io/v1'

function kubernetesGateway(
  protocol: string,
  port: number,
  hostname?: string,
  addresses: readonly string[] = ['ingress.istio-system.svc.cluster.local'],
): KubeObject {
  const tls = { HTTPS: { mode: 'Terminate' }, TLS: { mode: 'Passthrough' } }[protocol]
  const allowedRoutes = { namespaces: { from: 'All' } }
  const listener = { ...{ name: 'a', port, protocol, allowedRoutes }, ...(tls ? { tls } : {}) }
  return {
    ...{ apiVersion: gatewayApi, kind: 'Gateway' },
    metadata: { name: 'k8s', namespace: 'istio-system' },
    spec: {
      addresses: addresses.map((value) => ({ type: 'Hostname', value })),
      listeners: [hostname === undefined ? listener : { ...listener, hostname }],
    },
  }
}

function route(kind: string): KubeObject {
  const parentRefs = [{ name: 'k8s', namespace: 'istio-system' }]
  const metadata = { name: 'r', namespace: 'their' }
  return { apiVersion: gatewayApi, kind, metadata, spec: { parentRefs, hostnames: [name] } }
}

/** What of these is in the way of the host; `-` where nothing is pushed for it, `!` where it takes something
 *  from the host, and ` ` where it is a risk. */
function found(theirs: readonly KubeObject[], change: Change = {}, age: string = early) {
  const { host = name, aliases = [], addresses = [], ...fields } = change
  const spec = { ...plainSpec, ...fields, ...(aliases.length > 0 ? { aliases } : {}) }
  const delivery = {
    host: { id: 'id', name: host, tenant: 't', generation: 1, spec },
    ingress,
    certificate: { serial: '', chain: '', key: '' },
  }
  const of = (kind: Kind) => theirs.filter((each) => isKind(each, kind))
  const world = {
    ...{ namespace: 'istio-system', pods: [pod], services },
    gateways: of(kinds.istioGateway).map((each) => madeAt(each, age)),
    virtualServices: of(kinds.istioVirtualService).map((each) => madeAt(each, age)),
  }
  const others = Object.values(otherKinds).flatMap(of)
  const more = converted(
    others.map((each) => madeAt(each, age)),
    world,
  )
  const neighbours: Neighbours = {
    ...{ ...world, addresses },
    gateways: [...world.gateways, ...more.gateways],
    virtualServices: [...world.virtualServices, ...more.virtualServices],
  }
  const asked = {
    names: [host, ...aliases],
    spec,
    gateway: madeAt(ourGateway(delivery), ours),
    virtualService: madeAt(ourService(delivery), ours),
  }
  return collisions(asked, neighbours).map(
    ({ message, blocks, wins }) => `${blocks ? '-' : ''}${wins ? '!' : ' '} ${message}`,
  )
}

type Change = Partial<CompleteSpec> & {
  readonly host?: string
  readonly addresses?: readonly string[]
}

const passthrough: Change = {
  tls: { mode: 'PASSTHROUGH' },
  routes: [{ match: { port: 443 }, to: nginx }],
  http: 'off',
}
const mutual: Change = { tls: { mode: 'MUTUAL', clientAuthority: 'a', clients: 'tenant' } }

type Row = {
  readonly title: string
  readonly theirs: readonly KubeObject[]
  readonly host?: Change
  /** What is found when theirs came first, and when ours did: nothing, or one finding. */
  readonly before: RegExp | null
  readonly after: RegExp | null
}

const refused = /^-! Gateway their\/gw already serves www.shop.test on port 443, too: Envoy refuses/
const both = (expected: RegExp | null) => ({ before: expected, after: expected })

const rows: readonly Row[] = [
  {
    title: 'the same host with the same namespace: who comes later is left out whole',
    theirs: [gateway(https([`istio-system/${name}`, 'other.test'])), routed([name])],
    before: /^-! Gateway their\/gw already serves www.shop.test on port 443: Istio leaves out/,
    after: /^ {2}Gateway their\/gw came later and is left out .*: www.shop.test, other.test/,
  },
  {
    title: 'the same host of any namespace',
    theirs: [gateway(https([name])), routed([name])],
    ...both(refused),
  },
  { title: 'the same host of */', theirs: [gateway(https([`*/${name}`]))], ...both(refused) },
  { title: 'the same host of its own', theirs: [gateway(https([`./${name}`]))], ...both(refused) },
  {
    title: './ in the namespace of the ingress, which is the same host',
    theirs: [gateway(https([`./${name}`]), { namespace: 'istio-system' })],
    before: /^-! Gateway istio-system\/gw already serves www.shop.test on port 443: Istio/,
    after: /^ {2}Gateway istio-system\/gw came later and is left out/,
  },
  { title: 'the host in capitals', theirs: [gateway(https(['WWW.shop.test']))], ...both(refused) },
  {
    title: 'the host with a dot at its end, which no client asks for',
    theirs: [gateway(https([`${name}.`]))],
    ...both(null),
  },
  { title: 'a wildcard over it', theirs: [gateway(https(['*.shop.test']))], ...both(null) },
  { title: 'all hosts', theirs: [gateway(https(['*']))], ...both(null) },
  { title: 'all hosts of all namespaces', theirs: [gateway(https(['*/*']))], ...both(null) },
  {
    title: 'another host that is passed through',
    theirs: [gateway(through(['p.test'])), routed(['p.test'], sni('p.test'))],
    ...both(null),
  },
  {
    title: 'a wildcard that is passed through, and an SNI of the host under it',
    theirs: [gateway(through(['*.shop.test'])), routed([name], sni(name))],
    ...both(refused),
  },
  {
    title: 'the host passed through to nowhere',
    theirs: [gateway(through([name]))],
    ...both(null),
  },
  {
    title: 'of two that pass it through the first has it',
    theirs: [gateway(through(['*.shop.test'])), routed([name], sni(name))],
    host: passthrough,
    before: /^-! VirtualService their\/vs already takes the SNI www.shop.test/,
    after: /^ {2}VirtualService their\/vs takes the SNI www.shop.test as well; it came later/,
  },
  {
    title: 'the host ended there, and passed through here',
    theirs: [gateway(https([name]))],
    host: passthrough,
    ...both(refused),
  },
  {
    title: 'TLS that ends there, is no HTTP, and leads nowhere',
    theirs: [gateway({ ...https([name]), port: { number: 443, protocol: 'TLS' } })],
    ...both(null),
  },
  {
    title: 'TLS that ends there, is no HTTP, and leads somewhere',
    theirs: [
      gateway({ ...https([name]), port: { number: 443, protocol: 'TLS' } }),
      routed([name], { http: undefined, tcp: [{}] }),
    ],
    ...both(refused),
  },
  {
    title: 'the host on port 80, with routes',
    theirs: [gateway(http([name])), routed([name])],
    ...both(/^-! VirtualService their\/vs already routes www.shop.test on port 80/),
  },
  {
    title: 'all hosts on port 80, with routes for this one',
    theirs: [gateway(http(['*'])), routed([name])],
    ...both(/^-! VirtualService their\/vs already routes www.shop.test on port 80/),
  },
  {
    title: 'all hosts on port 80, with routes for all',
    theirs: [gateway(http(['*'])), routed(['*'])],
    ...both(null),
  },
  {
    title: 'the host on port 80 where we redirect it',
    theirs: [gateway(http([name])), routed([name])],
    host: { http: 'redirect' },
    ...both(/^ {2}VirtualService their\/vs routes www.shop.test on port 80 as well, where all is/),
  },
  {
    title: 'the host on port 80 redirected where we serve it',
    theirs: [gateway(http([name], { tls: { httpsRedirect: true } }))],
    ...both(/^-! Gateway their\/gw redirects the plain HTTP of www.shop.test/),
  },
  { title: 'the host on port 80 without routes', theirs: [gateway(http([name]))], ...both(null) },
  {
    title: 'the host on port 80 where ours is off',
    theirs: [gateway(http([name])), routed([name])],
    host: { http: 'off' },
    ...both(/^ {2}Port 80 is off for www.shop.test, and VirtualService their\/vs answers for it/),
  },
  {
    title: 'routes for the host that only TLS servers of other hosts have',
    theirs: [gateway(https(['*.shop.test'])), routed([name])],
    ...both(null),
  },
  {
    title: 'routes for the host that are not shown to the pods',
    theirs: [gateway(http(['*'])), routed([name], { exportTo: ['.'] })],
    ...both(null),
  },
  ...[http(['z.test'], {}, 443), other('TCP', 443), other('MONGO', 443)].map((server) => ({
    title: `${server.port.protocol} on port 443 lets no TLS in after it`,
    theirs: [gateway(server)],
    before: /^-! Gateway their\/gw speaks \w+ on port 443, where no TLS can be served beside it/,
    after:
      /^ {2}Gateway their\/gw speaks \w+ on port 443: no TLS is served there for whoever comes/,
  })),
  {
    title: 'TLS on port 80',
    theirs: [gateway(https(['z.test'], {}, 80))],
    before: null,
    after: /^ {2}Gateway their\/gw came later and is left out on port 80/,
  },
  ...['TCP', 'MONGO'].map((protocol) => ({
    title: `${protocol} on port 80`,
    theirs: [gateway(other(protocol, 80))],
    before: /^-! Gateway their\/gw speaks \w+ on port 80, where no plain HTTP can be served/,
    after: /^ {2}Gateway their\/gw came later and is left out on port 80/,
  })),
  {
    title: 'TCP on port 80 where ours is off',
    theirs: [gateway(other('TCP', 80))],
    host: { http: 'off' },
    ...both(null),
  },
  { title: 'GRPC on port 80', theirs: [gateway(other('grpc', 80))], ...both(null) },
  {
    title: 'the port of the pods by its own number',
    theirs: [gateway(https([name], {}, 8443))],
    ...both(/^-! .* on port 8443, which is that of 443, too: Envoy refuses/),
  },
  {
    title: 'the port of the pods by another port of the Service',
    theirs: [gateway(https([name], {}, 9443))],
    ...both(/^-! .* on port 9443, which is that of 443, too: Envoy refuses/),
  },
  { title: 'another port', theirs: [gateway(https([name], {}, 7443))], ...both(null) },
  {
    title: 'no selector, which is every ingress',
    theirs: [gateway(https([name]), {}, null)],
    ...both(/^-! Gateway their\/gw \(without a selector, so at every ingress\) already serves/),
  },
  {
    title: 'other labels of the same pods',
    theirs: [gateway(https([name]), {}, { app: 'istio-ingressgateway' })],
    ...both(refused),
  },
  {
    title: 'other pods',
    theirs: [gateway(https([name]), {}, { istio: 'other' })],
    ...both(null),
  },
  {
    title: 'the port at an address of the pods',
    theirs: [gateway(https(['z.test'], { bind: '10.1.2.3' }))],
    host: { addresses: ['10.1.2.3'] },
    ...both(/^-! Gateway their\/gw binds port 443 at 10.1.2.3, an address of the ingress/),
  },
  {
    title: 'the port at another address',
    theirs: [gateway(https([name], { bind: '127.0.0.3' }))],
    host: { addresses: ['10.1.2.3'] },
    ...both(/^ {2}Gateway their\/gw binds port 443 at 127.0.0.3: whoever comes in by that/),
  },
  {
    title: 'all addresses in so many words, with another host',
    theirs: [gateway(https(['z.test'], { bind: '0.0.0.0' }))],
    ...both(null),
  },
  {
    title: 'all addresses in so many words, in the clear',
    theirs: [gateway(http(['z.test'], { bind: '0.0.0.0' }))],
    ...both(/^-! Gateway their\/gw already serves all that is plain HTTP on port 80, too: Envoy/),
  },
  {
    title: 'all addresses in so many words, with the same host of the same namespace',
    theirs: [gateway(https([`istio-system/${name}`], { bind: '0.0.0.0' }))],
    ...both(refused),
  },
  {
    title: 'a VirtualService of another namespace at our Gateway, which may not bind there',
    theirs: [routed([name], { gateways: ['istio-system/www-shop-test-OWN'] })],
    ...both(null),
  },
  ...[[name], ['*.shop.test'], ['*']].map((hosts) => ({
    title: `a VirtualService of the ingress namespace at our Gateway, for ${hosts}`,
    theirs: [
      routed(
        hosts,
        { gateways: ['istio-system/www-shop-test-OWN'] },
        { namespace: 'istio-system' },
      ),
    ],
    ...both(/^-! VirtualService istio-system\/vs is bound to the Gateway of www.shop.test/),
  })),
  {
    title: 'the same, not shown to the pods',
    theirs: [
      routed(
        [name],
        { gateways: ['istio-system/www-shop-test-OWN'], exportTo: ['test'] },
        { namespace: 'istio-system' },
      ),
    ],
    ...both(null),
  },
  {
    title: 'one that only passes TLS through, where ours ends',
    theirs: [
      routed(
        [name],
        { gateways: ['istio-system/www-shop-test-OWN'], ...sni(name) },
        { namespace: 'istio-system' },
      ),
    ],
    ...both(null),
  },
  {
    title: 'our certificate for another host (IST0138)',
    theirs: [gateway(https(['z.test'], { tls: { mode: 'SIMPLE', credentialName: 'OWN' } }))],
    ...both(/^ {2}Gateway their\/gw serves with the certificate of www.shop.test: .*IST0138/),
  },
  {
    title: 'an exact name under our wildcard',
    theirs: [gateway(https(['a.shop.test']))],
    host: { host: '*.shop.test' },
    ...both(null),
  },
  {
    title: 'our wildcard',
    theirs: [gateway(https(['*.shop.test']))],
    host: { host: '*.shop.test' },
    ...both(/^-! .* already serves \*.shop.test on port 443, too: Envoy refuses/),
  },
  {
    title: 'a name that is an alias here',
    theirs: [gateway(https(['alias.shop.test']))],
    host: { aliases: ['alias.shop.test'] },
    ...both(/^-! .* already serves alias.shop.test on port 443, too: Envoy refuses/),
  },
  ...['SIMPLE', 'PASSTHROUGH', 'MUTUAL'].map((mode) => ({
    title: `a ${mode} wildcard over a MUTUAL host`,
    theirs: [gateway(https(['*.shop.test'], { tls: { mode } }))],
    host: mutual,
    ...both(/^- {2}Gateway their\/gw serves \*.shop.test: who is connected to one could ask/),
  })),
  {
    title: 'a MUTUAL host under our wildcard',
    theirs: [gateway(https(['a.shop.test'], { tls: { mode: 'OPTIONAL_MUTUAL' } }))],
    host: { host: '*.shop.test' },
    ...both(/^- {2}Gateway their\/gw serves a.shop.test: who is connected to one could ask/),
  },
  {
    title: 'an Ingress of Istio’s class with TLS for the host',
    theirs: [ingressObject({ tls: [{ hosts: [name], secretName: 'x' }] })],
    host: { http: 'off' },
    ...both(/^-! Ingress their\/i already serves www.shop.test on port 443, too: Envoy refuses/),
  },
  {
    title: 'an Ingress of Istio’s class with rules for the host, which comes first at any age',
    theirs: [
      ingressObject({ ingressClassName: 'mesh', rules: [{ host: name }] }, {}),
      ingressClass,
    ],
    ...both(/^-! Ingress their\/i already routes www.shop.test on port 80/),
  },
  {
    title: 'an Ingress of a class that is not there',
    theirs: [ingressObject({ ingressClassName: 'istio', rules: [{ host: name }] }, {})],
    ...both(null),
  },
  {
    title: 'an Ingress of another class',
    theirs: [
      ingressObject({ tls: [{ hosts: [name] }] }, { 'kubernetes.io/ingress.class': 'nginx' }),
    ],
    ...both(null),
  },
  {
    title: 'an Ingress without a class',
    theirs: [ingressObject({ tls: [{ hosts: [name] }] }, {})],
    ...both(null),
  },
  {
    title: 'a Gateway of the Gateway API that is bound to the Service of the ingress',
    theirs: [kubernetesGateway('HTTPS', 443, name)],
    ...both(/^-! Gateway istio-system\/k8s already serves www.shop.test on port 443, too: Envoy/),
  },
  {
    title: 'one that has pods of its own',
    theirs: [kubernetesGateway('HTTPS', 443, name, [])],
    ...both(null),
  },
  {
    title: 'one that is bound to another Service',
    theirs: [kubernetesGateway('HTTPS', 443, name, ['other.istio-system.svc.cluster.local'])],
    ...both(null),
  },
  {
    title: 'one with a wildcard over the host',
    theirs: [kubernetesGateway('HTTPS', 443, '*.shop.test')],
    ...both(null),
  },
  {
    title: 'one with an HTTPRoute for the host on port 80',
    theirs: [kubernetesGateway('HTTP', 80), route('HTTPRoute')],
    ...both(/^-! HTTPRoute their\/r already routes www.shop.test on port 80/),
  },
  {
    title: 'one that passes a wildcard through, and a TLSRoute for the host',
    theirs: [kubernetesGateway('TLS', 443, '*.shop.test'), route('TLSRoute')],
    ...both(/^-! Gateway istio-system\/k8s already serves www.shop.test on port 443, too: Envoy/),
  },
  {
    title: 'one that speaks HTTP on port 443',
    theirs: [kubernetesGateway('HTTP', 443)],
    before: /^-! Gateway istio-system\/k8s speaks HTTP on port 443, where no TLS can be served/,
    after: /^ {2}Gateway istio-system\/k8s speaks HTTP on port 443: no TLS is served there for/,
  },
  { title: 'nonsense', theirs: [gateway({ port: 'nonsense' })], ...both(null) },
]

/** Where OWN stands for the name of our Gateway. */
function named(object: KubeObject): KubeObject {
  const own = ourGateway({
    host: { id: 'id', name, tenant: 't', generation: 1, spec: plainSpec },
    ingress,
    certificate: { serial: '', chain: '', key: '' },
  }).metadata.name
  const text = JSON.stringify(object.spec)
  const spec = JSON.parse(text.replaceAll('www-shop-test-OWN', own).replaceAll('"OWN"', `"${own}"`))
  return { ...object, spec }
}

for (const { title, theirs, host = {}, before, after } of rows) {
  test(`beside a host: ${title}`, () => {
    for (const [age, expected] of [
      [early, before],
      [late, after],
    ] as const) {
      const sentences = found(theirs.map(named), host, age)
      assert.equal(sentences.length, expected ? 1 : 0, sentences.join())
      if (expected) assert.match(sentences[0] ?? '', expected)
    }
  })
}

test('others that collide with one another keep everybody from being served anew', () => {
  const two = [gateway(https(['z.test'])), gateway(https(['their/z.test']), { name: 'gw2' })]
  const [sentence = ''] = found(two)
  assert.match(
    sentence,
    /^- {2}Gateway their\/gw and Gateway their\/gw2 both serve z.test on port 443/,
  )
})

test('however much there is, fifty things are told', () => {
  const many = Array.from({ length: 80 }, (_, n) => gateway(https([name]), { name: `gw${n}` }))
  assert.ok(found(many).length <= 50)
})

test('of two objects the older is read first, of one second the lesser name', () => {
  const of = (each: string, creationTimestamp = '') =>
    madeAt(gateway(https([]), { name: each }), creationTimestamp)
  assert.ok(precedes(of('b', early), of('a', late)))
  assert.ok(!precedes(of('a', late), of('b', early)))
  assert.ok(precedes(of('a', early), of('b', early)))
  assert.ok(precedes(of('b'), of('a', early)), 'of unknown age')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rootCertificates } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'
import { DestinationRule } from '@kubernetes-models/istio/networking.istio.io/v1/DestinationRule'
import { Gateway } from '@kubernetes-models/istio/networking.istio.io/v1/Gateway'
import { VirtualService } from '@kubernetes-models/istio/networking.istio.io/v1/VirtualService'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { manifests } from '../../../src/delivery/istio/manifests.ts'
import { objectName, secretName } from '../../../src/delivery/istio/names.ts'
import type { DesiredHost } from '../../../src/delivery/renderer.ts'
import type { CompleteSpec, HostSpec } from '../../../src/hosts/host.ts'
import { completeSpec } from '../../../src/hosts/request/complete.ts'

const web = { service: 'web', namespace: 'test', port: 8000 }

function spec(asked: Partial<HostSpec>): CompleteSpec {
  const rules = { namespaces: ['test'], defaultAuthority: 'house', policy: {} }
  const all = { routes: [{ to: web }], clusters: ['one'], ...asked }
  const completed = completeSpec('www.shop.test', all, rules)
  assert.ok('spec' in completed, JSON.stringify(completed))
  return completed.spec
}

function delivery(asked: Partial<HostSpec> = {}, name = 'www.shop.test'): DesiredHost {
  return {
    host: { id: '0198', name, tenant: 'shop', generation: 3, spec: spec(asked) },
    ingress: {
      namespace: 'istio-system',
      selector: { istio: 'ingressgateway' },
      address: '127.0.0.1:8443',
    },
    certificate: { serial: '0a', chain: 'CHAIN', key: 'KEY' },
  }
}

/** Fields of a spec, as JSON has them. */
function made(objects: readonly KubeObject[]) {
  const [service, gateway, secret, trust] = objects.toReversed()
  assert.ok(secret && gateway && service)
  assert.deepEqual(
    objects.map(({ kind }) => kind),
    [...(trust ? ['Secret'] : []), 'Secret', 'Gateway', 'VirtualService'],
  )
  new Gateway(gateway).validate()
  new VirtualService(service).validate()
  return { secret, gateway, service, ...(trust ? { trust } : {}) }
}

const text = (value: string | undefined) => Buffer.from(value ?? '', 'base64').toString()

test('a SIMPLE host is a Secret, a Gateway and a VirtualService in the ingress namespace', () => {
  const { secret, gateway, service } = made(manifests(delivery()))
  const name = objectName('www.shop.test')
  for (const { metadata } of [secret, gateway, service]) {
    assert.equal(metadata.namespace, 'istio-system')
    assert.equal(metadata.name, name)
    assert.deepEqual(metadata.labels, {
      'app.kubernetes.io/managed-by': 'gatesmith',
      'gatesmith.dev/tenant': 'shop',
      'gatesmith.dev/host-id': '0198',
    })
    assert.equal(metadata.annotations?.['gatesmith.dev/generation'], '3')
  }
  assert.equal(secret.type, 'kubernetes.io/tls')
  assert.deepEqual(Object.keys(secret.data ?? {}), ['tls.crt', 'tls.key'])
  assert.equal(text(secret.data?.['tls.crt']), 'CHAIN')
  const hosts = ['istio-system/www.shop.test']
  const hash = name.slice(-8)
  assert.deepEqual(gateway.spec, {
    selector: { istio: 'ingressgateway' },
    servers: [
      {
        port: { number: 443, name: `https-${hash}`, protocol: 'HTTPS' },
        hosts,
        tls: {
          mode: 'SIMPLE',
          credentialName: name,
          minProtocolVersion: 'TLSV1_2',
          maxProtocolVersion: 'TLSV1_3',
        },
      },
      {
        port: { number: 80, name: `http-${hash}`, protocol: 'HTTP' },
        hosts,
        tls: { httpsRedirect: true },
      },
    ],
  })
  const destination = { host: 'web.test.svc.cluster.local', port: { number: 8000 } }
  assert.deepEqual(service.spec, {
    hosts: ['www.shop.test'],
    gateways: [`istio-system/${name}`],
    http: [{ match: [{ uri: { prefix: '/' } }], route: [{ destination }] }],
  })
})

test('port 80 serves, redirects or is not there', () => {
  const rows = [
    ['serve', [undefined]],
    ['redirect', [{ httpsRedirect: true }]],
    ['off', []],
  ] as const
  for (const [http, expected] of rows) {
    const { gateway } = made(manifests(delivery({ http })))
    const { servers } = new Gateway(gateway).spec ?? {}
    const plain = (servers ?? []).filter(({ port }) => port.number === 80)
    assert.deepEqual(
      plain.map(({ tls }) => tls),
      expected,
    )
  }
})

test('a MUTUAL host carries whom it trusts, and what they revoked, apart from its key pair', () => {
  const asked = { tls: { mode: 'MUTUAL', minVersion: 'TLSV1_3' } } as const
  const clients = { trust: 'TRUST', crl: 'CRL' }
  const { secret, trust, gateway } = made(manifests({ ...delivery(asked), clients }))
  assert.equal(trust?.metadata.name, `${secret.metadata.name}-cacert`)
  assert.equal(trust?.metadata.namespace, secret.metadata.namespace)
  assert.equal(trust?.type, 'Opaque')
  assert.equal(text(trust?.data?.['ca.crt']), 'TRUST')
  assert.equal(text(trust?.data?.['ca.crl']), 'CRL')
  assert.deepEqual(Object.keys(secret.data ?? {}), ['tls.crt', 'tls.key'])
  const tls = new Gateway(gateway).spec?.servers?.[0]?.tls
  assert.equal(tls?.mode, 'MUTUAL')
  assert.equal(tls?.minProtocolVersion, 'TLSV1_3')
  assert.equal(tls?.caCertificates, undefined)
  assert.equal(tls?.subjectAltNames, undefined)
})

test('a MUTUAL host names what certificates of clients must bear', () => {
  const clients = { trust: 'TRUST', subjectAltName: 'urn:uuid:0198' }
  const { gateway } = made(manifests({ ...delivery({ tls: { mode: 'MUTUAL' } }), clients }))
  const tls = new Gateway(gateway).spec?.servers?.[0]?.tls
  assert.deepEqual(tls?.subjectAltNames, ['urn:uuid:0198'])
})

test('a PASSTHROUGH host routes by SNI, and its Secret lies with the workload', () => {
  const asked: Partial<HostSpec> = {
    tls: { mode: 'PASSTHROUGH' },
    http: 'serve',
    routes: [
      { match: { port: 80 }, to: { ...web, namespace: 'test', port: 80 } },
      { to: { ...web, port: 443 } },
    ],
  }
  const { secret, gateway, service } = made(manifests(delivery(asked)))
  assert.equal(secret.metadata.namespace, 'test')
  assert.equal(secret.metadata.name, 'www-shop-test-tls')
  const [server, plain] = new Gateway(gateway).spec?.servers ?? []
  assert.equal(server?.port.protocol, 'TLS')
  assert.deepEqual(server?.tls, { mode: 'PASSTHROUGH' })
  assert.equal(plain?.tls, undefined)
  const to = (port: number) => ({
    destination: { host: 'web.test.svc.cluster.local', port: { number: port } },
  })
  assert.deepEqual(service.spec?.tls, [
    { match: [{ port: 443, sniHosts: ['www.shop.test'] }], route: [to(443)] },
  ])
  assert.deepEqual(service.spec?.http, [
    { match: [{ uri: { prefix: '/' }, port: 80 }], route: [to(80)] },
  ])
})

test('a host that redirects has a route on port 80, of its own where none leads there', () => {
  const redirect = { match: [{ uri: { prefix: '/' }, port: 80 }], redirect: { scheme: 'https' } }
  const route = { match: { port: 443 as const }, to: web }
  const rows: readonly (readonly [Partial<HostSpec>, boolean])[] = [
    [{ tls: { mode: 'PASSTHROUGH' } }, true],
    [{ tls: { mode: 'PASSTHROUGH' }, http: 'off' }, false],
    [{ routes: [route] }, true],
    [{ routes: [route], http: 'serve' }, false],
    [{}, false],
    [{ tls: { mode: 'MUTUAL' } }, false],
  ]
  for (const [asked, own] of rows) {
    const { service } = made(manifests(delivery(asked)))
    const { http = [] } = new VirtualService(service).spec ?? {}
    const found = http.filter((each) => isDeepStrictEqual(each, redirect))
    assert.equal(found.length, own ? 1 : 0, JSON.stringify(asked))
  }
  const off = delivery({ tls: { mode: 'PASSTHROUGH' }, http: 'off' })
  assert.ok(!('http' in (made(manifests(off)).service.spec ?? {})))
})

/** The one http route that a route of a host becomes. */
function httpOf(route: HostSpec['routes'][number]) {
  const { service } = made(manifests(delivery({ http: 'serve', routes: [route] })))
  return new VirtualService(service).spec?.http?.[0]
}

test('what a route says stands in the words of Istio', () => {
  const uri = { prefix: '/' }
  const route = [{ destination: { host: 'web.test.svc.cluster.local', port: { number: 8000 } } }]
  const rows: readonly (readonly [HostSpec['routes'][number], object])[] = [
    [
      { match: { regex: '/v[0-9]+' }, to: web },
      { match: [{ uri: { regex: '/v[0-9]+' } }], route },
    ],
    [
      { match: { methods: ['GET'] }, to: web },
      { match: [{ uri, method: { exact: 'GET' } }], route },
    ],
    [
      { match: { methods: ['GET', 'HEAD'] }, to: web },
      { match: [{ uri, method: { regex: 'GET|HEAD' } }], route },
    ],
    [
      {
        match: {
          headers: [
            { name: 'X-Canary', exact: 'yes' },
            { name: 'x-any', present: true },
          ],
          queryParams: [{ name: 'V', regex: '[0-9]+' }],
        },
        to: web,
      },
      {
        match: [
          {
            uri,
            headers: { 'x-canary': { exact: 'yes' }, 'x-any': {} },
            queryParams: { V: { regex: '[0-9]+' } },
          },
        ],
        route,
      },
    ],
    [
      { redirect: { scheme: 'http', host: 'a.test', port: 81, path: '/x', code: 308 } },
      {
        match: [{ uri }],
        redirect: { scheme: 'http', authority: 'a.test', port: 81, uri: '/x', redirectCode: 308 },
      },
    ],
    [
      { match: { prefix: '/a' }, to: web, rewrite: { path: '/b', host: 'inner.test' } },
      {
        match: [{ uri: { prefix: '/a' } }],
        route,
        rewrite: { uri: '/b', authority: 'inner.test' },
      },
    ],
    [
      { to: web, timeout: '15s', retries: { attempts: 2, retryOn: ['5xx', '503'] } },
      { match: [{ uri }], route, timeout: '15s', retries: { attempts: 2, retryOn: '5xx,503' } },
    ],
    [
      {
        to: web,
        requestHeaders: { set: [{ name: 'x-a', value: '5% %HOSTNAME%' }], remove: ['cookie'] },
        responseHeaders: { add: [{ name: 'x-b', value: 'b' }] },
      },
      {
        match: [{ uri }],
        route,
        headers: {
          request: { set: { 'x-a': '5%% %%HOSTNAME%%' }, remove: ['cookie'] },
          response: { add: { 'x-b': 'b' } },
        },
      },
    ],
  ]
  for (const [asked, expected] of rows) assert.deepEqual(httpOf(asked), expected)
})

test('of several destinations each has its share', () => {
  const to = [
    { ...web, weight: 90 },
    { ...web, service: 'canary', weight: 10 },
  ]
  const found = httpOf({ to })?.route?.map(({ destination, weight }) => [destination.host, weight])
  assert.deepEqual(found, [
    ['web.test.svc.cluster.local', 90],
    ['canary.test.svc.cluster.local', 10],
  ])
})

test('TLS to a backend is a rule with a subset of the host’s own, before the routes that name it', () => {
  const ca = `${rootCertificates[0]}\n`
  const tls = { mode: 'SIMPLE', sni: 'web.internal' } as const
  const one = (said: object, name?: string) => {
    const routes = [
      { match: { prefix: '/a' }, to: { ...web, tls: { ...tls, ...said } } },
      { match: { prefix: '/b' }, to: web },
    ]
    const objects = manifests(delivery({ routes }, name))
    const rules = objects.filter(({ kind }) => kind === 'DestinationRule')
    for (const rule of rules) new DestinationRule(JSON.parse(JSON.stringify(rule))).validate()
    return { objects, rules }
  }
  const { objects } = one({ caCertificates: ca })
  assert.deepEqual(
    objects.map(({ kind }) => kind),
    ['Secret', 'Secret', 'Gateway', 'DestinationRule', 'VirtualService'],
  )
  const [, trust, , rule, service] = objects
  const name = rule?.metadata.name
  assert.match(name ?? '', /^[a-z0-9]([a-z0-9-]{0,61}[0-9a-f])$/)
  assert.deepEqual(rule?.spec, {
    host: 'web.test.svc.cluster.local',
    exportTo: ['.'],
    subsets: [
      {
        name,
        trafficPolicy: {
          tls: {
            mode: 'SIMPLE',
            sni: 'web.internal',
            subjectAltNames: ['web.internal'],
            credentialName: name,
          },
        },
      },
    ],
  })
  assert.deepEqual([trust?.metadata.name, text(trust?.data?.['ca.crt'])], [name, ca])
  const subsets = new VirtualService(service ?? {}).spec?.http?.map(
    ({ route }) => route?.[0]?.destination.subset,
  )
  assert.deepEqual(subsets, [name, undefined])
  // Each change, and each host, has a rule of its own.
  const changed = [
    one({ caCertificates: ca }),
    one({ caCertificates: ca + ca }),
    one({ sni: 'other.internal' }),
    one({ subjectAltNames: ['a.internal'] }),
    one({ caCertificates: ca }, 'other.shop.test'),
  ].flatMap((each) => each.rules.map(({ metadata }) => metadata.name))
  assert.deepEqual([changed.length, new Set(changed).size, changed[0]], [5, 5, name])
})

test('what a gateway shows a backend lies with whom it trusts, under a name that stays', () => {
  const ca = `${rootCertificates[0]}\n`
  const id = '00000000-0000-7000-8000-000000000001'
  const tls = {
    mode: 'MUTUAL',
    sni: 'web.internal',
    caCertificates: ca,
    clientCertificate: id,
  } as const
  const made = (serial: string) => {
    const shown = { serial, chain: `chain ${serial}`, key: `key ${serial}` }
    const routes = [{ match: { prefix: '/' }, to: { ...web, tls } }]
    const host = { ...delivery({ routes }), backendClients: new Map([[id, shown]]) }
    const [, secret, , rule] = manifests(host)
    return { secret, rule }
  }
  const [first, next] = [made('a1'), made('b2')]
  new DestinationRule(JSON.parse(JSON.stringify(first.rule))).validate()
  const name = first.rule?.metadata.name
  assert.deepEqual(first.rule, next.rule)
  assert.deepEqual(
    [first, next].map(({ secret }) => [
      secret?.metadata.name,
      secret?.type,
      ...['tls.crt', 'tls.key', 'ca.crt'].map((key) => text(secret?.data?.[key])),
    ]),
    [
      [name, 'kubernetes.io/tls', 'chain a1', 'key a1', ca],
      [name, 'kubernetes.io/tls', 'chain b2', 'key b2', ca],
    ],
  )
  const { subsets } = first.rule?.spec ?? {}
  assert.deepEqual(subsets, [
    {
      name,
      trafficPolicy: {
        tls: {
          mode: 'MUTUAL',
          sni: 'web.internal',
          subjectAltNames: ['web.internal'],
          credentialName: name,
        },
      },
    },
  ])
})

test('a prefix that is taken off leaves one slash', () => {
  const becomes = (prefix: string, path: string, asked: string) => {
    const { uri = '', uriRegexRewrite } =
      httpOf({ match: { prefix }, to: web, rewrite: { path } })?.rewrite ?? {}
    if (!uriRegexRewrite) return uri + asked.slice(prefix.length)
    const { match = '', rewrite = '' } = uriRegexRewrite
    return asked.replace(new RegExp(match), rewrite.replaceAll('\\1', '$1'))
  }
  const rows = [
    ['/api', '/', '/api/users', '/users'],
    ['/api', '/', '/api', '/'],
    ['/api', '/v2', '/api/users', '/v2/users'],
    ['/api/', '/v2/', '/api/users', '/v2/users'],
    ['/a.b', '/v2/', '/a.b/users', '/v2/users'],
    ['/', '/v2/', '/users', '/v2/users'],
  ] as const
  for (const [prefix, path, asked, expected] of rows) {
    assert.equal(becomes(prefix, path, asked), expected, `${prefix} to ${path}`)
  }
})

test('a preflight reaches the route whose answers it asks for', () => {
  const cors = { allowOrigins: [{ exact: 'https://a.test' }] }
  const preflight = {
    uri: { prefix: '/' },
    method: { exact: 'OPTIONS' },
    headers: { origin: {}, 'access-control-request-method': {} },
  }
  const rows: readonly (readonly [HostSpec['routes'][number]['match'], boolean])[] = [
    [{}, false],
    [{ methods: ['GET', 'OPTIONS'] }, false],
    [{ methods: ['GET'] }, true],
    [{ headers: [{ name: 'x-key', present: true }] }, true],
  ]
  for (const [match, own] of rows) {
    const http = httpOf({ ...(match ? { match } : {}), to: web, cors })
    assert.deepEqual(http?.match?.slice(1), own ? [preflight] : [], JSON.stringify(match))
    assert.deepEqual(http?.corsPolicy, cors)
  }
})

test('routes stand in the order in which Envoy must try them, whatever was asked', () => {
  const matches = [
    { prefix: '/' },
    { prefix: '/a' },
    { exact: '/a' },
    { prefix: '/a/b' },
    { prefix: '/a', port: 80 as const },
    { exact: '/a/b' },
    { regex: '/.*' },
    { prefix: '/a', methods: ['GET' as const] },
    { prefix: '/a', headers: [{ name: 'x', exact: '1' }] },
  ]
  const expected = [
    { uri: { exact: '/a/b' } },
    { uri: { exact: '/a' } },
    { uri: { regex: '/.*' } },
    { uri: { prefix: '/a/b' } },
    { uri: { prefix: '/a' }, port: 80 },
    { uri: { prefix: '/a' }, method: { exact: 'GET' } },
    { uri: { prefix: '/a' }, headers: { x: { exact: '1' } } },
    { uri: { prefix: '/a' } },
    { uri: { prefix: '/' } },
  ]
  for (const order of [matches, matches.toReversed()]) {
    const routes = order.map((match) => ({ match, to: web }))
    const { service } = made(manifests(delivery({ http: 'serve', routes })))
    const http = new VirtualService(service).spec?.http ?? []
    assert.deepEqual(
      http.map(({ match }) => match?.[0]),
      expected,
    )
  }
})

test('whom a gateway lets in is what was asked before or is asked now, in whatever order it hears', () => {
  const mutual = (clientAuthority: string, subjectAltName?: string) => {
    const asked = delivery({ tls: { mode: 'MUTUAL', clientAuthority } })
    const named = subjectAltName === undefined ? {} : { subjectAltName }
    return { ...asked, clients: { trust: `TRUST OF ${clientAuthority}`, ...named } }
  }
  const states: readonly DesiredHost[] = [
    delivery(),
    mutual('own'),
    mutual('shared'),
    mutual('shared', 'urn:uuid:1'),
    mutual('other', 'urn:uuid:1'),
  ]
  /** What a Gateway comes to with these Secrets there: Istio reads NAME-cacert, if it is there, before it
   *  looks for a client CA in NAME; without the one or the other Envoy takes no connection. */
  const comesTo = (gateway: KubeObject, secrets: readonly KubeObject[]) => {
    const tls = new Gateway(gateway).spec?.servers?.[0]?.tls
    const find = (name: string) => secrets.findLast(({ metadata }) => metadata.name === name)
    const name = tls?.credentialName ?? ''
    if (!find(name)) return 'nobody'
    if (tls?.mode !== 'MUTUAL') return [tls?.mode]
    const trust = (find(`${name}-cacert`) ?? find(name))?.data?.['ca.crt']
    return trust === undefined ? 'nobody' : [tls.mode, tls.subjectAltNames, text(trust)]
  }
  for (const before of states) {
    for (const after of states) {
      const [old, now] = [manifests(before), manifests(after)]
      const secretsOf = (objects: readonly KubeObject[]) =>
        objects.filter(({ kind }) => kind === 'Secret')
      const allowed = [
        'nobody',
        comesTo(made(old).gateway, secretsOf(old)),
        comesTo(made(now).gateway, secretsOf(now)),
      ].map((each) => JSON.stringify(each))
      // Any of these Secrets may be heard of or not yet, may be gone or not yet, whichever Gateway it is.
      const all = [...secretsOf(old), ...secretsOf(now)]
      for (let heard = 0; heard < 2 ** all.length; heard++) {
        const there = all.filter((_, index) => (heard & (1 << index)) > 0)
        for (const { gateway } of [made(old), made(now)]) {
          const found = JSON.stringify(comesTo(gateway, there))
          assert.ok(allowed.includes(found), `${found} is neither of ${allowed.join()}`)
        }
      }
    }
  }
})

test('a Secret of before, with key pair and trust in one, changes into two without a gap', () => {
  const clients = { trust: 'TRUST', crl: 'CRL' }
  const objects = manifests({ ...delivery({ tls: { mode: 'MUTUAL' } }), clients })
  const { secret, trust } = made(objects)
  // The trust comes first: at no time is there a key pair whose trust is nowhere.
  assert.deepEqual(objects.slice(0, 2), [trust, secret])
})

test('the Secret of a MUTUAL host keeps its name while the same clients are let in', () => {
  const asked = { tls: { mode: 'MUTUAL', clientAuthority: 'house' } } as const
  const first = { trust: 'TRUST', subjectAltName: 'urn:uuid:1' }
  const next = { ...first, trust: 'TRUST AND MORE', crl: 'CRL' }
  const [name, same] = [first, next].map((clients) => secretName({ ...delivery(asked), clients }))
  assert.equal(same, name)
  assert.match(name ?? '', /^[a-z0-9]([a-z0-9-]{0,61}[0-9a-f])$/)
})

test('names are DNS labels, differ by host, and are never taken for a client CA', () => {
  const names = [
    'www.shop.test',
    '*.shop.test',
    'wildcard.shop.test',
    'www-shop.test',
    'shop-cacert.test',
    'a-cacert',
    `${'a'.repeat(63)}.${'b'.repeat(63)}.test`,
    `${'a'.repeat(63)}.${'c'.repeat(63)}.test`,
  ].map((each) => objectName(each))
  for (const name of names) assert.match(name, /^[a-z0-9]([a-z0-9-]{0,61}[0-9a-f])$/)
  assert.equal(new Set(names).size, names.length)
  assert.ok(names.every((name) => !name.endsWith('-cacert')))
})

test('annotations stand on the Gateway, and take the place of none of ours', () => {
  const annotations = { 'external-dns.alpha.kubernetes.io/target': 'lb.shop.test' }
  const { secret, gateway, service } = made(manifests(delivery({ annotations })))
  const own = { 'gatesmith.dev/generation': '3' }
  assert.deepEqual(gateway.metadata.annotations, { ...annotations, ...own })
  assert.deepEqual(service.metadata.annotations, own)
  assert.ok(!Object.keys(secret.metadata.annotations ?? {}).some((key) => key in annotations))
})

test('all names of a host stand in one server and one VirtualService', () => {
  const aliases = ['shop.test', '*.m.shop.test']
  const hosts = ['www.shop.test', ...aliases]
  for (const mode of ['SIMPLE', 'PASSTHROUGH'] as const) {
    const { gateway, service } = made(manifests(delivery({ tls: { mode }, aliases })))
    for (const server of new Gateway(gateway).spec?.servers ?? []) {
      assert.deepEqual(
        server.hosts,
        hosts.map((each) => `istio-system/${each}`),
      )
    }
    const { spec } = new VirtualService(service)
    assert.deepEqual(spec?.hosts, hosts)
    assert.deepEqual(
      spec?.tls?.flatMap(({ match }) => match[0]?.sniHosts),
      mode === 'PASSTHROUGH' ? hosts : undefined,
    )
  }
})

test('a wildcard host is served as such', () => {
  const { gateway, service } = made(manifests(delivery({}, '*.shop.test')))
  assert.deepEqual(new Gateway(gateway).spec?.servers?.[0]?.hosts, ['istio-system/*.shop.test'])
  assert.deepEqual(service.spec?.hosts, ['*.shop.test'])
})

test('the objects of a host differ by ingress, and on the default one are called as ever', () => {
  const tls = { mode: 'MUTUAL', clientAuthority: 'house' } as const
  const on = (name?: string) => {
    const { ingress, ...rest } = delivery({ tls })
    return manifests({ ...rest, ingress: name === undefined ? ingress : { ...ingress, name } })
  }
  const names = [on(), on('default'), on('internal')].map((objects) =>
    objects.map(({ metadata }) => metadata.name),
  )
  assert.deepEqual(names[0], names[1])
  assert.ok(names[2]?.every((name) => !names[0]?.includes(name)))
  assert.equal(names[0]?.[1], 'www-shop-test-5589a712')
})

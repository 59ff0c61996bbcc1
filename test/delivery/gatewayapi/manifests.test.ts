import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { conditionFaults } from '../../../src/delivery/gatewayapi/conditions.ts'
import { gatewayApi } from '../../../src/delivery/gatewayapi/renderer.ts'
import { objectName, shortHash } from '../../../src/delivery/istio/names.ts'
import type { DesiredHost } from '../../../src/delivery/renderer.ts'
import type { CompleteSpec, HostSpec } from '../../../src/hosts/host.ts'
import { completeSpec } from '../../../src/hosts/request/complete.ts'
import { gatewayApiFaults } from '../../../src/hosts/request/gatewayapi.ts'

const web = { service: 'web', namespace: 'test', port: 8000 }
const hostname = 'www.shop.test'
const name = objectName(hostname)

function spec(asked: Partial<HostSpec>): CompleteSpec {
  const rules = { namespaces: ['test'], defaultAuthority: 'house', policy: {} }
  const all = { routes: [{ to: web }], clusters: ['one'], ...asked }
  const completed = completeSpec(hostname, all, rules)
  assert.ok('spec' in completed, JSON.stringify(completed))
  return completed.spec
}

function delivery(asked: Partial<HostSpec> = {}, more: Partial<DesiredHost> = {}): DesiredHost {
  return {
    host: { id: '0198', name: hostname, tenant: 'shop', generation: 3, spec: spec(asked) },
    ingress: {
      namespace: 'istio-system',
      selector: { istio: 'ingressgateway' },
      address: '127.0.0.1:8443',
      service: 'istio-ingressgateway',
    },
    certificate: { serial: '0a', chain: 'CHAIN', key: 'KEY' },
    ...more,
  }
}

const made = (asked: Partial<HostSpec> = {}) => gatewayApi.manifests(delivery(asked))
const placed = (objects: readonly KubeObject[]) =>
  objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`)
const specOf = (objects: readonly KubeObject[], kind: string) =>
  objects.find((each) => each.kind === kind)?.spec

test('a SIMPLE host is a Secret, a grant, a Gateway at the Service of the ingress, and a route for each port', () => {
  const objects = made()
  assert.deepEqual(placed(objects), [
    `Secret istio-system/${name}`,
    `ReferenceGrant test/${name}`,
    `Gateway istio-system/${name}`,
    `HTTPRoute istio-system/${name}-443`,
    `HTTPRoute istio-system/${name}-80`,
  ])
  const kinds = (kind: string) => [{ group: 'gateway.networking.k8s.io', kind }]
  const allowedRoutes = { namespaces: { from: 'Same' }, kinds: kinds('HTTPRoute') }
  assert.deepEqual(specOf(objects, 'Gateway'), {
    gatewayClassName: 'istio',
    addresses: [{ type: 'Hostname', value: 'istio-ingressgateway' }],
    listeners: [
      {
        name: `https-${shortHash(hostname)}`,
        hostname,
        port: 443,
        protocol: 'HTTPS',
        tls: { mode: 'Terminate', certificateRefs: [{ group: '', kind: 'Secret', name }] },
        allowedRoutes,
      },
      { name: `http-${shortHash(hostname)}`, hostname, port: 80, protocol: 'HTTP', allowedRoutes },
    ],
    allowedListeners: { namespaces: { from: 'None' } },
  })
  const [, plain] = objects.filter(({ kind }) => kind === 'HTTPRoute')
  assert.deepEqual(plain?.spec?.rules, [
    {
      matches: [{ path: { type: 'PathPrefix', value: '/' } }],
      filters: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https', statusCode: 301 } }],
    },
  ])
})

test('thirty-two names are sixty-four listeners, and routes of sixteen names each', () => {
  const aliases = Array.from({ length: 31 }, (_, at) => `a${at}.shop.test`)
  const objects = made({ aliases })
  const listeners = specOf(objects, 'Gateway')?.listeners
  assert.ok(Array.isArray(listeners))
  assert.equal(listeners.length, 64)
  assert.equal(objects.filter(({ kind }) => kind === 'HTTPRoute').length, 4)
})

test('more than sixteen routes are several objects', () => {
  const routes = Array.from({ length: 17 }, (_, at) => ({ match: { exact: `/${at}` }, to: web }))
  assert.equal(made({ routes }).filter(({ kind }) => kind === 'HTTPRoute').length, 3)
})

test('a MUTUAL host asks for certificates on its own listener alone, and trusts what lies beside its key', () => {
  const clients = { trust: 'CA', crl: 'CRL' }
  const asked = { tls: { mode: 'MUTUAL', clientAuthority: 'own' } } as const
  const objects = gatewayApi.manifests(delivery(asked, { clients }))
  const [trust, pair] = objects
  assert.equal(trust?.metadata.name, `${pair?.metadata.name}-cacert`)
  assert.deepEqual(Object.keys(trust?.data ?? {}), ['ca.crt', 'ca.crl'])
  const text = JSON.stringify(specOf(objects, 'Gateway'))
  assert.match(text, /"gateway\.istio\.io\/tls-terminate-mode":"MUTUAL"/)
  assert.ok(text.includes(`"name":"${pair?.metadata.name}"`))
})

test('where clients can be told apart only by name, nobody is served', () => {
  const clients = { trust: 'CA', subjectAltName: 'urn:uuid:0' }
  const asked = delivery({ tls: { mode: 'MUTUAL' } }, { clients })
  assert.deepEqual(
    gatewayApi.manifests(asked).map(({ kind }) => kind),
    ['Secret', 'Secret'],
  )
  assert.match(gatewayApi.unable?.(asked) ?? '', /others' as well/)
})

test('a PASSTHROUGH host is a TLSRoute to the workload that has the Secret', () => {
  const objects = made({ tls: { mode: 'PASSTHROUGH' } })
  assert.deepEqual(placed(objects), [
    'Secret test/www-shop-test-tls',
    `ReferenceGrant test/${name}`,
    `Gateway istio-system/${name}`,
    `TLSRoute istio-system/${name}-443`,
    `HTTPRoute istio-system/${name}-80`,
  ])
  const text = JSON.stringify(specOf(objects, 'Gateway'))
  assert.match(text, /"protocol":"TLS","tls":\{"mode":"Passthrough"\}/)
})

test('without a Service of the ingress nothing can be made, and that is said', () => {
  const { service: _, ...ingress } = { ...delivery().ingress }
  assert.throws(() => gatewayApi.manifests(delivery({}, { ingress })), /No Service is known/)
})

test('what the Gateway API cannot say is refused with its field and the cluster', () => {
  const rows: readonly (readonly [Partial<HostSpec>, readonly string[]])[] = [
    [{}, []],
    [{ tls: { minVersion: 'TLSV1_2' } }, []],
    [{ tls: { minVersion: 'TLSV1_3' } }, ['/tls/minVersion']],
    [{ tls: { maxVersion: 'TLSV1_2' } }, ['/tls/maxVersion']],
    [{ routes: [{ match: { regex: '/a.*' }, to: web }] }, ['/routes/0/match/regex']],
    [{ routes: [{ to: web, retries: { attempts: 1 } }] }, ['/routes/0/retries']],
    [{ routes: [{ to: { ...web, tls: { mode: 'SIMPLE', sni: 'w' } } }] }, ['/routes/0/to/tls']],
    [
      { routes: [{ to: web, cors: { allowOrigins: [{ regex: 'https://.*' }] } }] },
      ['/routes/0/cors/allowOrigins/0'],
    ],
    [
      {
        routes: [
          { match: { prefix: '/a', methods: ['GET', 'PUT'] }, to: web, rewrite: { path: '/' } },
        ],
      },
      ['/routes/0/rewrite/path'],
    ],
    [{ routes: [{ to: web, rewrite: { host: 'a:80' } }] }, ['/routes/0/rewrite/host']],
  ]
  for (const [asked, fields] of rows) {
    const found = gatewayApiFaults(spec(asked), ['prod'], { byName: false })
    assert.deepEqual(
      found.map(({ field }) => field),
      fields,
      JSON.stringify(asked),
    )
    for (const { message } of found) assert.match(message, /cluster "prod"/)
    assert.deepEqual(gatewayApiFaults(spec(asked), [], { byName: false }), [])
  }
  const mutual = spec({ tls: { mode: 'MUTUAL' } })
  const [fault] = gatewayApiFaults(mutual, ['prod'], { byName: true })
  assert.equal(fault?.field, '/tls/clients')
  assert.deepEqual(gatewayApiFaults(mutual, ['prod'], { byName: false }), [])
})

test('what an object says of itself is told, but not what it said of its earlier state', () => {
  const condition = (type: string, status: string, observedGeneration: number) => ({
    ...{ type, status, observedGeneration, reason: 'Why', message: `${type} ${status}` },
  })
  const metadata = { name: 'a', namespace: 'n', generation: 2 }
  const object = (status: Record<string, unknown>, kind = 'Gateway') => ({
    ...{ apiVersion: 'gateway.networking.k8s.io/v1', kind, metadata, status },
  })
  const told = (status: Record<string, unknown>, kind?: string) =>
    conditionFaults([object(status, kind)])
  assert.deepEqual(told({ conditions: [condition('Accepted', 'True', 2)] }), [])
  assert.deepEqual(told({ conditions: [condition('Programmed', 'False', 1)] }), [])
  assert.deepEqual(told({ conditions: [condition('Programmed', 'False', 2)] }), [
    'Gateway n/a is not Programmed (Why): Programmed False',
  ])
  const listeners = [
    {
      name: 'l',
      conditions: [condition('Conflicted', 'True', 2), condition('ResolvedRefs', 'True', 2)],
    },
  ]
  assert.deepEqual(told({ listeners }), [
    'Listener l of Gateway n/a is not free of conflicts (Why): Conflicted True',
  ])
  const parents = [{ conditions: [condition('ResolvedRefs', 'False', 2)] }]
  assert.deepEqual(told({ parents }, 'HTTPRoute'), [
    'HTTPRoute n/a is not ResolvedRefs (Why): ResolvedRefs False',
  ])
  assert.deepEqual(told({ conditions: 'no' }), [])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { collisions, precedes } from '../../../src/delivery/istio/collisions.ts'
import type { CompleteSpec } from '../../../src/hosts/host.ts'

const spec: CompleteSpec = {
  tls: { mode: 'SIMPLE' },
  http: 'redirect',
  certificate: { authority: 'a', keyAlgorithm: 'ECDSA_P256', validityDays: 90 },
  routes: [],
  clusters: ['one'],
}
const pod = { istio: 'ingressgateway', app: 'istio-ingressgateway' }
const ingress = { istio: 'ingressgateway' }

function gateway(server: object, selector: object | undefined = ingress): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name: 'gw', namespace: 'their' },
    spec: { ...(selector ? { selector } : {}), servers: [server] },
  }
}

function service(fields: object): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'vs', namespace: 'their' },
    spec: { gateways: ['gw'], ...fields },
  }
}

/** Of the ingress: port 80 leads to 8080 of its pods, 443 to 8443. */
const service80: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'ingress', namespace: 'istio-system' },
  spec: {
    selector: ingress,
    ports: [
      { port: 80, targetPort: 8080 },
      { port: 443, targetPort: 8443 },
      { port: 15021, targetPort: 'status' },
    ],
  },
}

const https = (...hosts: string[]) => ({ port: { number: 443, protocol: 'HTTPS' }, hosts })
const http = (...hosts: string[]) => ({ port: { number: 80, protocol: 'HTTP' }, hosts })

function found(gateways: KubeObject[], virtualServices: KubeObject[] = [], change = {}) {
  const own = 'istio-system/www'
  const host = { name: 'www.shop.test', spec: { ...spec, ...change }, own }
  const neighbours = { pods: [pod], services: [service80], gateways, virtualServices }
  return collisions(host, neighbours).map(({ message }) => message)
}

test('a foreign Gateway before the same ingress may not serve the same host', () => {
  const rows = [
    [gateway(https('www.shop.test')), true],
    [gateway(https('their/WWW.shop.test.')), true],
    [gateway(https('*/www.shop.test')), true],
    [gateway(https('other.shop.test', 'www.shop.test')), true],
    [gateway({ ...https('www.shop.test'), tls: { mode: 'PASSTHROUGH' } }), true],
    [gateway(https('www.shop.test'), { app: 'istio-ingressgateway' }), true],
    [gateway(https('www.shop.test'), undefined), true],
    [gateway(https('www.shop.test'), { istio: 'other' }), false],
    [gateway(https('*.shop.test')), false],
    [gateway(https('*')), false],
    [gateway(https('other.shop.test')), false],
    [gateway(http('www.shop.test')), true],
    [gateway(http('*')), false],
    [gateway({ port: { number: 443, protocol: 'HTTP' }, hosts: ['*'] }), true],
    [gateway({ port: { number: 80, protocol: 'HTTPS' }, hosts: ['*'] }), true],
    // One listener of the pod, by whichever number it is named.
    [gateway({ port: { number: 8443, protocol: 'HTTPS' }, hosts: ['www.shop.test'] }), true],
    [gateway({ port: { number: 8443, protocol: 'TCP' }, hosts: ['*'] }), true],
    [gateway({ port: { number: 8080, protocol: 'TCP' }, hosts: ['*'] }), true],
    [gateway({ port: { number: 9443, protocol: 'HTTPS' }, hosts: ['www.shop.test'] }), false],
    [gateway({ port: { number: 80, protocol: 'TCP' }, hosts: ['*'] }), true],
    [gateway({ port: { number: 80, protocol: 'MONGO' }, hosts: ['*'] }), true],
    [gateway({ port: { number: 80, protocol: 'TLS' }, hosts: ['*'] }), true],
    [gateway({ port: { number: 80, protocol: 'grpc' }, hosts: ['*'] }), false],
    [gateway({ port: { number: 443, protocol: 'TCP' }, hosts: ['*'] }), true],
    [gateway({ port: 'nonsense' }), false],
  ] as const
  for (const [each, expected] of rows) {
    const sentences = found([each])
    assert.equal(sentences.length > 0, expected, JSON.stringify(each.spec))
    if (expected) assert.match(sentences.join(), /Gateway their\/gw/)
  }
})

test('who does not use port 80 does not care who does', () => {
  const tcp = { port: { number: 80, protocol: 'TCP' }, hosts: ['*'] }
  assert.deepEqual(found([gateway(http('www.shop.test'))], [], { http: 'off' }), [])
  assert.deepEqual(found([gateway(tcp)], [], { http: 'off' }), [])
})

test('of two objects the older is read first, of one second the lesser name', () => {
  const of = (name: string, creationTimestamp?: string): KubeObject => {
    const metadata = {
      name,
      namespace: 'their',
      ...(creationTimestamp ? { creationTimestamp } : {}),
    }
    return { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata }
  }
  const [early, late] = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z']
  assert.ok(precedes(of('b', early), of('a', late)))
  assert.ok(!precedes(of('a', late), of('b', early)))
  assert.ok(precedes(of('a', early), of('b', early)))
  assert.ok(precedes(of('b'), of('a', early)), 'of unknown age')
})

test('a foreign VirtualService at the Gateway of the host may add no routes', () => {
  const at = (hosts: string[]) => service({ hosts, gateways: ['istio-system/www'] })
  const [bare, mesh] = [at(['www.shop.test']), service({ hosts: ['*'], gateways: ['mesh'] })]
  const rows = [
    [bare, true],
    [at(['*.shop.test']), true],
    [at(['*']), true],
    [at(['other.shop.test']), false],
    [mesh, false],
  ] as const
  for (const [each, expected] of rows) {
    assert.equal(found([], [each]).length > 0, expected, JSON.stringify(each.spec))
  }
})

test('a foreign VirtualService at the same ingress may not route the same host', () => {
  const wildcard = gateway({ ...https('*.shop.test'), tls: { mode: 'PASSTHROUGH' } })
  const sni = [{ match: [{ sniHosts: ['www.shop.test'] }] }]
  const rows = [
    [service({ hosts: ['www.shop.test'] }), true],
    [service({ hosts: ['WWW.shop.test'], gateways: ['their/gw', 'mesh'] }), true],
    [service({ hosts: ['*.shop.test'], tls: sni }), true],
    [service({ hosts: ['*.shop.test'] }), false],
    [service({ hosts: ['www.shop.test'], gateways: ['mesh'] }), false],
    [service({ hosts: ['www.shop.test'], gateways: ['elsewhere/gw'] }), false],
    [service({ hosts: 'nonsense' }), false],
  ] as const
  for (const [each, expected] of rows) {
    const sentences = found([wildcard], [each])
    assert.equal(sentences.length > 0, expected, JSON.stringify(each.spec))
    if (expected) assert.match(sentences.join(), /VirtualService their\/vs/)
  }
})

test('no foreign wildcard goes with a MUTUAL host under it, and none of ours with a foreign one', () => {
  const mutual = { tls: { mode: 'MUTUAL', clientAuthority: 'a', clients: 'tenant' } }
  const secured = (mode: string, host: string) => gateway({ ...https(host), tls: { mode } })
  const rows = [
    [secured('SIMPLE', '*.shop.test'), mutual, true],
    [secured('PASSTHROUGH', 'their/*.shop.test'), mutual, true],
    [secured('MUTUAL', '*.test'), mutual, true],
    [secured('SIMPLE', '*'), mutual, true],
    [secured('SIMPLE', '*.shop.test'), {}, false],
    [secured('SIMPLE', 'a.shop.test'), mutual, false],
    [gateway(http('*.shop.test')), mutual, false],
  ] as const
  for (const [other, change, collides] of rows) {
    assert.equal(found([other], [], change).length > 0, collides, JSON.stringify([other, change]))
  }
  const wide = { name: '*.shop.test', spec, own: 'istio-system/wild' }
  for (const [mode, collides] of [
    ['MUTUAL', true],
    ['OPTIONAL_MUTUAL', true],
    ['SIMPLE', false],
  ] as const) {
    const gateways = [secured(mode, 'a.shop.test')]
    const sentences = collisions(wide, {
      ...{ pods: [pod], services: [], gateways, virtualServices: [] },
    })
    assert.equal(sentences.length > 0, collides, mode)
  }
})

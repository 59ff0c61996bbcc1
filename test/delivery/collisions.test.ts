import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../src/clusters/kube.ts'
import { collisions } from '../../src/delivery/collisions.ts'
import type { CompleteSpec } from '../../src/hosts/host.ts'

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

const https = (...hosts: string[]) => ({ port: { number: 443, protocol: 'HTTPS' }, hosts })
const http = (...hosts: string[]) => ({ port: { number: 80, protocol: 'HTTP' }, hosts })

function found(gateways: KubeObject[], virtualServices: KubeObject[] = [], change = {}) {
  const host = { name: 'www.shop.test', spec: { ...spec, ...change } }
  return collisions(host, { pods: [pod], gateways, virtualServices })
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
    [gateway({ port: { number: 8443, protocol: 'HTTPS' }, hosts: ['www.shop.test'] }), false],
    [gateway({ port: 'nonsense' }), false],
  ] as const
  for (const [each, expected] of rows) {
    const sentences = found([each])
    assert.equal(sentences.length > 0, expected, JSON.stringify(each.spec))
    if (expected) assert.match(sentences.join(), /Gateway their\/gw/)
  }
})

test('who does not use port 80 does not care who does', () => {
  assert.deepEqual(found([gateway(http('www.shop.test'))], [], { http: 'off' }), [])
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
  const wide = { name: '*.shop.test', spec }
  for (const [mode, collides] of [
    ['MUTUAL', true],
    ['OPTIONAL_MUTUAL', true],
    ['SIMPLE', false],
  ] as const) {
    const gateways = [secured(mode, 'a.shop.test')]
    const sentences = collisions(wide, { pods: [pod], gateways, virtualServices: [] })
    assert.equal(sentences.length > 0, collides, mode)
  }
})

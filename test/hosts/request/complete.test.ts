import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import Value from 'typebox/value'
import { HostSpec } from '../../../src/hosts/host.ts'
import { completeSpec } from '../../../src/hosts/request/complete.ts'
import { tlsRoute } from '../../../src/hosts/request/routes.ts'
import { destinationsOf } from '../../../src/hosts/route.ts'

const to = { service: 'httpbin', namespace: 'test', port: 80 }
const least: HostSpec = { routes: [{ to }], clusters: ['one'] }
const rules = { namespaces: ['test'], defaultAuthority: 'house', policy: {} }

function completed(asked: HostSpec, name = 'www.example.com', of = rules) {
  const answer = completeSpec(name, asked, of)
  assert.ok('spec' in answer, JSON.stringify(answer))
  return answer.spec
}

function faults(asked: HostSpec, of: Parameters<typeof completeSpec>[2] = rules) {
  const answer = completeSpec('www.example.com', asked, of)
  return 'spec' in answer ? [] : answer.violations.map(({ field }) => field)
}

test('only what differs from a default needs saying', () => {
  assert.deepEqual(completed(least), {
    tls: { mode: 'SIMPLE', minVersion: 'TLSV1_2', maxVersion: 'TLSV1_3' },
    http: 'redirect',
    certificate: { authority: 'house', keyAlgorithm: 'ECDSA_P256', validityDays: 90 },
    routes: [{ match: { prefix: '/' }, to }],
    clusters: ['one'],
  })
  const { tls } = completed({ ...least, tls: { mode: 'MUTUAL' } })
  assert.deepEqual([tls.clientAuthority, tls.clients], ['house', 'tenant'])
})

test('port 80 of a MUTUAL host serves everybody only if that was said in so many words', () => {
  const tls = { mode: 'MUTUAL', plainHttpWithoutClientCertificate: true } as const
  const spec = completed({ ...least, tls, http: 'serve' })
  assert.equal(spec.tls.plainHttpWithoutClientCertificate, true)
  assert.deepEqual(completed(spec), spec)
})

test('the examples are hosts as they stand', () => {
  for (const file of ['httpbin.json', 'routes.json']) {
    const text = readFileSync(new URL(`../../../examples/${file}`, import.meta.url), 'utf8')
    const asked: unknown = JSON.parse(text)
    assert.ok(Value.Check(HostSpec, asked), file)
    completed(asked)
  }
})

test('what is complete stays as it is when it is asked for again', () => {
  for (const mode of ['SIMPLE', 'MUTUAL', 'PASSTHROUGH'] as const) {
    const spec = completed({ ...least, tls: { mode } })
    assert.deepEqual(completed(spec), spec)
  }
})

test('a pass-through host has one TLS route, its plain routes and a Secret by its name', () => {
  const asked: HostSpec = {
    ...least,
    tls: { mode: 'PASSTHROUGH' },
    http: 'serve',
    routes: [{ match: { port: 80, exact: '/x' }, to }, { to: { ...to, port: 443 } }],
  }
  const spec = completed(asked)
  assert.deepEqual(spec.tls, { mode: 'PASSTHROUGH' })
  assert.equal(destinationsOf(tlsRoute(spec) ?? {})[0]?.port, 443)
  assert.equal(spec.certificate.secretName, 'www-example-com-tls')
  const long = completed(asked, `${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`)
  assert.match(long.certificate.secretName ?? '', /^[a-z0-9-]{1,63}$/)
  assert.match(completed(asked, '*.example.com').certificate.secretName ?? '', /^wildcard-example/)
})

test('the tenant’s policy shapes the defaults', () => {
  const policy = { maxValidityDays: 30, keyAlgorithms: ['ED25519' as const, 'RSA_2048' as const] }
  const spec = completed(least, 'www.example.com', { ...rules, policy } as never)
  assert.equal(spec.certificate.validityDays, 30)
  assert.equal(spec.certificate.keyAlgorithm, 'RSA_2048')
})

test('every broken rule is named, with the field that breaks it', () => {
  const passthrough = { mode: 'PASSTHROUGH' } as const
  const rows: readonly (readonly [Partial<HostSpec>, readonly string[]])[] = [
    [{ tls: { minVersion: 'TLSV1_3', maxVersion: 'TLSV1_2' } }, ['/tls/minVersion']],
    [{ tls: { ...passthrough, minVersion: 'TLSV1_2' } }, ['/tls/minVersion']],
    [{ tls: { clientAuthority: 'house' } }, ['/tls/clientAuthority']],
    [{ tls: { clients: 'tenant' } }, ['/tls/clients']],
    [{ tls: { mode: 'MUTUAL' }, http: 'serve' }, ['/http']],
    [
      { tls: { mode: 'MUTUAL', plainHttpWithoutClientCertificate: false }, http: 'serve' },
      ['/http'],
    ],
    [
      { tls: { mode: 'MUTUAL', plainHttpWithoutClientCertificate: true } },
      ['/tls/plainHttpWithoutClientCertificate'],
    ],
    [
      { tls: { plainHttpWithoutClientCertificate: true }, http: 'serve' },
      ['/tls/plainHttpWithoutClientCertificate'],
    ],
    [{ certificate: { keyAlgorithm: 'ED25519' } }, ['/certificate/keyAlgorithm']],
    [{ certificate: { secretName: 'x' } }, ['/certificate/secretName']],
    [{ tls: passthrough, certificate: { secretName: 'x-cacert' } }, ['/certificate/secretName']],
    [{ tls: passthrough, certificate: { store: 'configMap' } }, ['/certificate/store']],
    [
      { tls: passthrough, certificate: { store: 'configMap', privateKeyInConfigMap: false } },
      ['/certificate/store'],
    ],
    [
      { tls: passthrough, certificate: { privateKeyInConfigMap: true } },
      ['/certificate/privateKeyInConfigMap'],
    ],
    [
      { certificate: { store: 'configMap', restart: { deployment: 'web' } } },
      ['/certificate/store', '/certificate/restart'],
    ],
    [{ routes: [{ match: { prefix: '/', exact: '/' }, to }] }, ['/routes/0/match']],
    [{ routes: [{ to: { ...to, namespace: 'kube-system' } }] }, ['/routes/0/to/namespace']],
    [{ routes: [{ match: { port: 80 }, to }] }, ['/routes/0/match/port']],
    [{ routes: [{ to }, { match: { prefix: '/' }, to }] }, ['/routes/1/match']],
    [{ tls: passthrough, routes: [{ to }, { to }] }, ['/routes/1/match']],
    [{ tls: passthrough, routes: [{ match: { prefix: '/x' }, to }] }, ['/routes/0/match']],
    [{ tls: passthrough, http: 'serve' }, ['/routes']],
    [{ tls: passthrough, http: 'serve', routes: [{ match: { port: 80 }, to }] }, ['/routes']],
  ]
  for (const [asked, fields] of rows) {
    assert.deepEqual(faults({ ...least, ...asked }), fields, JSON.stringify(asked))
  }
  const strict = { namespaces: [], defaultAuthority: null, policy: { maxValidityDays: 10 } }
  const all: HostSpec = { ...least, tls: { mode: 'MUTUAL' }, certificate: { validityDays: 20 } }
  assert.deepEqual(faults(all, strict), [
    '/tls/clientAuthority',
    '/certificate/validityDays',
    '/routes/0/to/namespace',
    '/certificate/authority',
  ])
})

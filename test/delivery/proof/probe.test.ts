import assert from 'node:assert/strict'
import { createServer as createPlain } from 'node:net'
import { after, test } from 'node:test'
import { createServer } from 'node:tls'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import { changeCluster } from '../../../src/clusters/register.ts'
import { shakeHands } from '../../../src/delivery/proof/handshake.ts'
import { offersOf } from '../../../src/delivery/proof/offers.ts'
import { probeHost } from '../../../src/delivery/proof/probe.ts'
import type { ProbeResult } from '../../../src/delivery/proof/result.ts'
import { issue as makePair } from '../../sandbox/pki.ts'
import { admin } from '../../support/context.ts'
import { isProblem } from '../../support/problem.ts'
import { httpbin, openStage, put, work } from '../support.ts'

const { ctx, sandbox, address } = await openStage()
const plainAddress = `127.0.0.1:${sandbox.plainPort}`
const patch = { ingress: { address, plainAddress } }
await changeCluster(ctx, admin, { name: 'sandbox', patch })

async function probe(name: string, asked: Parameters<typeof probeHost>[2]['asked'] = {}) {
  const { results } = await probeHost(ctx, admin, { tenant: 'shop', name, asked })
  const [first] = results
  assert.ok(first)
  return first
}

/** `check: ok`, in order. */
function verdicts({ checks }: ProbeResult) {
  return checks.map(({ check, ok }) => `${check}: ${ok}`)
}

function of({ checks }: ProbeResult, check: string) {
  return checks.find((each) => each.check === check)
}

const client = () =>
  issueCertificate(ctx, admin, {
    tenant: 'shop',
    request: { profile: 'client', subject: { commonName: 'client.shop.test' }, authority: 'house' },
    idempotencyKey: undefined,
  })

test('a SIMPLE host: its chain, its timings, what it offers, and port 80', async () => {
  const name = 'simple.shop.test'
  await put(ctx, name)
  const { status } = await work(ctx, name)
  const found = await probe(name, { offers: true, path: '/status/418' })
  assert.deepEqual([found.asExpected, found.mode, found.error], [true, 'SIMPLE', null])
  assert.equal(found.http?.status, 418)
  assert.equal(found.tls?.group, 'X25519MLKEM768')
  const chain = found.tls?.chain ?? []
  assert.deepEqual(
    chain.map(({ subject, issuer }) => [subject, issuer]),
    [
      [`CN=${name}`, 'CN=house'],
      ['CN=house', 'CN=r'],
    ],
  )
  assert.equal(chain[0]?.fingerprintSha256, status.certificate?.fingerprintSha256)
  assert.equal(found.tls?.served.chainLength, 2)
  const { connect, tls, firstByte } = found.timings
  assert.ok(connect !== null && tls !== null && firstByte !== null)
  assert.ok(connect >= 0 && tls > 0 && firstByte > 0)
  assert.deepEqual(
    found.offers?.versions.map(({ version, offered }) => `${version} ${offered}`),
    ['TLSv1 false', 'TLSv1.1 false', 'TLSv1.2 true', 'TLSv1.3 true'],
  )
  assert.deepEqual(
    found.offers?.groups.map(({ offered }) => typeof offered),
    ['boolean', 'boolean', 'boolean', 'boolean'],
  )
  assert.deepEqual(found.offers?.protocols.at(-1), {
    protocol: 'http/1.1',
    offered: true,
    reason: null,
  })
  assert.deepEqual(
    [found.plain?.status, found.plain?.location],
    [301, `https://${name}/status/418`],
  )
  assert.deepEqual(verdicts(found), [
    'handshake: true',
    'issued-certificate: true',
    'trusted-chain: true',
    ...Array.from({ length: 4 }, () => 'tls-version: true'),
    'plain-http: true',
  ])
})

test('versions that were not asked for are expected to be refused', async () => {
  const name = 'new.shop.test'
  await put(ctx, name, { tls: { minVersion: 'TLSV1_3' } })
  await work(ctx, name)
  const found = await probe(name, { offers: true })
  assert.equal(found.asExpected, true)
  const older = found.checks.find(({ expected }) => expected === 'TLSv1.2 is refused')
  assert.deepEqual([older?.found, older?.ok], ['Refused', true])
})

test('a MUTUAL host: refused without a certificate, let in with one, refused once it is revoked', async () => {
  const name = 'mutual.shop.test'
  await put(ctx, name, { tls: { mode: 'MUTUAL' }, http: 'off' })
  await work(ctx, name)
  const found = await probe(name, { offers: true })
  assert.deepEqual([found.asExpected, found.http], [true, null])
  assert.equal(of(found, 'no-client-certificate')?.ok, true)
  assert.match(of(found, 'no-client-certificate')?.found ?? '', /^Refused/)
  assert.match(of(found, 'client-certificate')?.found ?? '', /^Let in, and answered 200/)
  assert.deepEqual(
    [of(found, 'plain-http')?.ok, found.plain?.status],
    [true, found.plain?.status ?? null],
  )
  const own = await client()
  const shown = await probe(name, { clientCertificate: own.id, path: '/status/418' })
  assert.deepEqual([shown.http?.status, of(shown, 'shown-certificate')?.ok], [418, true])
  const revocation = { tenant: 'shop', id: own.id, reason: 'keyCompromise' } as const
  await revokeCertificate(ctx, admin, revocation)
  const before = await probe(name, { clientCertificate: own.id })
  assert.equal(of(before, 'shown-certificate')?.ok, false, 'the gateway does not know it yet')
  assert.equal(before.asExpected, false)
})

test('a PASSTHROUGH host: the workload decides which versions there are', async () => {
  const name = 'through.shop.test'
  const nginx = { ...httpbin, service: 'nginx-service' }
  await put(ctx, name, {
    tls: { mode: 'PASSTHROUGH' },
    http: 'serve',
    routes: [{ to: { ...nginx, port: 443 } }, { match: { port: 80 }, to: nginx }],
  })
  await work(ctx, name)
  const found = await probe(name, { offers: true })
  assert.deepEqual([found.asExpected, found.mode, found.plain?.status], [true, 'PASSTHROUGH', 200])
  assert.deepEqual(verdicts(found), [
    'handshake: true',
    'issued-certificate: true',
    'trusted-chain: true',
    'plain-http: true',
  ])
})

test('a host is asked for by any of its names, and by no other', async () => {
  const name = 'named.shop.test'
  await put(ctx, name, { aliases: ['alias.shop.test', '*.named.shop.test'] })
  await work(ctx, name)
  for (const alias of ['ALIAS.shop.test.', '*.named.shop.test', name]) {
    assert.equal((await probe(name, { alias })).asExpected, true, alias)
  }
  await assert.rejects(probe(name, { alias: 'other.shop.test' }), isProblem('request-invalid'))
})

test('an ingress that is away is told of once, and nothing more is tried there', async () => {
  const name = 'away.shop.test'
  await put(ctx, name)
  await work(ctx, name)
  let connections = 0
  const deaf = createPlain((socket) => {
    connections++
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve))
  const bound = deaf.address()
  assert.ok(bound && typeof bound === 'object')
  const silent = { ingress: { address: `127.0.0.1:${bound.port}` } }
  await changeCluster(ctx, admin, { name: 'sandbox', patch: silent })
  const found = await probe(name, { offers: true })
  assert.deepEqual([found.tls, found.offers, found.plain], [null, null, null])
  assert.deepEqual(verdicts(found), ['handshake: false'])
  assert.match(found.error ?? '', /No answer within 5 s/)
  assert.equal(connections, 1)
  await changeCluster(ctx, admin, { name: 'sandbox', patch })
  deaf.close()
})

test('a tenant has four probes under way at most', async () => {
  const name = 'simple.shop.test'
  const asked = { tenant: 'shop', name, asked: {} }
  const all = await Promise.allSettled(
    Array.from({ length: 12 }, () => probeHost(ctx, admin, asked)),
  )
  const refused = all.filter((each) => each.status === 'rejected').map(({ reason }) => reason)
  assert.ok(refused.length >= 1 && refused.length <= 8, String(refused.length))
  for (const each of refused) assert.ok(isProblem('busy')(each))
  assert.equal((await probe(name)).asExpected, true, 'room again when they are done')
})

test('a cluster is not registered with an address that is never asked, nor is one ever asked', async () => {
  const patches = [
    { ingress: { address: '169.254.169.254:443' } },
    { ingress: { address, plainAddress: '[fe80::1]:80' } },
    { ingress: { address: '0xa9fea9fe:443' } },
    { ingresses: { other: { address: '0.0.0.0:443', selector: { istio: 'other' } } } },
  ]
  for (const each of patches) {
    const change = changeCluster(ctx, admin, { name: 'sandbox', patch: each })
    await assert.rejects(change, isProblem('request-invalid'), JSON.stringify(each))
  }
  // As a row would be that an earlier release stored.
  for (const bad of ['169.254.169.254:443', '0:443', '[::]:443']) {
    const answer = await shakeHands({ address: bad, name: 'a.test' })
    assert.match(answer.error ?? '', /never connected to/)
    const { versions } = await offersOf({ address: bad, name: 'a.test' })
    assert.deepEqual([...new Set(versions.map(({ offered }) => offered))], [null])
  }
})

test('what a server refuses is told apart from what it says nothing to', async () => {
  const { cert, key } = await makePair('a.test', 'server')
  const server = createServer({ cert, key, maxVersion: 'TLSv1.2', ALPNProtocols: ['h2'] })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  after(() => server.close())
  const bound = server.address()
  assert.ok(bound && typeof bound === 'object')
  const offers = await offersOf({ address: `127.0.0.1:${bound.port}`, name: 'a.test' })
  assert.deepEqual(
    offers.versions.map(({ offered }) => offered),
    [false, false, true, false],
  )
  assert.deepEqual(
    offers.protocols.map(({ offered }) => offered),
    [true, false],
  )
  assert.deepEqual(
    offers.groups.map(({ offered }) => offered),
    [null, null, null, null],
  )
})

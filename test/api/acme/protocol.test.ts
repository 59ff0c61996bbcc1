import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  X509Certificate,
} from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import acme from 'acme-client'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { openAcme } from '../../support/acme.ts'
import { acmeHand, bound, newClientKey, signed } from '../../support/acmehand.ts'
import { openssl } from '../../support/openssl.ts'
import { openFolder, until } from '../../support/process.ts'

// What RFC 8555 has servers refuse, and what nobody but its owner may do.

const { ctx, url, http, keyFor, directoryUrl } = await openAcme()
const hand = acmeHand(directoryUrl)
const shop = await hand.open(await keyFor())
const dns = (...values: readonly string[]) => ({
  identifiers: values.map((value) => ({ type: 'dns', value })),
})
const csrFor = async (...altNames: string[]) => {
  const [key, csr] = await acme.crypto.createCsr({ altNames })
  const der = Buffer.from(csr.toString().replace(/-----[^-]+-----|\s/g, ''), 'base64')
  return { key: key.toString(), csr: der.toString('base64url') }
}

/** Orders and has issued: the order as it is in the end. */
async function issue(who: { key: ReturnType<typeof newClientKey>; kid: string }, asked: object) {
  const order = await hand.post('/new-order', asked, who)
  assert.equal(order.status, 201, order.text)
  const names = order.body.identifiers.map(({ value }: { value: string }) => value)
  const { csr, key } = await csrFor(...names)
  const done = await hand.post(order.body.finalize, { csr }, who)
  assert.equal(done.body.status, 'valid', done.text)
  const { text: pem, headers } = await hand.post(done.body.certificate, '', who)
  assert.equal(headers.get('content-type'), 'application/pem-certificate-chain')
  return { pem, key, leaf: new X509Certificate(pem), order: done.body }
}

test('a directory names everything, and an authority that is not there has none', async () => {
  const { body } = await http.get(new URL(directoryUrl).pathname).expect(200)
  const { meta, ...urls } = body
  assert.equal(meta.externalAccountRequired, true)
  assert.deepEqual(Object.keys(meta.profiles), ['default', 'shortlived', 'peer', 'client'])
  assert.equal(urls.renewalInfo, `${url}/renewal-info`)
  for (const [name, each] of Object.entries(urls)) {
    if (name !== 'renewalInfo') assert.match(String(each), new RegExp(`^${hand.root}/`))
  }
  assert.equal((await fetch(`${url}/acme/nobody/directory`)).status, 404)
  const asked = await fetch(`${hand.root}/new-nonce`)
  assert.equal(asked.status, 204)
  assert.match(asked.headers.get('link') ?? '', /directory>;rel="index"/)
  assert.equal(asked.headers.get('cache-control'), 'no-store')
})

const wrong = {
  'another url': { header: { url: `${hand.root}/new-account` }, want: 'unauthorized' },
  'a nonce of somebody else': { header: { nonce: 'bm9uY2U' }, want: 'badNonce' },
  'no nonce': { header: { nonce: undefined }, want: 'badNonce' },
  'alg none': { header: { alg: 'none' }, want: 'badSignatureAlgorithm' },
  'an algorithm of MACs': { header: { alg: 'HS256' }, want: 'badSignatureAlgorithm' },
  'an algorithm of other keys': { header: { alg: 'RS256' }, want: 'badSignatureAlgorithm' },
  'a jwk beside the kid': { header: { jwk: shop.key.jwk }, want: 'malformed' },
  'neither jwk nor kid': { header: { kid: undefined }, want: 'malformed' },
  'the kid of nobody': {
    header: { kid: `${hand.root}/account/019a0000-0000-7000-8000-000000000000` },
    want: 'accountDoesNotExist',
  },
  'a kid of another place': {
    header: { kid: shop.kid.replace('/issuing/', '/root/') },
    want: 'accountDoesNotExist',
  },
  'a critical header that nobody knows': { header: { crit: ['x'], x: 1 }, want: 'unauthorized' },
} as const

for (const [what, { header, want }] of Object.entries(wrong)) {
  test(`a request with ${what} is refused as ${want}`, async () => {
    const { type, headers, status } = await hand.post('/new-order', dns('www.shop.test'), {
      ...shop,
      header,
    })
    assert.equal(type, want)
    assert.ok(status >= 400)
    assert.ok(headers.get('replay-nonce'))
  })
}

test('a key of another client does not sign for an account', async () => {
  const stranger = { key: newClientKey(), kid: shop.kid }
  assert.equal((await hand.post('/new-order', dns('www.shop.test'), stranger)).type, 'unauthorized')
})

test('a nonce is good once', async () => {
  const nonce = await hand.nonce()
  const path = `/account/${shop.kid.slice(-36)}`
  const first = await hand.post(path, '', { ...shop, header: { nonce } })
  assert.equal(first.status, 200, first.text)
  assert.equal((await hand.post(path, '', { ...shop, header: { nonce } })).type, 'badNonce')
})

test('what is no JWS is refused before anything is looked up', async () => {
  const target = `${hand.root}/new-order`
  const good = signed({ alg: 'ES256' }, {}, shop.key)
  const cases: readonly (readonly [unknown, number, string?])[] = [
    ['{', 400],
    [{}, 400],
    [{ ...good, header: {} }, 400],
    [{ payloads: [good] }, 400],
    [{ ...good, payload: '=' }, 400],
    [{ ...good, protected: '' }, 400],
    ['{"protected":"","protected":"","payload":"","signature":""}', 400],
    ['x'.repeat(200_000), 413],
    [good, 415, 'application/json'],
  ]
  for (const [body, status, type] of cases) {
    const answer = await hand.send(target, body, type)
    assert.equal(answer.status, status, answer.text)
    assert.equal(answer.type, 'malformed')
  }
})

test('an account is opened with a key of a tenant, and with no other', async () => {
  const binding = await keyFor()
  const target = `${hand.root}/new-account`
  const key = newClientKey()
  const ask = async (externalAccountBinding?: unknown) =>
    (await hand.post('/new-account', { externalAccountBinding }, { key })).type
  const good = { jwk: key.jwk, url: target }
  assert.equal(await ask(), 'externalAccountRequired')
  const forged = { ...binding, hmacKey: 'A'.repeat(43) }
  assert.equal(await ask(bound(forged, good)), 'unauthorized')
  const unknown = { ...binding, kid: '019a0000-0000-7000-8000-000000000000' }
  assert.equal(await ask(bound(unknown, good)), 'unauthorized')
  assert.equal(await ask(bound(binding, { ...good, jwk: newClientKey().jwk })), 'malformed')
  assert.equal(await ask(bound(binding, { ...good, url: directoryUrl })), 'malformed')
  assert.equal(await ask(bound(binding, { ...good, alg: 'HS512' })), 'badSignatureAlgorithm')
  assert.equal(
    (await hand.post('/new-account', { onlyReturnExisting: true }, { key })).type,
    'accountDoesNotExist',
  )
  const { answer, kid } = await hand.open(binding, key)
  assert.equal(answer.status, 201)
  const again = await hand.post('/new-account', { onlyReturnExisting: true }, { key })
  assert.deepEqual([again.status, again.headers.get('location')], [200, kid])
  const other = await hand.open(await keyFor({ authority: 'root' }))
  assert.equal(other.answer.type, 'unauthorized')
})

test('weak keys open no account, whatever they sign', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const key = { jwk: publicKey.export({ format: 'jwk' }), alg: 'RS256', privateKey }
  assert.equal((await hand.open(await keyFor(), key)).answer.type, 'badPublicKey')
})

test('names that are not the tenant’s are refused, each by itself', async () => {
  const asked = dns('www.shop.test', 'www.other.test', 'nobody.example')
  const { type, body } = await hand.post('/new-order', asked, shop)
  assert.equal(type, 'rejectedIdentifier')
  const named = body.subproblems.map(
    (one: { identifier: { value: string } }) => one.identifier.value,
  )
  assert.deepEqual(named, ['www.other.test', 'nobody.example'])
  const kinds = { identifiers: [{ type: 'email', value: 'a@shop.test' }] }
  assert.equal((await hand.post('/new-order', kinds, shop)).type, 'unsupportedIdentifier')
  const address = { identifiers: [{ type: 'ip', value: '10.0.0.1' }] }
  assert.equal((await hand.post('/new-order', address, shop)).type, 'rejectedIdentifier')
})

test('addresses are had within the ranges of the tenant’s policy', async () => {
  await http
    .patch('/v1/tenants/shop')
    .send({ policy: { ipRanges: ['10.1.0.0/16'] } })
    .expect(200)
  const order = await hand.post(
    '/new-order',
    { identifiers: [{ type: 'ip', value: '10.1.2.3' }] },
    shop,
  )
  assert.equal(order.status, 201, order.text)
  const [, csr] = await acme.crypto.createCsr({ altNames: ['10.1.2.3'] })
  const der = Buffer.from(csr.toString().replace(/-----[^-]+-----|\s/g, ''), 'base64')
  const done = await hand.post(order.body.finalize, { csr: der.toString('base64url') }, shop)
  assert.equal(done.body.status, 'valid', done.text)
})

test('a key that is narrowed to names and profiles is good for these alone', async () => {
  const narrow = await hand.open(await keyFor({ names: ['a.shop.test'], profiles: ['shortlived'] }))
  assert.equal(
    (await hand.post('/new-order', dns('b.shop.test'), narrow)).type,
    'rejectedIdentifier',
  )
  const asked = { ...dns('www.a.shop.test'), profile: 'default' }
  assert.equal((await hand.post('/new-order', asked, narrow)).type, 'invalidProfile')
  const { leaf, order } = await issue(narrow, dns('www.a.shop.test'))
  assert.equal(order.profile, 'shortlived')
  const days = (Date.parse(leaf.validTo) - Date.parse(leaf.validFrom)) / 86_400_000
  assert.ok(days <= 6.01 && days > 5, `${days} days`)
})

test('a profile is one of the directory’s, and what it says is what comes', async () => {
  const none = { ...dns('www.shop.test'), profile: 'classic' }
  assert.equal((await hand.post('/new-order', none, shop)).type, 'invalidProfile')
  const { leaf } = await issue(shop, { ...dns('peer.shop.test'), profile: 'peer' })
  assert.deepEqual(leaf.keyUsage?.toSorted(), ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
  const dated = { ...dns('www.shop.test'), notAfter: '2030-01-01T00:00:00Z' }
  assert.equal((await hand.post('/new-order', dated, shop)).type, 'malformed')
})

test('a CSR names what was ordered, and nothing else', async () => {
  const order = await hand.post('/new-order', dns('one.shop.test', 'two.shop.test'), shop)
  for (const names of [['one.shop.test'], ['one.shop.test', 'two.shop.test', 'three.shop.test']]) {
    const { csr } = await csrFor(...names)
    assert.equal((await hand.post(order.body.finalize, { csr }, shop)).type, 'badCSR')
  }
  assert.equal((await hand.post(order.body.finalize, { csr: 'AAAA' }, shop)).type, 'badCSR')
  const { csr } = await csrFor('two.shop.test', 'one.shop.test')
  const [first, second] = await Promise.all(
    [csr, csr].map((each) => hand.post(order.body.finalize, { csr: each }, shop)),
  )
  assert.deepEqual([first?.type, second?.type].toSorted(), ['', 'orderNotReady'])
  assert.equal((await hand.post(order.body.finalize, { csr }, shop)).type, 'orderNotReady')
})

test('the key of an account is not certified', async () => {
  const order = await hand.post('/new-order', dns('own.shop.test'), shop)
  const pem = shop.key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const [, csr] = await acme.crypto.createCsr({ altNames: ['own.shop.test'] }, pem)
  const der = Buffer.from(csr.toString().replace(/-----[^-]+-----|\s/g, ''), 'base64')
  const sent = { csr: der.toString('base64url') }
  assert.equal((await hand.post(order.body.finalize, sent, shop)).type, 'badCSR')
})

test('nothing of an account is another’s to see', async () => {
  const stranger = await hand.open(await keyFor({}, 'other'))
  const { order } = await issue(shop, dns('mine.shop.test'))
  const open = await hand.post('/new-order', dns('open.shop.test'), shop)
  const places = [
    ...[order.certificate, order.finalize, ...order.authorizations],
    ...[open.headers.get('location') ?? '', shop.kid, `${shop.kid}/orders`],
  ]
  for (const place of places) {
    const payload = place.endsWith('/finalize') ? await csrFor('mine.shop.test') : ''
    const { status } = await hand.post(place, payload, stranger)
    assert.ok(status === 404 || status === 403, `${place} ${status}`)
  }
})

test('what is read is asked for by an empty payload', async () => {
  const open = await hand.post('/new-order', dns('read.shop.test'), shop)
  const place = open.headers.get('location') ?? ''
  assert.equal((await hand.post(place, {}, shop)).type, 'malformed')
  assert.equal((await hand.post(place, '', shop)).body.status, 'ready')
  assert.equal((await fetch(place)).status, 405)
})

test('a certificate is revoked by its account with a reason, and OCSP and the list say so', async () => {
  const { leaf, pem } = await issue(shop, dns('gone.shop.test'))
  const certificate = leaf.raw.toString('base64url')
  const stranger = await hand.open(await keyFor({}, 'other'))
  const ask = (payload: object, who = shop) => hand.post('/revoke-cert', payload, who)
  assert.equal((await ask({ certificate }, stranger)).type, 'unauthorized')
  assert.equal((await ask({ certificate, reason: 7 })).type, 'badRevocationReason')
  assert.equal((await ask({ certificate, reason: 4 })).status, 200)
  assert.equal((await ask({ certificate, reason: 4 })).type, 'alreadyRevoked')
  const { body } = await http.get('/v1/tenants/shop/certificates?name=gone.shop.test')
  assert.deepEqual(
    [body.items[0].status, body.items[0].revocationReason],
    ['revoked', 'superseded'],
  )
  const folder = await openFolder()
  await writeFile(join(folder, 'leaf.pem'), pem)
  await writeFile(join(folder, 'chain.pem'), acme.crypto.splitPemChain(pem)[1] ?? '')
  const asked = ['-issuer', 'chain.pem', '-cert', 'leaf.pem', '-noverify']
  const place = ['-url', `${url}/pki/issuing/ocsp`]
  const run = promisify(execFile)('openssl', ['ocsp', ...asked, ...place], { cwd: folder })
  const { stdout: said } = await run
  assert.match(said, /leaf.pem: revoked[\s\S]*superseded/)
  // The list that the certificate itself names.
  const points = openssl(['x509', '-in', 'leaf.pem', '-noout', '-ext', 'crlDistributionPoints'], {
    'leaf.pem': pem,
  })
  const list = new URL(/URI:(\S+)/.exec(points)?.[1] ?? '').pathname
  const listed = await until('it is on the list', async () => {
    const der = Buffer.from(await (await fetch(`${url}${list}`)).arrayBuffer())
    const text = openssl(['crl', '-inform', 'DER', '-in', 'list.crl', '-noout', '-text'], {
      'list.crl': der,
    })
    return text.includes(leaf.serialNumber) ? text : undefined
  })
  const entry = listed.slice(listed.indexOf(leaf.serialNumber)).split('Serial Number')[0] ?? ''
  assert.match(entry, /Superseded/)
  const events = await http.get('/v1/audit-events?action=certificate.revoked')
  assert.equal(events.body.items[0].actor.kind, 'acme-account')
})

test('a certificate is revoked by whoever has its key, without an account', async () => {
  const { leaf, key } = await issue(shop, dns('lost.shop.test'))
  const privateKey = createPrivateKey(key)
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' })
  const holder = { key: { jwk, alg: 'RS256', privateKey } }
  const asked = { certificate: leaf.raw.toString('base64url'), reason: 1 }
  assert.equal(
    (await hand.post('/revoke-cert', asked, { key: newClientKey() })).type,
    'unauthorized',
  )
  const answer = await hand.post('/revoke-cert', asked, holder)
  assert.equal(answer.status, 200, answer.text)
  const row = await ctx.db.read.certificate.findFirstOrThrow({
    where: { serial: leaf.serialNumber.toLowerCase() },
  })
  assert.equal(row.revocationReason, 'keyCompromise')
  const { csr } = await (async () => {
    const [, pem] = await acme.crypto.createCsr({ altNames: ['again.shop.test'] }, key)
    const der = Buffer.from(pem.toString().replace(/-----[^-]+-----|\s/g, ''), 'base64')
    return { csr: der.toString('base64url') }
  })()
  const order = await hand.post('/new-order', dns('again.shop.test'), shop)
  assert.equal((await hand.post(order.body.finalize, { csr }, shop)).type, 'badCSR')
})

test('an account gets another key, and the one before signs nothing any more', async () => {
  const before = await hand.open(await keyFor())
  const [fresh, target] = [newClientKey(), `${hand.root}/key-change`]
  const inner = (change: object, header: object = {}) =>
    signed({ alg: fresh.alg, jwk: fresh.jwk, url: target, ...header }, change, fresh)
  const change = { account: before.kid, oldKey: before.key.jwk }
  const ask = (payload: object) => hand.post('/key-change', payload, before)
  assert.equal((await ask(inner({ ...change, account: shop.kid }))).type, 'malformed')
  assert.equal((await ask(inner({ ...change, oldKey: fresh.jwk }))).type, 'malformed')
  assert.equal((await ask(inner(change, { url: directoryUrl }))).type, 'malformed')
  const taken = signed({ alg: 'ES256', jwk: shop.key.jwk, url: target }, change, shop.key)
  const conflict = await ask(taken)
  assert.deepEqual([conflict.status, conflict.headers.get('location')], [409, shop.kid])
  assert.equal((await ask(inner(change))).status, 200)
  assert.equal((await hand.post('/new-order', dns('k.shop.test'), before)).type, 'unauthorized')
  const after = { key: fresh, kid: before.kid }
  assert.equal((await hand.post('/new-order', dns('k.shop.test'), after)).status, 201)
})

test('an account changes its contacts, and ends for good', async () => {
  const one = await hand.open(await keyFor())
  const changed = await hand.post(one.kid, { contact: ['mailto:ops@shop.test'] }, one)
  assert.deepEqual(changed.body.contact, ['mailto:ops@shop.test'])
  assert.equal((await hand.post(one.kid, { contact: ['tel:1'] }, one)).type, 'unsupportedContact')
  assert.equal((await hand.post(one.kid, { contact: ['mailto:x'] }, one)).type, 'invalidContact')
  const ended = await hand.post(one.kid, { status: 'deactivated' }, one)
  assert.equal(ended.body.status, 'deactivated')
  assert.equal((await hand.post('/new-order', dns('x.shop.test'), one)).type, 'unauthorized')
  assert.equal((await hand.post('/new-account', {}, { key: one.key })).type, 'unauthorized')
})

test('a tenant sees its accounts and ends them, and a key that is removed ends all of its own', async () => {
  const binding = await keyFor()
  const [first, second] = [await hand.open(binding), await hand.open(binding)]
  const list = '/v1/tenants/shop/acme-accounts'
  const { body } = await http.get(`${list}?limit=500`).expect(200)
  const ids = body.items.map(({ id }: { id: string }) => id)
  assert.ok([first, second].every(({ kid }) => ids.includes(kid.slice(-36))))
  await http.delete(`${list}/${first.kid.slice(-36)}`).expect(204)
  assert.equal((await hand.post(first.kid, '', first)).type, 'unauthorized')
  assert.equal((await hand.post(second.kid, '', second)).status, 200)
  await http.delete(`/v1/tenants/shop/acme-keys/${binding.kid}`).expect(204)
  assert.equal((await hand.post(second.kid, '', second)).type, 'unauthorized')
  assert.equal((await hand.open(binding)).answer.type, 'unauthorized')
  await http.get(`/v1/tenants/shop/acme-keys/${binding.kid}`).expect(404)
})

test('an order takes over from a certificate, once, and renewal information is where the directory says', async () => {
  const { leaf } = await issue(shop, dns('ari.shop.test'))
  const { authorityKeyIdentifier } = readCertificate(leaf.raw)
  const parts = [authorityKeyIdentifier ?? '', Buffer.from(leaf.serialNumber, 'hex')]
  const id = parts.map((each) => Buffer.from(each).toString('base64url')).join('.')
  const { body: info } = await http.get(`/renewal-info/${id}`).expect(200)
  assert.ok(Date.parse(info.suggestedWindow.start) > Date.now())
  const foreign = { ...dns('else.shop.test'), replaces: id }
  assert.equal((await hand.post('/new-order', foreign, shop)).type, 'malformed')
  const { leaf: next } = await issue(shop, { ...dns('ari.shop.test'), replaces: id })
  const again = { ...dns('ari.shop.test'), replaces: id }
  const refused = await hand.post('/new-order', again, shop)
  assert.deepEqual([refused.type, refused.status], ['alreadyReplaced', 409])
  const rows = await ctx.db.read.certificate.findMany({
    where: { dnsNames: { has: 'ari.shop.test' } },
    orderBy: { createdAt: 'asc' },
  })
  assert.equal(rows[1]?.serial, next.serialNumber.toLowerCase())
  assert.equal(rows[1]?.replacesId, rows[0]?.id)
})

test('orders are listed page by page, those that came to nothing left out', async () => {
  const one = await hand.open(await keyFor())
  for (const _ of Array(3)) await hand.post('/new-order', dns('list.shop.test'), one)
  const { body } = await hand.post(`${one.kid}/orders`, '', one)
  assert.equal(body.orders.length, 3)
  const last = body.orders[1].slice(-36)
  const rest = await hand.post(`${one.kid}/orders?after=${last}`, '', one)
  assert.deepEqual(rest.body.orders, body.orders.slice(2))
})

test('an account that asks too much is told when to come back', async () => {
  await http
    .patch('/v1/tenants/other')
    .send({ quotas: { certificatesPerDay: 1 } })
    .expect(200)
  const other = await hand.open(await keyFor({}, 'other'))
  await issue(other, dns('a.other.test'))
  const order = await hand.post('/new-order', dns('b.other.test'), other)
  const { csr } = await csrFor('b.other.test')
  const refused = await hand.post(order.body.finalize, { csr }, other)
  assert.deepEqual([refused.type, refused.status], ['rateLimited', 429])
  assert.ok(Number(refused.headers.get('retry-after')) > 0)
  const again = await hand.post(order.headers.get('location') ?? '', '', other)
  assert.equal(again.body.status, 'ready')
})

import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import forge from 'node-forge'
import { getAuthority } from '../../src/authorities/find.ts'
import { getTrustBundle } from '../../src/authorities/trust/bundle.ts'
import { type BundleRequest, getBundle } from '../../src/certificates/bundle.ts'
import type { Actor } from '../../src/core/actor.ts'
import { newId } from '../../src/core/context.ts'
import { readPem } from '../../src/x509/der/pem.ts'
import { issueOne, openTestAuthority } from '../authorities/support.ts'
import { admin, openTestContext } from '../support/context.ts'
import { openssl } from '../support/openssl.ts'
import { isProblem } from '../support/problem.ts'
import { put, run, scratch, without } from '../x509/support.ts'

const ctx = await openTestContext()
await openTestAuthority(ctx)
const issuing = await getAuthority(ctx, admin, 'issuing')
const directory = scratch()
const password = 'open sesame & 1'
const operator: Actor = { ...admin, role: 'operator', name: 'operator' }

const download = (id: string, ask: Partial<BundleRequest> = {}, actor: Actor = operator) =>
  getBundle(ctx, actor, { tenant: 'example', id, privateKey: false, ...ask })
const store = { format: 'p12', password } as const
const server = { profile: 'server', subject: { commonName: 'a.example.com' } } as const

for (const keyAlgorithm of ['ECDSA_P256', 'RSA_2048', 'ED25519'] as const) {
  test(`openssl opens the ${keyAlgorithm} store: key, leaf and chain, and only by its password`, async () => {
    const leaf = await issueOne(ctx, { ...server, keyAlgorithm })
    const { body, mediaType, fileName } = await download(leaf.id, store)
    assert.equal(mediaType, 'application/x-pkcs12')
    assert.equal(fileName, 'a.example.com.p12')
    const open = (secret: string) =>
      openssl(['pkcs12', '-in', 's.p12', '-passin', `pass:${secret}`, '-nodes'], { 's.p12': body })
    const text = open(password)
    assert.deepEqual(readPem(text, 'CERTIFICATE'), readPem(`${leaf.pem}${leaf.chainPem}`))
    const key = createPrivateKey(text.slice(text.indexOf('-----BEGIN PRIVATE KEY')))
    assert.ok(new X509Certificate(leaf.pem ?? '').checkPrivateKey(key))
    assert.throws(() => open('wrong'))
  })

  test(`keytool opens the ${keyAlgorithm} store`, { skip: without('keytool') }, async () => {
    const leaf = await issueOne(ctx, { ...server, keyAlgorithm })
    const { body } = await download(leaf.id, store)
    const told = run('keytool', [
      ...['-list', '-v', '-storetype', 'PKCS12'],
      ...['-keystore', put(directory, `${keyAlgorithm}.p12`, body)],
      ...['-storepass:file', put(directory, 'pass', password)],
    ])
    assert.match(told.text, /PrivateKeyEntry/, told.text)
    assert.match(told.text, /Alias name: a\.example\.com/)
    assert.match(told.text, /Certificate chain length: 2/)
  })
}

test('an importer in JavaScript opens the store of an RSA key, as browsers and tools use', async () => {
  const leaf = await issueOne(ctx, { ...server, keyAlgorithm: 'RSA_2048' })
  const { body } = await download(leaf.id, store)
  const asn1 = forge.asn1.fromDer(body.toString('latin1'))
  const opened = forge.pkcs12.pkcs12FromAsn1(asn1, password)
  const { pkcs8ShroudedKeyBag = '' } = forge.pki.oids
  const [bag] = opened.getBags({ bagType: pkcs8ShroudedKeyBag })[pkcs8ShroudedKeyBag] ?? []
  assert.ok(bag?.key)
  const key = createPrivateKey(forge.pki.privateKeyToPem(bag.key))
  assert.ok(new X509Certificate(leaf.pem ?? '').checkPrivateKey(key))
  assert.throws(() => forge.pkcs12.pkcs12FromAsn1(asn1, 'wrong'))
})

test('pem is leaf, chain and, if asked for, the key; der is the leaf', async () => {
  const leaf = await issueOne(ctx, server)
  const plain = (await download(leaf.id)).body.toString()
  assert.equal(plain, `${leaf.pem}${leaf.chainPem}`)
  const whole = (await download(leaf.id, { privateKey: true })).body.toString()
  assert.ok(whole.startsWith(plain))
  const key = createPrivateKey(whole.slice(plain.length))
  assert.ok(new X509Certificate(leaf.pem ?? '').checkPrivateKey(key))
  const { body, mediaType } = await download(leaf.id, { format: 'der' })
  assert.equal(mediaType, 'application/pkix-cert')
  assert.ok(body.equals(readPem(leaf.pem ?? '')[0] ?? Buffer.alloc(0)))
})

test('a key is handed out once, in whatever format; an admin may take it again', async () => {
  const leaf = await issueOne(ctx, server)
  await download(leaf.id)
  await download(leaf.id, store)
  for (const ask of [store, { privateKey: true }]) {
    await assert.rejects(download(leaf.id, ask), isProblem('key-downloaded'))
  }
  // What holds no key is there for ever.
  await download(leaf.id)
  await download(leaf.id, { format: 'der' })
  await download(leaf.id, { privateKey: true }, admin)
  await download(leaf.id, store, admin)
})

test('of many who ask for a key at the same time one gets it', async () => {
  const leaf = await issueOne(ctx, server)
  const tried = await Promise.allSettled(
    Array.from({ length: 8 }, () => download(leaf.id, { privateKey: true })),
  )
  assert.equal(tried.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const each of tried) {
    if (each.status === 'rejected') assert.ok(isProblem('key-downloaded')(each.reason))
  }
})

test('every download is audited, with what it held; a refused one is none', async () => {
  const leaf = await issueOne(ctx, server)
  await download(leaf.id, { format: 'der' })
  await download(leaf.id, store)
  await download(leaf.id, { privateKey: true }).catch(() => undefined)
  await download(leaf.id, { privateKey: true }, admin)
  const events = await ctx.db.read.auditEvent.findMany({
    where: { action: 'certificate.downloaded', subjectId: leaf.id },
    orderBy: { seq: 'asc' },
  })
  const { serial } = leaf
  assert.deepEqual(
    events.map(({ changes, actorName }) => [actorName, changes]),
    [
      ['operator', { format: 'der', privateKey: false, serial }],
      ['operator', { format: 'p12', privateKey: true, serial }],
      ['test', { format: 'pem', privateKey: true, serial }],
    ],
  )
  assert.doesNotMatch(JSON.stringify(events.map(({ changes }) => changes)), /sesame|BEGIN/)
})

test('the key of a certificate that was made for a host goes to its clusters alone', async () => {
  const leaf = await issueOne(ctx, server)
  await ctx.db.read.certificate.update({
    where: { id: leaf.id },
    data: { hostId: newId(ctx.now()) },
  })
  for (const ask of [store, { privateKey: true }]) {
    await assert.rejects(download(leaf.id, ask, admin), isProblem('key-withheld'))
  }
  assert.match((await download(leaf.id)).body.toString(), /BEGIN CERTIFICATE/)
})

test('a store without a proper password, and der with a key, are refused before the key is taken', async () => {
  const leaf = await issueOne(ctx, server)
  const asks: readonly Partial<BundleRequest>[] = [
    { format: 'p12' },
    { format: 'p12', password: '' },
    { format: 'p12', password: 'pässword' },
    { format: 'p12', password: 'pass\tword' },
    { format: 'der', privateKey: true },
  ]
  for (const ask of asks) {
    await assert.rejects(download(leaf.id, ask), isProblem('request-invalid'))
  }
  await download(leaf.id, store)
})

test('keys need the right to read them, and are not there for a CSR', async () => {
  const leaf = await issueOne(ctx, server)
  for (const role of ['viewer', 'auditor'] as const) {
    const actor = { ...admin, role }
    await download(leaf.id, {}, actor)
    await assert.rejects(download(leaf.id, store, actor), isProblem('forbidden'))
    await assert.rejects(download(leaf.id, { privateKey: true }, actor), isProblem('forbidden'))
  }
  const csr = openssl(
    ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'].concat([
      '-keyout',
      'k.pem',
      '-subj',
      '/CN=a.example.com',
    ]),
  )
  const own = await issueOne(ctx, { csr })
  await assert.rejects(download(own.id, store), isProblem('key-absent'))
  await assert.rejects(download(newId(ctx.now())), isProblem('certificate-unknown'))
})

test('the trust bundle is the root, and verifies what was issued', async () => {
  const pem = await getTrustBundle(ctx, 'issuing')
  assert.equal(pem, issuing.chainPem)
  assert.equal(await getTrustBundle(ctx, 'root'), pem)
  const leaf = await issueOne(ctx, server)
  openssl(['verify', '-x509_strict', '-CAfile', 'ca.pem', '-untrusted', 'chain.pem', 'leaf.pem'], {
    'ca.pem': pem,
    'chain.pem': leaf.chainPem,
    'leaf.pem': leaf.pem ?? '',
  })
  await assert.rejects(getTrustBundle(ctx, 'nobody'), isProblem('authority-unknown'))
})

import assert from 'node:assert/strict'
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  X509Certificate,
} from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { importAuthority } from '../../../src/authorities/import.ts'
import { takenKey } from '../../../src/authorities/keys/holders.ts'
import { revokeBlocked, sweepBlocked } from '../../../src/certificates/revocation/blocked.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { fingerprintSha256 } from '../../../src/x509/certificates/read.ts'
import { toPem } from '../../../src/x509/der/pem.ts'
import { spkiOf } from '../../../src/x509/keys/public.ts'
import { keySigner } from '../../../src/x509/keys/sign.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { fieldsOf, isProblem } from '../../support/problem.ts'
import { createRequest } from '../../support/request.ts'

const { ctx, http, send } = await openTestApi()
await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject: { commonName: 'R' } })
for (const [name, domain] of [
  ['one', 'one.test'],
  ['two', 'two.test'],
] as const) {
  await createTenant(ctx, admin, { name, domains: [domain], defaultAuthority: 'root' })
}

type Pair = ReturnType<typeof pair>

function pair() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

async function csrOf(keys: Pair, name: string): Promise<string> {
  const der = await createRequest({
    subject: { commonName: name },
    altNames: { ...noAltNames, dnsNames: [name] },
    spki: spkiOf(keys.publicKey),
    signer: keySigner(keys.privateKey),
  })
  return toPem('CERTIFICATE REQUEST', der)
}

const post = async (tenant: string, keys: Pair) =>
  http
    .post(`/v1/tenants/${tenant}/certificates`)
    .send({ profile: 'server', csr: await csrOf(keys, `a.${tenant}.test`) })

/** Two certificates of one key, the second another tenant's: as they were stored before a key had a
 *  holder. */
async function shared(keys: Pair) {
  const one = await post('one', keys)
  const two = await post('one', keys)
  assert.deepEqual([one.status, two.status], [201, 201])
  const { id } = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'two' } })
  await ctx.db.read.certificate.update({ where: { id: two.body.id }, data: { tenantId: id } })
  return { one, two }
}

async function proofOf(keys: Pair, commonName: string): Promise<string> {
  const request = { subject: { commonName }, altNames: noAltNames }
  const signer = keySigner(keys.privateKey)
  const der = await createRequest({ ...request, spki: spkiOf(keys.publicKey), signer })
  return toPem('CERTIFICATE REQUEST', der)
}

const spkiSha256Of = (keys: Pair) => fingerprintSha256(spkiOf(keys.publicKey))

const statusOf = async (tenant: string, id: string) =>
  (await http.get(`/v1/tenants/${tenant}/certificates/${id}`)).body.status

test('blocking a key revokes all that has it, whoever’s, and no request with it is served again', async () => {
  const keys = pair()
  const spkiSha256 = fingerprintSha256(spkiOf(keys.publicKey))
  const { one, two } = await shared(keys)
  const apart = await post('one', pair())
  const pem = keys.publicKey.export({ type: 'spki', format: 'pem' })
  const blocked = await http.post('/v1/blocked-keys').send({ pem, reason: 'found in a repository' })
  assert.equal(blocked.status, 201)
  assert.equal(blocked.body.spkiSha256, spkiSha256)
  const again = await http.post('/v1/blocked-keys').send({ spkiSha256, reason: 'again' })
  assert.equal(again.status, 409)
  await revokeBlocked(ctx, spkiSha256)
  assert.equal(await statusOf('one', one.body.id), 'revoked')
  assert.equal(await statusOf('two', two.body.id), 'revoked')
  assert.equal(await statusOf('one', apart.body.id), 'active')
  const rows = await ctx.db.read.certificate.findMany({ where: { spkiSha256 } })
  assert.ok(rows.every(({ revocationReason }) => revocationReason === 'keyCompromise'))
  const refused = await post('one', keys)
  assert.equal(refused.status, 422)
  assert.equal(refused.body.violations[0].field, '/csr')
  const listed = await http.get('/v1/blocked-keys')
  assert.deepEqual(
    listed.body.items.map((each: { spkiSha256: string }) => each.spkiSha256),
    [spkiSha256],
  )
  assert.equal((await http.delete(`/v1/blocked-keys/${spkiSha256}`)).status, 204)
  assert.equal((await http.delete(`/v1/blocked-keys/${spkiSha256}`)).status, 404)
  assert.equal((await post('one', keys)).status, 201)
  assert.equal(await statusOf('one', one.body.id), 'revoked')
  const told = await ctx.db.read.auditEvent.findMany({ where: { subjectId: spkiSha256 } })
  assert.deepEqual(
    told.map(({ action }) => action),
    ['key.blocked', 'key.unblocked'],
  )
})

test('a key is blocked in whatever form it is sent', async () => {
  const keys = pair()
  const { body } = await post('one', keys)
  const plain = String(keys.publicKey.export({ type: 'spki', format: 'pem' }))
  const pem = openssl(
    ['pkey', '-pubin', '-in', 'k.pem', '-pubout', '-ec_conv_form', 'compressed'],
    {
      'k.pem': plain,
    },
  )
  assert.notEqual(pem, plain)
  const blocked = await http.post('/v1/blocked-keys').send({ pem, reason: 'found' })
  assert.equal(blocked.status, 201, blocked.text)
  assert.equal(blocked.body.spkiSha256, spkiSha256Of(keys))
  await revokeBlocked(ctx, spkiSha256Of(keys))
  assert.equal(await statusOf('one', body.id), 'revoked')
  assert.equal((await post('one', keys)).status, 422)
  assert.equal((await http.delete(`/v1/blocked-keys/${spkiSha256Of(keys)}`)).status, 204)
})

test('a certificate revoked for keyCompromise takes its key with it', async () => {
  const keys = pair()
  const one = await post('one', keys)
  const again = await post('one', keys)
  const tenant = send(await tokenFor(ctx, 'one', 'operator'))
  const url = `/v1/tenants/one/certificates/${one.body.id}/revoke`
  const revoked = await tenant.post(url).send({ reason: 'keyCompromise' })
  assert.equal(revoked.status, 200, revoked.text)
  const refused = await post('one', keys)
  assert.equal(refused.status, 422)
  assert.ok(!refused.text.includes(one.body.serial), 'a refusal tells no serial')
  await revokeBlocked(ctx, spkiSha256Of(keys))
  assert.equal(await statusOf('one', again.body.id), 'revoked')
})

test('a key is the first tenant’s that had it certified, and a refusal says nothing of whose it is', async () => {
  const keys = pair()
  const first = await post('one', keys)
  assert.equal(first.status, 201, first.text)
  const made = { profile: 'server', dnsNames: ['made.one.test'] }
  const own = await http.post('/v1/tenants/one/certificates').send(made)
  const bundle = await http
    .get(`/v1/tenants/one/certificates/${own.body.id}/bundle?privateKey=true`)
    .responseType('blob')
  const taken = createPrivateKey(String(bundle.body))
  const files = { 'k.pem': String(taken.export({ type: 'pkcs8', format: 'pem' })) }
  const csr = openssl(
    ['req', '-new', '-key', 'k.pem', '-subj', '/CN=a.two.test'].concat([
      ...['-addext', 'subjectAltName=DNS:a.two.test'],
    ]),
    files,
  )
  const answers = [
    await post('two', keys),
    await http.post('/v1/tenants/two/certificates').send({ profile: 'server', csr }),
  ]
  for (const answer of answers) {
    assert.equal(answer.status, 422, answer.text)
    assert.deepEqual(answer.body.violations, [{ field: '/csr', message: takenKey }])
  }
  const batch = await http
    .post('/v1/tenants/two/certificates:batch')
    .send({ items: [{ profile: 'server', csr }] })
  assert.match(batch.text, /cannot be certified here/)
  // The holder goes on, also with the key that was made here.
  assert.equal((await post('one', keys)).status, 201)
  const mine = openssl(
    ['req', '-new', '-key', 'k.pem', '-subj', '/CN=a.one.test'].concat([
      ...['-addext', 'subjectAltName=DNS:a.one.test'],
    ]),
    files,
  )
  const again = await http
    .post('/v1/tenants/one/certificates')
    .send({ profile: 'server', csr: mine })
  assert.equal(again.status, 201, again.text)
})

test('of two tenants that send one key at once, one gets a certificate', async () => {
  for (let round = 0; round < 10; round++) {
    const keys = pair()
    const both = await Promise.all([post('one', keys), post('two', keys)])
    assert.deepEqual(both.map(({ status }) => status).toSorted(), [201, 422])
    const where = { spkiSha256: spkiSha256Of(keys) }
    assert.equal(await ctx.db.read.certificate.count({ where }), 1)
  }
})

test('a tenant’s keyCompromise touches no other tenant’s certificate, unless it shows that it has the key', async () => {
  const keys = pair()
  const { one, two } = await shared(keys)
  const sibling = await post('one', keys)
  const tenant = send(await tokenFor(ctx, 'one', 'operator'))
  const url = `/v1/tenants/one/certificates/${one.body.id}/revoke`
  assert.equal((await tenant.post(url).send({ reason: 'keyCompromise' })).status, 200)
  const spkiSha256 = spkiSha256Of(keys)
  assert.equal(await ctx.db.read.blockedKey.count({ where: { spkiSha256 } }), 0)
  await revokeBlocked(ctx, spkiSha256)
  await sweepBlocked(ctx)
  assert.equal(await statusOf('two', two.body.id), 'active')
  assert.equal(await statusOf('one', sibling.body.id), 'revoked')
  // It wants the key no more, and does not get it again.
  assert.equal((await post('one', keys)).status, 422)
  const events = await ctx.db.read.auditEvent.findMany({ where: { subjectId: spkiSha256 } })
  assert.deepEqual(
    events.map(({ action, tenantId }) => [action, tenantId]),
    [['key.compromise-reported', null]],
  )
  for (const proof of [
    await csrOf(keys, 'a.one.test'),
    await proofOf(pair(), one.body.serial),
    await proofOf(keys, two.body.serial),
    'nonsense',
  ]) {
    const refused = await tenant.post(url).send({ reason: 'keyCompromise', proof })
    assert.equal(refused.status, 422, refused.text)
    assert.match(refused.body.type, /request-invalid$/)
  }
  const proof = await proofOf(keys, one.body.serial)
  const idle = await tenant.post(url).send({ reason: 'superseded', proof })
  assert.equal(idle.status, 422)
  const proven = await tenant.post(url).send({ reason: 'keyCompromise', proof })
  assert.equal(proven.status, 200, proven.text)
  await revokeBlocked(ctx, spkiSha256)
  assert.equal(await statusOf('two', two.body.id), 'revoked')
})

test('keys that were certified before keys had holders are the first tenant’s', async () => {
  const keys = pair()
  await shared(keys)
  const before = await ctx.db.read.certifiedKey.findMany({ orderBy: { spkiSha256: 'asc' } })
  const own = before.filter(({ spkiSha256 }) => spkiSha256 === spkiSha256Of(keys))
  const path = '../../../prisma/migrations/20261126011501_certified_keys/migration.sql'
  const migration = await readFile(new URL(path, import.meta.url), 'utf8')
  const [, ...filling] = migration.split(/^(?=INSERT INTO)/m)
  assert.equal(filling.length, 2)
  await ctx.db.statement('delete from certified_key', [])
  for (const statement of filling) await ctx.db.statement(statement, [])
  const after = await ctx.db.read.certifiedKey.findMany()
  assert.deepEqual(
    after.filter(({ spkiSha256 }) => spkiSha256 === spkiSha256Of(keys)),
    own,
  )
  assert.equal((await post('one', keys)).status, 201)
  assert.equal((await post('two', keys)).status, 422)
})

test('a certificate that was on its way when its key was blocked is swept up', async () => {
  const keys = pair()
  const made = await post('one', keys)
  const spkiSha256 = fingerprintSha256(spkiOf(keys.publicKey))
  await ctx.db.read.blockedKey.create({
    data: { spkiSha256, reason: 'meanwhile', since: new Date(), by: 'test' },
  })
  assert.equal(await sweepBlocked(ctx), 1)
  await revokeBlocked(ctx, spkiSha256)
  assert.equal(await sweepBlocked(ctx), 0)
  assert.equal(await statusOf('one', made.body.id), 'revoked')
})

test('a leaf never has an authority’s key, and an authority’s key is not blocked', async () => {
  const key = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
  const files = { 'k.pem': key }
  const request = ['req', '-new', '-key', 'k.pem', '-subj', '/CN=a.one.test']
  const certificate = openssl(['req', '-x509', '-days', '30', ...request.slice(2)], files)
  await importAuthority(ctx, admin, { name: 'imported', certificate, privateKey: key })
  const csr = openssl([...request, '-addext', 'subjectAltName=DNS:a.one.test'], files)
  const leaf = await http.post('/v1/tenants/one/certificates').send({ profile: 'server', csr })
  assert.equal(leaf.status, 422)
  assert.equal(leaf.body.violations[0].field, '/csr')
  const blocked = await http.post('/v1/blocked-keys').send({ pem: certificate, reason: 'x' })
  assert.equal(blocked.status, 422)
  assert.match(blocked.body.type, /key-refused$/)
})

test('a key that a tenant had certified becomes no authority’s', async () => {
  const key = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
  const files = { 'k.pem': key }
  const request = ['-new', '-key', 'k.pem', '-subj', '/CN=b.one.test']
  const csr = openssl(['req', ...request, '-addext', 'subjectAltName=DNS:b.one.test'], files)
  const leaf = await http.post('/v1/tenants/one/certificates').send({ profile: 'server', csr })
  assert.equal(leaf.status, 201, leaf.text)
  const certificate = openssl(['req', '-x509', '-days', '30', ...request], files)
  const asked = { name: 'leafkey', certificate, privateKey: key }
  await assert.rejects(importAuthority(ctx, admin, asked), isProblem('authority-refused'))
})

test('an authority with a blocked key is not imported', async () => {
  const certificate = openssl(
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'].concat([
      ...['-keyout', 'k.pem', '-days', '30', '-subj', '/CN=blocked'],
    ]),
  )
  const publicKey = createPublicKey(new X509Certificate(certificate).toString())
  const pem = publicKey.export({ type: 'spki', format: 'pem' })
  assert.equal((await http.post('/v1/blocked-keys').send({ pem, reason: 'x' })).status, 201)
  const work = importAuthority(ctx, admin, { name: 'blocked', certificate })
  assert.deepEqual(await fieldsOf('authority-refused', work), ['/certificate'])
})

test('only the platform’s admins block keys, and only what is a key', async () => {
  const asked = { spkiSha256: 'a'.repeat(64), reason: 'x' }
  const tenantAdmin = send(await tokenFor(ctx, 'one'))
  const viewer = send(await tokenFor(ctx, null, 'viewer'))
  assert.equal((await tenantAdmin.post('/v1/blocked-keys').send(asked)).status, 403)
  assert.equal((await tenantAdmin.get('/v1/blocked-keys')).status, 403)
  assert.equal((await viewer.post('/v1/blocked-keys').send(asked)).status, 403)
  assert.equal((await viewer.get('/v1/blocked-keys')).status, 200)
  for (const wrong of [
    { reason: 'neither' },
    { ...asked, pem: 'both' },
    { pem: 'nonsense', reason: 'x' },
    { pem: toPem('PUBLIC KEY', Buffer.from('3000', 'hex')), reason: 'x' },
    { spkiSha256: 'short', reason: 'x' },
    { spkiSha256: 'a'.repeat(64), reason: 'a\u0000b' },
  ]) {
    const answer = await http.post('/v1/blocked-keys').send(wrong)
    assert.equal(answer.status, 422, JSON.stringify(wrong))
  }
})

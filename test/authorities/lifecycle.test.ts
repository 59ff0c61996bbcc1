import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { removeAuthority } from '../../src/authorities/remove.ts'
import { certifyHost } from '../../src/certificates/hosts/certify.ts'
import { systemActor } from '../../src/core/actor.ts'
import { inTransaction } from '../../src/core/context.ts'
import { sql } from '../../src/core/database/db.ts'
import { jobKey } from '../../src/core/database/due.ts'
import { toBeSigned } from '../../src/x509/certificates/template.ts'
import { sequence, setOf, tlv } from '../../src/x509/der/encoding.ts'
import { oid, oids } from '../../src/x509/der/oids.ts'
import { toPem } from '../../src/x509/der/pem.ts'
import { keyIdentifier, spkiOf } from '../../src/x509/keys/public.ts'
import { assemble, keySigner } from '../../src/x509/keys/sign.ts'
import { noAltNames } from '../../src/x509/names/altnames.ts'
import { openTestApi } from '../support/api.ts'
import { deadKubeconfig } from '../support/kubeconfig.ts'

const { ctx, http } = await openTestApi()
const url = '/v1/authorities'
const make = (name: string, more: object = {}) =>
  http
    .post(url)
    .send({ name, kind: 'root', subject: { commonName: name }, ...more })
    .expect(201)
const below = (parent: string) => ({ kind: 'intermediate', parent })
const order = (authority: string) =>
  http
    .post('/v1/tenants/shop/certificates')
    .send({ profile: 'client', dnsNames: ['a.test'], authority })

await make('first')
await http
  .post('/v1/tenants')
  .send({ name: 'shop', domains: ['a.test'] })
  .expect(201)

test('an authority is renamed and limited, and what is left out stays', async () => {
  await make('second', { displayName: 'The second', maxValidityDays: 90 })
  const named = await http.patch(`${url}/second`).send({ displayName: 'Zweite' }).expect(200)
  assert.equal(named.body.displayName, 'Zweite')
  assert.equal(named.body.maxValidityDays, 90)
  const limits = { displayName: null, maxValidityDays: 10, profiles: ['client'] }
  const limited = await http.patch(`${url}/second`).send(limits).expect(200)
  assert.equal(limited.body.displayName, 'second')
  assert.deepEqual((await http.get(`${url}/second`).expect(200)).body, limited.body)
  const { body } = await order('second').expect(201)
  assert.ok(Date.parse(body.notAfter) - Date.parse(body.notBefore) < 10 * 86_400_000)
  const wrong = await http.patch(`${url}/second`).send({ defaultValidityDays: 11 }).expect(422)
  assert.equal(wrong.body.violations[0].field, '/defaultValidityDays')
  assert.equal((await http.get(`${url}/second`)).body.defaultValidityDays, null)
  const events = await http.get('/v1/audit-events?action=authority.changed').expect(200)
  assert.equal(events.body.items.length, 2)
})

test('a retired authority signs nothing new, goes on signing lists, and may sign again', async () => {
  await make('old')
  const { body: leaf } = await order('old').expect(201)
  const retired = await http.patch(`${url}/old`).send({ retired: true }).expect(200)
  assert.ok(retired.body.retiredAt)
  const refused = await order('old').expect(422)
  assert.match(refused.body.detail, /retired/)
  const child = { name: 'child', ...below('old'), subject: { commonName: 'child' } }
  await http.post(url).send(child).expect(422)
  await http.post(`${url}/old/rotate`).send({}).expect(422)
  const path = `/v1/tenants/shop/certificates/${leaf.id}/revoke`
  await http.post(path).send({ reason: 'superseded' }).expect(200)
  await http.patch(`${url}/old`).send({ retired: false }).expect(200)
  await order('old').expect(201)
})

test('what is still needed is not removed, and the answer says by what', async () => {
  await make('parent')
  await make('needed', below('parent'))
  await http.patch('/v1/tenants/shop').send({ defaultAuthority: 'needed' }).expect(200)
  await order('needed').expect(201)
  const parent = await http.delete(`${url}/parent`).expect(409)
  assert.match(parent.body.detail, /the authority needed/)
  const needed = await http.delete(`${url}/needed`).expect(409)
  assert.match(needed.body.detail, /the certificate a\.test/)
  assert.match(needed.body.detail, /the tenant shop/)
  await http.patch('/v1/tenants/shop').send({ defaultAuthority: null }).expect(200)
})

test('one that never signed is gone as if it had never been', async () => {
  const { body } = await make('never')
  await http.delete(`${url}/never`).expect(204)
  await http.get(`${url}/never`).expect(404)
  await http.delete(`${url}/never`).expect(404)
  const keys = await ctx.db.read.authorityKey.count({ where: { issuers: { none: {} } } })
  assert.equal(keys, 0)
  await http.post(`${url}/import`).send({ name: 'never', certificate: body.pem }).expect(201)
})

test('one of which everything has ended loses its keys; its certificates still tell its name', async () => {
  await make('ended', below('first'))
  const { body: leaf } = await order('ended').expect(201)
  await http.delete(`${url}/ended`).expect(409)
  await ctx.db.read.$executeRaw(sql`
    update certificate set "notBefore" = "notBefore" - interval '300 days',
      "notAfter" = "notAfter" - interval '300 days' where "id" = ${leaf.id}::uuid`)
  await http.delete(`${url}/ended`).expect(204)
  await http.get(`${url}/ended`).expect(404)
  const list = await http.get(url).expect(200)
  assert.ok(!list.body.items.some((item: { name: string }) => item.name === 'ended'))
  for (const file of ['ca.crt', 'crl', 'ca.pem', 'chains.pem']) {
    await http.get(`/pki/ended/${file}`).expect(404)
  }
  const shown = await http.get(`/v1/tenants/shop/certificates/${leaf.id}`).expect(200)
  assert.equal(shown.body.authority, 'ended')
  const query = `{ certificate(tenant: "shop", id: "${leaf.id}") { id authority { name } } }`
  const { body } = await http.post('/graphql').send({ query }).expect(200)
  assert.deepEqual(body, { data: { certificate: { id: leaf.id, authority: null } } })
  const secrets = await ctx.db.read.authoritySecret.count({
    where: { key: { issuers: { some: { authority: { name: 'ended' } } } } },
  })
  assert.equal(secrets, 0)
  await order('ended').expect(404)
  await http.patch('/v1/tenants/shop').send({ defaultAuthority: 'ended' }).expect(404)
  const to = { service: 'web', namespace: 'test', port: 80 }
  const spec = { certificate: { authority: 'ended' }, routes: [{ to }], clusters: ['none'] }
  const refused = await http.put('/v1/tenants/shop/hosts/www.shop.test').send(spec).expect(422)
  const fields = refused.body.violations.map(({ field }: { field: string }) => field)
  assert.ok(fields.includes('/certificate/authority'), fields.join())
  await http.delete(`${url}/first`).expect(204)
})

test('an authority of one tenant is audited under that tenant', async () => {
  await make('own', { tenant: 'shop' })
  const events = await http.get('/v1/audit-events?tenant=shop&action=authority.created').expect(200)
  assert.deepEqual(
    events.body.items.map((event: { subject: { name: string } }) => event.subject.name),
    ['own'],
  )
})

const kubeconfig = deadKubeconfig('a-token')
const ingress = { address: '127.0.0.1:1' }
await http.post('/v1/clusters').send({ name: 'one', kubeconfig, ingress }).expect(201)
await http
  .patch('/v1/tenants/shop')
  .send({ namespaces: ['web'] })
  .expect(200)
const host = (authority: string, more: object = {}) => ({
  routes: [{ to: { service: 'web', namespace: 'web', port: 80 } }],
  clusters: ['one'],
  certificate: { authority },
  ...more,
})

/** How many statements wait for a lock. */
async function waiting(): Promise<number> {
  const [row] = await ctx.db.read.$queryRaw<readonly { count: number }[]>(sql`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`)
  return row?.count ?? 0
}

const meanwhile: Readonly<Record<string, (name: string) => ReturnType<typeof order>>> = {
  'a certificate is ordered': (name) => order(name),
  'a host is put': (name) => http.put('/v1/tenants/shop/hosts/a.test').send(host(name)),
  'a host lets in its clients': (name) =>
    http
      .put('/v1/tenants/shop/hosts/a.test')
      .send(
        host('house', { tls: { mode: 'MUTUAL', clientAuthority: name, clients: 'authority' } }),
      ),
  'it becomes a default': (name) => http.patch('/v1/tenants/shop').send({ defaultAuthority: name }),
  'a child is made': (name) =>
    http.post(url).send({ name: `${name}-child`, ...below(name), subject: { commonName: 'c' } }),
  'it is rotated': (name) => http.post(`${url}/${name}/rotate`).send({}),
  'it signs another': (name) => http.post(`${url}/house/cross-sign`).send({ by: name }),
  'it is limited': (name) => http.patch(`${url}/${name}`).send({ maxValidityDays: 1 }),
  'it is removed': (name) => http.delete(`${url}/${name}`),
}
await make('house')

for (const [index, [what, ask]] of Object.entries(meanwhile).entries()) {
  for (const onRecord of [true, false]) {
    test(`${what} while an authority ${onRecord ? 'of ended certificates' : 'that never signed'} goes: refused, not stored`, async () => {
      const name = `going-${index}-${onRecord}`
      await make(name)
      if (onRecord) {
        const { body } = await order(name).expect(201)
        await ctx.db.read.$executeRaw(sql`
          update certificate set "notBefore" = "notBefore" - interval '300 days',
            "notAfter" = "notAfter" - interval '300 days' where "id" = ${body.id}::uuid`)
      }
      const counts = () =>
        Promise.all([
          ctx.db.read.certificate.count(),
          ctx.db.read.host.count(),
          ctx.db.read.issuer.count({ where: { authority: { name: { not: name } } } }),
        ])
      const before = await counts()
      const answer = await ctx.db.transaction(async (tx) => {
        await removeAuthority(inTransaction(ctx, tx), systemActor('test'), name)
        let answered = false
        const asked = ask(name).then((each) => {
          answered = true
          return each
        })
        while (!answered && (await waiting()) === 0) await setImmediate()
        return { asked }
      })
      const { status, body } = await answer.asked
      assert.ok(status === 404 || status === 422, `${status}: ${JSON.stringify(body)}`)
      assert.deepEqual(await counts(), before)
      assert.equal((await http.get('/v1/tenants/shop').expect(200)).body.defaultAuthority, null)
      await order('house').expect(201)
    })
  }
}

test('a removed authority is named by nothing new, has no lists to sign and is removed once', async () => {
  await make('past')
  const { body: leaf } = await order('past').expect(201)
  const revoke = `/v1/tenants/shop/certificates/${leaf.id}/revoke`
  await http.post(revoke).send({ reason: 'superseded' }).expect(200)
  await http.post(`${url}/past/rotate`).send({}).expect(202)
  await ctx.db.read.$executeRaw(sql`
    update certificate set "notBefore" = "notBefore" - interval '300 days',
      "notAfter" = "notAfter" - interval '300 days' where "id" = ${leaf.id}::uuid`)
  await http.delete(`${url}/past`).expect(204)
  await http.delete(`${url}/past`).expect(404)
  const patch = await http.patch('/v1/tenants/shop').send({ defaultAuthority: 'past' }).expect(404)
  assert.match(patch.body.type, /authority-unknown/)
  await http.put('/v1/tenants/shop/hosts/past.a.test').send(host('past')).expect(422)
  const of = { key: { issuers: { some: { authority: { name: 'past' } } } } }
  assert.equal(await ctx.db.read.revocationList.count({ where: of }), 0)
  const rotation = { authority: { name: 'past' }, step: { not: 'done' } }
  assert.equal(await ctx.db.read.rotation.count({ where: rotation }), 0)
})

test('a change says what is another now and what it was, and the same again is no change', async () => {
  await make('told', { maxValidityDays: 90 })
  const events = async () =>
    (await http.get('/v1/audit-events?action=authority.changed&limit=1').expect(200)).body.items[0]
  await http.patch(`${url}/told`).send({ maxValidityDays: 30, retired: true }).expect(200)
  const { changes, seq } = await events()
  assert.deepEqual(
    { ...changes, before: JSON.parse(changes.before) },
    { maxValidityDays: 30, retired: true, before: { maxValidityDays: 90, retired: false } },
  )
  await http.patch(`${url}/told`).send({ maxValidityDays: 30, retired: true }).expect(200)
  assert.equal((await events()).seq, seq)
})

test('a host says that its authority is retired, and has its certificate once it signs again', async () => {
  await make('tired')
  const path = '/v1/tenants/shop/hosts/tired.a.test'
  await http.put(path).send(host('tired')).expect(201)
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: 'tired.a.test' } })
  const looks = () =>
    ctx.db.read.$queryRaw<readonly { payload: unknown }[]>(sql`
      select payload from graphile_worker._private_jobs
      where key = ${jobKey('host.certify', { hostId: id })} and run_at <= now()`)
  await certifyHost(ctx, id)
  await ctx.db.read.$executeRaw(sql`delete from graphile_worker._private_jobs`)
  await http.patch(`${url}/tired`).send({ retired: true }).expect(200)
  assert.equal((await looks()).length, 1)
  await certifyHost(ctx, id)
  const [placement] = (await http.get(path).expect(200)).body.status.clusters
  assert.match(placement.message, /"tired" is retired/)
  await ctx.db.read.$executeRaw(sql`delete from graphile_worker._private_jobs`)
  await http.patch(`${url}/tired`).send({ retired: false }).expect(200)
  assert.equal((await looks()).length, 1)
})

test('an authority is not limited to what its certificate does not allow', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signer = keySigner(privateKey)
  const spki = spkiOf(privateKey)
  const name = sequence(setOf(sequence(oid('2.5.4.3'), tlv(0x0c, Buffer.from('servers')))))
  const tbs = toBeSigned({
    serial: '11'.repeat(16),
    subject: name,
    issuer: name,
    spki,
    validity: { notBefore: new Date('2020-01-01'), notAfter: new Date('2049-01-01') },
    altNames: noAltNames,
    profile: 'root',
    purposes: [oids.serverAuth],
    subjectKeyIdentifier: keyIdentifier(spki),
    signerAlgorithm: signer.algorithm,
  })
  const certificate = toPem('CERTIFICATE', assemble(tbs, signer.algorithm, await signer.sign(tbs)))
  const made = await http.post(`${url}/import`).send({ name: 'servers', certificate }).expect(201)
  assert.deepEqual(made.body.profiles, ['server'])
  const refused = await http
    .patch(`${url}/servers`)
    .send({ profiles: ['client'] })
    .expect(422)
  assert.equal(refused.body.violations[0].field, '/profiles')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTestApi, tokenFor } from '../support/api.ts'

const { ctx, http, send } = await openTestApi()
const root = { name: 'batch-root', kind: 'root', subject: { commonName: 'batch' } }
await http.post('/v1/authorities').send(root).expect(201)
await http
  .post('/v1/tenants')
  .send({ name: 'batch', domains: ['batch.test'], defaultAuthority: 'batch-root' })
  .expect(201)
const path = '/v1/tenants/batch/certificates:batch'

const named = (name: string) => ({ profile: 'server', dnsNames: [name] })

test('a batch answers for each item in order, and one refused does not keep back the others', async () => {
  const items = [named('a.batch.test'), named('a.other.test'), named('b.batch.test')]
  const { body } = await http.post(path).send({ items }).expect(200)
  assert.deepEqual(body.items[0].certificate.dnsNames, ['a.batch.test'])
  assert.equal(body.items[1].problem.type, 'https://gatesmith.dev/problems/certificate-refused')
  assert.equal(body.items[1].problem.violations[0].field, '/dnsNames/0')
  assert.deepEqual(body.items[2].certificate.dnsNames, ['b.batch.test'])
})

test('a batch that is sent again with its Idempotency-Key gives the same certificates', async () => {
  const items = Array.from({ length: 50 }, (_, index) => named(`n${index}.batch.test`))
  const post = () => http.post(path).set('idempotency-key', 'whole').send({ items }).expect(200)
  const first = await post()
  const before = await ctx.db.read.certificate.count()
  const again = await post()
  assert.deepEqual(again.body, first.body)
  assert.equal(await ctx.db.read.certificate.count(), before)
})

test('an item that names an authority that is not there, or a CSR that cannot be read, is refused alone', async () => {
  const items = [
    { ...named('a.batch.test'), authority: 'nowhere' },
    ...Array.from({ length: 150 }, (_, index) => named(`m${index}.batch.test`)),
    { ...named('b.batch.test'), csr: 'MAA=' },
    { ...named('c.batch.test'), authority: 'batch-root' },
  ]
  const { body } = await http.post(path).send({ items }).expect(200)
  const said = body.items.map((item: { problem?: { type: string } }) => item.problem?.type ?? '')
  assert.match(said[0], /authority-unknown$/)
  assert.match(said[151], /certificate-refused$/)
  const names = body.items.map(
    (item: { certificate?: { dnsNames: string[] } }) => item.certificate?.dnsNames[0],
  )
  assert.deepEqual(
    names.slice(1, 151),
    items.slice(1, 151).map(({ dnsNames: [name] }) => name),
  )
  assert.equal(names[152], 'c.batch.test')
})

test('what concerns the whole batch refuses the whole batch', async () => {
  const viewer = send(await tokenFor(ctx, 'batch', 'viewer'))
  await viewer
    .post(path)
    .send({ items: [named('a.batch.test')] })
    .expect(403)
  const unknown = '/v1/tenants/nobody/certificates:batch'
  await http
    .post(unknown)
    .send({ items: [named('a.batch.test')] })
    .expect(404)
  await http.post(path).send({ items: [] }).expect(422)
  const many = Array.from({ length: 1001 }, () => named('a.batch.test'))
  await http.post(path).send({ items: many }).expect(422)
})

test('many certificates are revoked in one request, each for itself', async () => {
  const revoke = '/v1/tenants/batch/certificates:revoke'
  const made = await http.post(path).send({ items: [named('r.batch.test'), named('s.batch.test')] })
  const [first, second] = made.body.items.map(
    (item: { certificate: { id: string } }) => item.certificate.id,
  )
  const items = [
    { id: first, reason: 'superseded' },
    { id: '019a0000-0000-7000-8000-000000000000' },
    { id: second, proof: 'x' },
    { id: second },
  ]
  const dry = await http.post(`${revoke}?dryRun=true`).send({ items }).expect(200)
  assert.equal(dry.body.items[0].certificate.status, 'revoked')
  assert.equal((await http.get(`/v1/tenants/batch/certificates/${first}`)).body.status, 'active')
  const { body } = await http.post(revoke).send({ items }).expect(200)
  const statuses = body.items.map(({ status }: { status: number }) => status)
  assert.deepEqual(statuses, [200, 404, 422, 200])
  assert.equal(body.items[0].certificate.revocationReason, 'superseded')
  assert.equal(body.items[2].problem.violations[0].field, '/proof')
  const other = send(await tokenFor(ctx, 'batch', 'viewer'))
  await other.post(revoke).send({ items }).expect(403)
})

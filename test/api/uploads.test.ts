import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import supertest from 'supertest'
import { createAuthority } from '../../src/authorities/create.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { leafFor, openElsewhere, sentOf } from '../certificates/uploads/elsewhere.ts'
import { openTestApi, tokenFor } from '../support/api.ts'
import { openCommandLine } from '../support/commandline.ts'
import { admin } from '../support/context.ts'
import { openFarCluster } from '../support/far.ts'
import { openFolder } from '../support/process.ts'

// Uploads as callers see them: by REST, GraphQL and the command line.

const { ctx, http, url } = await openTestApi()
const subject = { commonName: 'house' }
await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject })
for (const name of ['shop', 'rival']) {
  const own = { name, domains: [`${name}.test`], namespaces: ['test'], defaultAuthority: 'house' }
  await createTenant(ctx, admin, own)
}
await openFarCluster(ctx)
const { root, between } = await openElsewhere()
const at = '/v1/tenants/shop/certificates'
const host = {
  clusters: ['far'],
  routes: [{ to: { service: 'web', namespace: 'test', port: 80 } }],
}

async function sent(...names: readonly string[]) {
  return sentOf(await leafFor(between, names), between, root)
}

test('an upload is made once for an Idempotency-Key, and once more is answered as it is', async () => {
  const body = await sent('a.shop.test')
  const first = await http.post(`${at}:import`).set('idempotency-key', 'one').send(body).expect(201)
  assert.equal(first.headers.location, `${at}/${first.body.id}`)
  const again = await http.post(`${at}:import`).set('idempotency-key', 'one').send(body).expect(201)
  assert.deepEqual(again.body, first.body)
  const same = await http.post(`${at}:import`).send(body).expect(200)
  assert.equal(same.body.id, first.body.id)
  assert.ok(!JSON.stringify(first.body).includes('PRIVATE'))
  const other = await sent('b.shop.test')
  await http.post(`${at}:import`).set('idempotency-key', 'one').send(other).expect(422)
})

test('a dry run is answered and stores nothing', async () => {
  const body = await sent('dry.shop.test')
  const { id } = (await http.post(`${at}:import?dryRun=true`).send(body).expect(201)).body
  await http.get(`${at}/${id}`).expect(404)
  await http
    .delete(`${at}/${(await http.post(`${at}:import`).send(body).expect(201)).body.id}`)
    .expect(204)
})

test('viewers and others may not; nothing of what is another’s is told', async () => {
  const body = await sent('c.shop.test')
  const { id } = (await http.post(`${at}:import`).send(body).expect(201)).body
  const as = async (tenant: string, role: 'viewer' | 'operator') =>
    supertest.agent(url).set('authorization', `Bearer ${await tokenFor(ctx, tenant, role)}`)
  const viewer = await as('shop', 'viewer')
  await viewer.post(`${at}:import`).send(body).expect(403)
  await viewer.delete(`${at}/${id}`).expect(403)
  await viewer.get(`${at}/${id}`).expect(200)
  const rival = await as('rival', 'operator')
  await rival.post(`${at}:import`).send(body).expect(404)
  await rival.get(`/v1/tenants/rival/certificates/${id}`).expect(404)
  const stolen = { ...host, certificate: { uploaded: id } }
  const refused = await rival.put('/v1/tenants/rival/hosts/x.rival.test').send(stolen).expect(422)
  assert.match(refused.body.detail, /no uploaded certificate of this id/)
})

test('the daily quota of certificates counts uploads', async () => {
  const tenant = { name: 'small', domains: ['small.test'], quotas: { certificatesPerDay: 1 } }
  await createTenant(ctx, admin, tenant)
  const to = '/v1/tenants/small/certificates:import'
  await http
    .post(to)
    .send(await sent('a.small.test'))
    .expect(201)
  await http
    .post(to)
    .send(await sent('b.small.test'))
    .expect(429)
})

test('bodies that are no upload are refused with what is wrong', async () => {
  for (const body of [{}, { certificate: 'x' }, { pkcs12: 'AA' }, { certificate: 1 }]) {
    const { status } = await http.post(`${at}:import`).send(body)
    assert.ok(status === 422 || status === 400, String(status))
  }
  const long = { certificate: 'x'.repeat(70_000) }
  await http.post(`${at}:import`).send(long).expect(422)
})

test('GraphQL tells uploaded ones from issued ones', async () => {
  const { id } = (
    await http
      .post(`${at}:import`)
      .send(await sent('g.shop.test'))
      .expect(201)
  ).body
  const query = `{ certificates(tenant: "shop", origin: uploaded) { items { id origin authority { name }
    upload { issuer root publicRoot } } }
    foreignCertificates { items { id } }
    expiringCertificates(within: "P120D", tenant: "shop") { items { id } } }`
  const { data } = (await http.post('/graphql').send({ query }).expect(200)).body
  const found = data.certificates.items.find((one: { id: string }) => one.id === id)
  assert.deepEqual(found, {
    ...{ id, origin: 'uploaded', authority: null },
    upload: { issuer: 'CN=Elsewhere CA 1', root: 'CN=Elsewhere Root', publicRoot: false },
  })
  assert.ok(data.expiringCertificates.items.some((one: { id: string }) => one.id === id))
  assert.deepEqual(data.foreignCertificates.items, [])
})

test('renewing and revoking it are refused, in a word that programs know', async () => {
  const { id } = (
    await http
      .post(`${at}:import`)
      .send(await sent('r.shop.test'))
      .expect(201)
  ).body
  for (const deed of ['renew', 'revoke']) {
    const { body } = await http.post(`${at}/${id}/${deed}`).send({}).expect(409)
    assert.match(body.type, /certificate-uploaded$/)
    assert.match(body.detail, /successor/)
  }
})

test('the command line uploads, hosts follow in files, and what is not used is deleted', async () => {
  const folder = await openFolder()
  const gatesmith = openCommandLine(join(folder, 'config.json'))
  const token = await tokenFor(ctx, null)
  const run = async (args: readonly string[], input?: string) => {
    const { code, out, err } = await gatesmith(args, input === undefined ? {} : { input })
    assert.equal(code, 0, err)
    return { out, err }
  }
  await run(['login', url, '--token-file', '-', '-t', 'shop', '--name', 'here'], token)
  const first = await leafFor(between, ['cli.shop.test'])
  const [chain, key] = [join(folder, 'chain.pem'), join(folder, 'key.pem')]
  await writeFile(chain, first.pem + between.pem + root.pem)
  await writeFile(key, first.key)
  const files = ['--certificate', chain, '--key', key]
  const dry = await run(['upload', ...files, '--dry-run'])
  assert.match(dry.err, /Nothing was changed/)
  const made = JSON.parse((await run(['upload', ...files, '-o', 'json'])).out)
  const file = `
apiVersion: gatesmith.dev/v1
kind: Host
metadata: { name: cli.shop.test, tenant: shop }
spec:
  certificate: { uploaded: ${made.id} }
  clusters: [far]
  routes: [{ to: { service: web, namespace: test, port: 80 } }]
`
  await run(['apply', '-f', '-'], file)
  assert.match((await run(['diff', '-f', '-'], file)).out, /^$/)
  const exported = (await run(['export', '--kind', 'Host'])).out
  assert.match(exported, new RegExp(`uploaded: ${made.id}`))
  assert.doesNotMatch(exported, /keyAlgorithm|validityDays/)
  await run(['diff', '-f', '-'], exported)
  assert.match((await run(['get', 'hosts', '-o', 'wide'])).out, /\(uploaded\)/)
  assert.match((await run(['get', 'certificates', '-o', 'wide'])).out, /\(uploaded\)/)
  assert.match((await run(['describe', 'certificate', made.id])).out, /origin: uploaded/)
  const held = await gatesmith(['delete', 'certificate', made.id])
  assert.equal(held.code, 6, held.err)
  const second = await leafFor(between, ['cli.shop.test'])
  await writeFile(chain, second.pem + between.pem + root.pem)
  await writeFile(key, second.key)
  const next = JSON.parse(
    (await run(['upload', ...files, '--replaces', made.id, '-o', 'json'])).out,
  )
  assert.equal(next.replaces, made.id)
  const unused = (await http.post(`${at}:import`).send(await sent('unused.shop.test'))).body
  await run(['delete', `certificate/${unused.id}`])
  assert.match((await run(['inventory'])).err, /far: not read yet/)
})

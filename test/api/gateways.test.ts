import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import supertest from 'supertest'
import { buildServer } from '../../src/api/server.ts'
import { openStage, put, work } from '../delivery/support.ts'
import { tokenFor } from '../support/api.ts'

const { ctx } = await openStage()
await put(ctx, 'a.shop.test')
await work(ctx, 'a.shop.test')
const api = await buildServer(ctx)
after(() => api.close())
await api.ready()
const as = (token: string) => supertest.agent(api.server).set('authorization', `Bearer ${token}`)
const platform = as(await tokenFor(ctx, null))
const viewer = as(await tokenFor(ctx, null, 'viewer'))
const tenant = as(await tokenFor(ctx, 'shop'))
const listeners = '/v1/clusters/sandbox/listeners'
const mesh = '/v1/clusters/sandbox/mesh-tls'

test('the listener table is answered whole, narrowed and page by page', async () => {
  const { body } = await viewer.get(listeners).expect(200)
  assert.equal(body.items.length, 4)
  const { body: one } = await viewer.get(`${listeners}?port=8443&state=active`).expect(200)
  assert.deepEqual(
    one.items.map(({ match, host }: Record<string, unknown>) => [match, host]),
    [['SNI: a.shop.test', 'a.shop.test']],
  )
  const { body: page } = await viewer.get(`${listeners}?limit=1`).expect(200)
  await viewer.get(`${listeners}?limit=1&cursor=${page.nextCursor}`).expect(200)
  await viewer.get(`${listeners}?state=sleeping`).expect(422)
  await viewer.get(`${listeners}?cursor=x`).expect(422)
  await viewer.get('/v1/clusters/nowhere/listeners').expect(404)
})

test('GraphQL has the host of a chain, and asks few clusters at a time', async () => {
  const query = `{ clusters(first: 20) { items { listeners(host: "a.shop.test") {
    items { match destination state host { name tenant { name } } } } } } }`
  for (const hand of [platform, tenant]) {
    const { body } = await hand.post('/graphql').send({ query }).expect(200)
    const [found] = body.data.clusters.items
    assert.deepEqual(found.listeners.items[0].host, {
      name: 'a.shop.test',
      tenant: { name: 'shop' },
    })
  }
  const many = query.replace('first: 20', 'first: 500')
  await platform.post('/graphql').send({ query: many }).expect(413)
})

test('the mesh is for the platform to see, and for its admins to set', async () => {
  await tenant.get(mesh).expect(403)
  await tenant.put(mesh).send({}).expect(403)
  const { body } = await viewer.get(mesh).expect(200)
  assert.equal(body.revisions[0].meshMTLS.effective, 'TLSV1_2')
  const strict = { meshMTLS: { minProtocolVersion: 'TLSV1_3' } }
  await viewer.put(mesh).send(strict).expect(403)
  for (const minProtocolVersion of ['TLSV1_1', 'TLSV1_4', 3, '']) {
    await platform.put(mesh).send({ meshMTLS: { minProtocolVersion } }).expect(422)
  }
  await platform.put(mesh).send({ meshMTLS: {} }).expect(422)
  await platform.put(mesh).send({ minProtocolVersion: 'TLSV1_3' }).expect(422)
  const { body: trial } = await platform.put(`${mesh}?dryRun=true`).send(strict).expect(200)
  assert.deepEqual([trial.changed, trial.meshTls.meshMTLS.effective], [true, 'TLSV1_2'])
  const { body: done } = await platform.put(mesh).send(strict).expect(200)
  assert.equal(done.meshTls.meshMTLS.effective, 'TLSV1_3')
})

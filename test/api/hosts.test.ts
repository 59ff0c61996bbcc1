import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { buildServer } from '../../src/api/server.ts'
import { certifyHost } from '../../src/certificates/hosts/certify.ts'
import { openContext } from '../../src/core/context.ts'
import { sql } from '../../src/core/database/db.ts'
import { openTestApi, tokenFor } from '../support/api.ts'
import { deadKubeconfig } from '../support/kubeconfig.ts'

const { ctx, http, send } = await openTestApi()

const kubeconfig = deadKubeconfig('the-secret-token')
const cluster = { name: 'one', kubeconfig, ingress: { address: '127.0.0.1:1' } }
const subject = { commonName: 'house' }
await http.post('/v1/authorities').send({ name: 'house', kind: 'root', subject }).expect(201)
await http.post('/v1/clusters').send(cluster).expect(201)
for (const name of ['shop', 'rival']) {
  const own = { name, domains: ['fair.test'], namespaces: ['test'], defaultAuthority: 'house' }
  await http.post('/v1/tenants').send(own).expect(201)
}
const spec = {
  routes: [{ to: { service: 'web', namespace: 'test', port: 80 } }],
  clusters: ['one'],
}
const url = '/v1/tenants/shop/hosts/www.fair.test'

test('a cluster is registered, read, changed, checked and synced over REST, never its secrets', async () => {
  const read = await http.get('/v1/clusters/one').expect(200)
  assert.equal(read.body.server, 'https://127.0.0.1:1')
  await http.post('/v1/clusters').send(cluster).expect(409)
  const ingress = { address: '127.0.0.1:2' }
  const changed = await http.patch('/v1/clusters/one').send({ ingress }).expect(200)
  assert.equal(changed.body.ingress.address, '127.0.0.1:2')
  const checked = await http.post('/v1/clusters/one/check').expect(200)
  assert.equal(checked.body.status, 'Failed')
  const synced = await http.post('/v1/clusters/one/sync').expect(202)
  assert.deepEqual(synced.body, { placements: 0 })
  const list = await http.get('/v1/clusters').expect(200)
  assert.deepEqual(list.body.items, [checked.body])
  assert.ok(!JSON.stringify(list.body).includes('the-secret-token'))
  await http.get('/v1/clusters/none').expect(404)
  await http
    .post('/v1/clusters')
    .send({ ...cluster, name: 'spare' })
    .expect(201)
  await http.delete('/v1/clusters/spare').expect(204)
})

test('a bad kubeconfig, or one that would run a program, is one problem that says what to do', async () => {
  const program = kubeconfig.replace('"token":"the-secret-token"', '"exec":{"command":"sh"}')
  for (const bad of ['nonsense', program]) {
    const { body } = await http
      .post('/v1/clusters')
      .send({ ...cluster, name: 'bad', kubeconfig: bad })
      .expect(422)
    assert.equal(body.type, 'https://gatesmith.dev/problems/kubeconfig-refused')
    assert.equal(body.violations[0].field, '/kubeconfig')
    assert.ok(!JSON.stringify(body).includes('the-secret-token'))
  }
  await http.get('/v1/clusters/bad').expect(404)
})

test('a host is put, read, listed and removed over REST', async () => {
  const made = await http.put(url).send(spec).expect(201)
  assert.equal(made.body.http, 'redirect')
  const same = await http.put(url).send(spec).expect(200)
  assert.deepEqual(same.body, made.body)
  assert.deepEqual((await http.get(url).expect(200)).body, made.body)
  const list = await http.get('/v1/tenants/shop/hosts').expect(200)
  assert.deepEqual(list.body, { items: [made.body], nextCursor: null })
  const wildcard = '/v1/tenants/shop/hosts/*.deep.fair.test'
  await http.put(wildcard).send(spec).expect(201)
  assert.equal((await http.get(wildcard).expect(200)).body.name, '*.deep.fair.test')
  const going = await http.delete(wildcard).expect(202)
  assert.notEqual(going.body.removedAt, null)
  await http.get('/v1/tenants/shop/hosts/none.fair.test').expect(404)
})

test('what a host breaks is one problem with every violation', async () => {
  const route = { to: { service: 'web', namespace: 'test' } }
  const rows = [
    [{ ...spec, routes: [route] }, '/routes/0/to/port'],
    [{ ...spec, http2: true }, '/http2'],
    [{ ...spec, clusters: ['none'] }, '/clusters/0'],
    [{ ...spec, routes: [] }, '/routes'],
  ] as const
  for (const [body, field] of rows) {
    const answer = await http.put(url).send(body).expect(422)
    const fields = answer.body.violations.map((each: { field: string }) => each.field)
    assert.deepEqual(fields, [field])
  }
  const outside = await http.put('/v1/tenants/shop/hosts/www.other.test').send(spec).expect(422)
  assert.equal(outside.body.type, 'https://gatesmith.dev/problems/host-refused')
})

test('another tenant’s name is a conflict, and another tenant’s host is not there', async () => {
  await http.put(url).send(spec)
  const mine = '/v1/tenants/rival/hosts/www.fair.test'
  const { body } = await http.put(mine).send(spec).expect(409)
  assert.equal(body.type, 'https://gatesmith.dev/problems/host-conflict')
  assert.equal(body.conflicts[0].host, 'www.fair.test')
  const over = await http.put('/v1/tenants/rival/hosts/*.fair.test').send(spec).expect(409)
  assert.equal(over.body.conflicts[0].reason, 'covers')
  const rival = send(await tokenFor(ctx, 'rival'))
  await rival.get(url).expect(404)
  await rival.put(url).send(spec).expect(404)
  const viewer = send(await tokenFor(ctx, 'shop', 'viewer'))
  await viewer.get(url).expect(200)
  await viewer.put(url).send(spec).expect(403)
})

test('a plan and a probe of what cannot be reached say so', async () => {
  await http.put(url).send(spec)
  for (const body of [undefined, {}]) {
    const planned = await http.post(`${url}/plan`).send(body).expect(200)
    assert.match(planned.body.clusters[0].error, /ECONNREFUSED/)
    const probed = await http.post(`${url}/probe`).send(body).expect(200)
    const [result] = probed.body.results
    assert.equal(result.tls, null)
    assert.match(result.error, /ECONNREFUSED/)
  }
  const elsewhere = await http.post(`${url}/probe`).send({ cluster: 'none' }).expect(422)
  assert.equal(elsewhere.body.violations[0].field, '/cluster')
})

test('who waits for a host is told by the database, on every server', {
  timeout: 40_000,
}, async () => {
  await http.put(url).send(spec)
  const token = await tokenFor(ctx, 'shop', 'viewer')
  const other = openContext(ctx.config, ctx.log)
  const api = await buildServer(other)
  const ask = (query: string) =>
    api.inject({ url: `${url}?${query}`, headers: { authorization: `Bearer ${token}` } })
  const set = (status: string) =>
    ctx.db.read.placement.updateMany({ where: { name: 'www.fair.test' }, data: { status } })

  const asItIs = await ask('wait=Synced&timeout=1')
  assert.equal(asItIs.json().status.clusters[0].status, 'Pending')
  const synced = ask('wait=Synced&timeout=60')
  await listening()
  await set('Applied')
  assert.equal((await ask('wait=Applied')).statusCode, 200)
  await set('Synced')
  assert.equal((await synced).json().status.clusters[0].status, 'Synced')
  await set('Failed')
  assert.equal((await ask('wait=Settled')).json().status.clusters[0].status, 'Failed')
  const put = await http.put(`${url}?wait=Settled&timeout=60`).send(spec).expect(200)
  assert.equal(put.body.status.clusters[0].status, 'Failed')

  const removed = ask('wait=Removed&timeout=60')
  await http.delete(url).expect(202)
  await ctx.db.read.host.deleteMany({ where: { name: 'www.fair.test' } })
  assert.equal((await removed).statusCode, 404)

  await http.put(url).send(spec).expect(201)
  const left = ask('wait=Synced&timeout=60')
  await listening()
  await api.close()
  assert.equal((await left).json().status.clusters[0].status, 'Pending')
  await other.db.close()
})

/** Until somebody listens: only then is anything told. */
async function listening(): Promise<void> {
  for (;;) {
    const found = await ctx.db.read.$queryRaw<readonly unknown[]>(
      sql`select from pg_stat_activity where query like 'listen gatesmith_%' and datname = current_database()`,
    )
    if (found.length > 0) return
    await pause(20)
  }
}

test('what cannot be waited for is refused', async () => {
  await http.put(url).send(spec)
  for (const query of ['wait=Gone', 'wait=Synced&timeout=61', 'timeout=0', 'wait=synced']) {
    await http.get(`${url}?${query}`).expect(422)
  }
  await http.put(`${url}?wait=Removed`).send(spec).expect(422)
  await http.get('/v1/tenants/shop/hosts/none.fair.test?wait=Removed').expect(404)
})

test('what was read and has changed since is not overwritten, and two who patch at once both count', async () => {
  const at = '/v1/tenants/shop/hosts/tag.fair.test'
  const merge = (patch: object) =>
    http.patch(at).type('application/merge-patch+json').send(JSON.stringify(patch))
  await http.put(at).set('if-match', '*').send(spec).expect(412)
  const made = await http.put(at).set('if-none-match', '*').send(spec).expect(201)
  assert.equal(made.headers.location, at)
  await http.put(at).set('if-none-match', '*').send(spec).expect(412)
  const read = await http.get(at).expect(200)
  const tag = read.headers.etag ?? ''
  await http.get(at).set('if-none-match', `"x", W/${tag}`).expect(304)
  await http.get(at).set('if-match', '"x"').expect(412)
  // What becomes of it on its clusters is no change of what is asked for.
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: 'tag.fair.test' } })
  await ctx.db.read.placement.updateMany({ where: { hostId: id }, data: { message: 'seen' } })
  const next = await http.get(at).set('if-none-match', tag).expect(200)
  assert.notEqual(next.headers.etag, tag)
  const changed = await http
    .put(at)
    .set('if-match', tag)
    .send({ ...spec, http: 'off' })
    .expect(200)
  const late = await http.put(at).set('if-match', tag).send(spec).expect(412)
  assert.equal(late.body.type, 'https://gatesmith.dev/problems/precondition-failed')
  await http.delete(at).set('if-match', tag).expect(412)
  await http.put(at).set('if-match', `W/${changed.headers.etag}`).send(spec).expect(412)
  await http.put(at).set('if-match', 'tag').send(spec).expect(400)
  const all = Array.from({ length: 4 }, (_, n) => merge({ labels: { [`key-${n}`]: 'yes' } }))
  for (const { status } of await Promise.all(all)) assert.equal(status, 200)
  const { body } = await merge({ http: null, labels: { 'key-0': null } }).expect(200)
  assert.deepEqual(Object.keys(body.labels).sort(), ['key-1', 'key-2', 'key-3'])
  assert.equal(body.http, 'redirect')
  const wrong = await merge({ labels: { '-': 1 }, colour: 'red' }).expect(422)
  assert.equal(wrong.body.violations.length, 2)
  await merge({ routes: null }).expect(422)
  const viewer = send(await tokenFor(ctx, 'shop', 'viewer'))
  await viewer.patch(at).send({ http: 'off' }).expect(403)
  const rival = send(await tokenFor(ctx, 'rival'))
  await rival.patch(at).send({ http: 'off' }).expect(404)
  await http.put(at).type('application/merge-patch+json').send(JSON.stringify(spec)).expect(415)
})

test('tenants, clusters, authorities and certificates are changed only as they were read', async () => {
  for (const [at, patch] of [
    ['/v1/tenants/rival', { owner: 'web' }],
    ['/v1/clusters/one', { drift: 'report' }],
    ['/v1/authorities/house', { maxValidityDays: 400 }],
  ] as const) {
    const { headers } = await http.get(at).expect(200)
    const tag = headers.etag ?? ''
    await http.patch(at).set('if-match', tag).send(patch).expect(200)
    await http.patch(at).set('if-match', tag).send(patch).expect(412)
  }
  const ordered = { profile: 'server', dnsNames: ['tag.fair.test'], labels: { env: 'prod' } }
  const made = await http.post('/v1/tenants/shop/certificates').send(ordered).expect(201)
  const at = made.headers.location ?? ''
  const { headers } = await http.get(at).expect(200)
  const patch = { autoRenew: true, labels: { team: 'web' } }
  const tag = headers.etag ?? ''
  const { body } = await http.patch(at).set('if-match', tag).send(patch).expect(200)
  assert.deepEqual([body.autoRenew, body.labels], [true, { env: 'prod', team: 'web' }])
  await http.patch(at).set('if-match', tag).send(patch).expect(412)
  await http.patch(at).send({ status: 'revoked' }).expect(422)
  const event = await ctx.db.read.auditEvent.count({ where: { action: 'certificate.changed' } })
  assert.equal(event, 1)
  await http.post(`${at}/revoke`).send({ reason: 'superseded' }).expect(200)
  await http.patch(at).send({ autoRenew: false }).expect(200)
  await http.patch(at).send({ autoRenew: true }).expect(422)
  const policy = { policy: { maxValidityDays: 30, wildcards: false } }
  await http.patch('/v1/tenants/rival').send(policy).expect(200)
  const merged = await http
    .patch('/v1/tenants/rival')
    .type('application/merge-patch+json')
    .send(JSON.stringify({ policy: { wildcards: null }, contact: null, labels: { a: 'b' } }))
    .expect(200)
  assert.deepEqual(merged.body.policy, { maxValidityDays: 30 })
})

test('a write can be rehearsed: the same answer, and nothing of it stays', async () => {
  const at = '/v1/tenants/shop/hosts/dry.fair.test'
  const trail = () => ctx.db.read.auditEvent.count()
  const jobs = () => ctx.db.read.$queryRaw(sql`select count(*)::int from graphile_worker.jobs`)
  const before = [await trail(), await jobs()]
  const { body } = await http.put(`${at}?dryRun=true`).send(spec).expect(201)
  assert.equal(body.name, 'dry.fair.test')
  await http.get(at).expect(404)
  await http
    .put(`${at}?dryRun=true`)
    .send({ ...spec, clusters: ['none'] })
    .expect(422)
  const tenant = '/v1/tenants/rival?dryRun=true'
  assert.equal((await http.patch(tenant).send({ owner: 'dry' }).expect(200)).body.owner, 'dry')
  assert.notEqual((await http.get('/v1/tenants/rival').expect(200)).body.owner, 'dry')
  await http.patch('/v1/clusters/one?dryRun=true').send({ drift: 'repair' }).expect(200)
  await http.patch('/v1/authorities/house?dryRun=true').send({ retired: true }).expect(200)
  assert.deepEqual([await trail(), await jobs()], before)
})

test('the certificate of a host is at one URL, as JSON and as PEM', async () => {
  const at = '/v1/tenants/shop/hosts/own.fair.test'
  await http.put(at).send(spec).expect(201)
  const none = await http.get(`${at}/certificate`).expect(404)
  assert.equal(none.body.type, 'https://gatesmith.dev/problems/certificate-unknown')
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: 'own.fair.test' } })
  await certifyHost(ctx, id)
  const { body, headers } = await http.get(`${at}/certificate`).expect(200)
  assert.deepEqual(body.dnsNames, ['own.fair.test'])
  assert.ok(headers['last-modified'])
  const renewal = `/v1/tenants/shop/certificates/${body.id}/renew?dryRun=true`
  const rehearsed = await http.post(renewal).expect(201)
  assert.deepEqual([rehearsed.body.status, rehearsed.body.replaces], ['signing', body.id])
  assert.equal((await http.get(`${at}/certificate`)).body.id, body.id)
  await http
    .get(`${at}/certificate`)
    .set('if-none-match', headers.etag ?? '')
    .expect(304)
  const accept = 'application/pem-certificate-chain'
  const pem = await http
    .get(`${at}/certificate`)
    .set('accept', accept)
    .buffer(true)
    .parse((res, done) => {
      let text = ''
      res.on('data', (part) => {
        text += part
      })
      res.on('end', () => done(null, text))
    })
  assert.equal(pem.body, `${body.pem}${body.chainPem}`)
  const again = http.get(`${at}/certificate`).set('accept', accept)
  await again.set('if-none-match', pem.headers.etag ?? '').expect(304)
})

test('many hosts are put, patched and removed in one request, each for itself', async () => {
  const batch = '/v1/tenants/shop/hosts:batch'
  const name = (n: string) => `${n}.many.fair.test`
  const put = (n: string) => ({ action: 'put', name: name(n), spec })
  const items = [
    put('a'),
    { action: 'put', name: 'www.other.test', spec },
    put('b'),
    { action: 'patch', name: name('a'), patch: { labels: { env: 'prod' } } },
    { action: 'patch', name: name('a'), patch: { http: 'nonsense' } },
    { action: 'remove', name: name('none') },
    { ...put('b'), ifNoneMatch: '*' },
    { action: 'remove', name: name('b'), spec },
    { action: 'remove', name: name('b') },
  ]
  type Item = { status: number; host?: { labels: object }; problem?: { type: string } }
  const told = ({ items }: { items: readonly Item[] }) =>
    items.map(({ status, problem }) => [status, problem?.type.replace(/.*\//, '')])
  const dry = await http
    .post(`${batch}?dryRun=true`)
    .send({ items: items.slice(0, 3) })
    .expect(200)
  assert.deepEqual(told(dry.body), [
    [201, undefined],
    [422, 'host-refused'],
    [201, undefined],
  ])
  await http.get(`/v1/tenants/shop/hosts/${name('a')}`).expect(404)
  const post = () => http.post(batch).set('idempotency-key', 'many').send({ items }).expect(200)
  const { body } = await post()
  assert.deepEqual(told(body), [
    [201, undefined],
    [422, 'host-refused'],
    [201, undefined],
    [200, undefined],
    [422, 'request-invalid'],
    [404, 'host-unknown'],
    [412, 'precondition-failed'],
    [422, 'request-invalid'],
    [202, undefined],
  ])
  assert.deepEqual(body.items[3].host.labels, { env: 'prod' })
  const trail = await ctx.db.read.auditEvent.count()
  assert.deepEqual((await post()).body, body)
  assert.equal(await ctx.db.read.auditEvent.count(), trail)
  const viewer = send(await tokenFor(ctx, 'shop', 'viewer'))
  await viewer
    .post(batch)
    .send({ items: [put('c')] })
    .expect(403)
  const stranger = send(await tokenFor(ctx, 'rival'))
  await stranger
    .post(batch)
    .send({ items: [put('c')] })
    .expect(404)
  const many = Array.from({ length: 201 }, () => ({ action: 'remove', name: name('c') }))
  await http.post(batch).send({ items: many }).expect(422)
})

test('a host that is removed takes its certificates with it where it, or its tenant, asks for that', async () => {
  const at = (name: string) => `/v1/tenants/shop/hosts/${name}.going.fair.test`
  const certificateOf = async (name: string, onRemoval?: 'keep' | 'revoke') => {
    await http
      .put(at(name))
      .send({ ...spec, onRemoval })
      .expect(201)
    const where = { name: `${name}.going.fair.test` }
    const { id } = await ctx.db.read.host.findFirstOrThrow({ where })
    await certifyHost(ctx, id)
    return (await http.get(`${at(name)}/certificate`).expect(200)).body.id
  }
  const reasonOf = async (id: string) =>
    (await http.get(`/v1/tenants/shop/certificates/${id}`).expect(200)).body.revocationReason
  const [kept, own, policed, spared] = [
    await certificateOf('a'),
    await certificateOf('b', 'revoke'),
    await certificateOf('c'),
    await certificateOf('d', 'keep'),
  ]
  assert.deepEqual((await http.delete(at('a')).expect(202)).body.revoked, [])
  assert.equal(
    (
      await http
        .post(`${at('b')}/plan`)
        .send({})
        .expect(200)
    ).body.onRemoval,
    'revoke',
  )
  const dry = await http.delete(`${at('b')}?dryRun=true`).expect(202)
  assert.deepEqual([dry.body.revoked[0].id, await reasonOf(own)], [own, null])
  const gone = await http.delete(at('b')).expect(202)
  assert.deepEqual(gone.body.revoked, dry.body.revoked)
  // Once more changes nothing.
  assert.deepEqual((await http.delete(at('b')).expect(202)).body.revoked, [])
  await http
    .patch('/v1/tenants/shop')
    .send({ policy: { onHostRemoval: 'revoke' } })
    .expect(200)
  await http.delete(at('c')).expect(202)
  await http.delete(at('d')).expect(202)
  await http.patch('/v1/tenants/shop').send({ policy: {} }).expect(200)
  const reasons = []
  for (const id of [kept, own, policed, spared]) reasons.push(await reasonOf(id))
  assert.deepEqual(reasons, [null, 'cessationOfOperation', 'cessationOfOperation', null])
  const where = { action: 'certificate.revoked', subjectId: { in: [own, policed] } }
  assert.equal(await ctx.db.read.auditEvent.count({ where }), 2)
})

test('what a certificate replaced is told in order, and what was done to a host', async () => {
  const certificates = '/v1/tenants/shop/certificates'
  const asked = { profile: 'server', dnsNames: ['line.fair.test'] }
  const ids = [(await http.post(certificates).send(asked).expect(201)).body.id]
  for (let n = 0; n < 4; n++) {
    ids.push(
      (
        await http
          .post(`${certificates}/${ids.at(-1)}/renew`)
          .send({})
          .expect(201)
      ).body.id,
    )
  }
  type Listed = { items: readonly { id: string }[]; nextCursor: string | null }
  const walk = async (id: string, query: string) => {
    const found: string[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const after: string = cursor === '' ? '' : `&cursor=${cursor}`
      const url = `${certificates}/${id}/lineage?limit=2${query}${after}`
      const { body }: { body: Listed } = await http.get(url).expect(200)
      assert.ok(body.items.length <= 2)
      found.push(...body.items.map((item) => item.id))
      cursor = body.nextCursor
    }
    return found
  }
  assert.deepEqual(await walk(ids[4], ''), ids.toReversed())
  assert.deepEqual(await walk(ids[1], '&towards=newer'), ids.slice(1))
  assert.deepEqual(await walk(ids[0], '&towards=older'), ids.slice(0, 1))
  await http.get(`${certificates}/${ids[0]}/lineage?cursor=nonsense`).expect(422)
  const rival = send(await tokenFor(ctx, 'rival'))
  await rival.get(`${certificates}/${ids[0]}/lineage`).expect(404)
  const other = `/v1/tenants/rival/certificates/${ids[0]}/lineage`
  await rival.get(other).expect(404)
  const history = '/v1/tenants/shop/hosts/b.going.fair.test/history'
  const { body } = await http.get(history).expect(200)
  const actions = body.items.map(({ action }: { action: string }) => action)
  assert.deepEqual(actions, ['host.removed', 'host.created'])
  const capitals = await http.get(history.replace('b.going', 'B.Going')).expect(200)
  assert.deepEqual(capitals.body.items, body.items)
  await http.get('/v1/tenants/shop/hosts/never.fair.test/history').expect(404)
})

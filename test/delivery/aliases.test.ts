import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isKind, kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { shakeHands } from '../../src/delivery/proof/handshake.ts'
import { recordedRefs } from '../../src/hosts/objects.ts'
import { putHost } from '../../src/hosts/put.ts'
import { removeHost } from '../../src/hosts/remove.ts'
import { changeTenant, createTenant } from '../../src/tenants/write.ts'
import { admin } from '../support/context.ts'
import { isProblem } from '../support/problem.ts'
import { httpbin, openStage, placementOf, put, work } from './support.ts'

const { ctx, kube, address } = await openStage()

async function namesServed(name: string): Promise<string | undefined> {
  const { tls } = await shakeHands({ address, name })
  return tls?.leaf.subjectAltName
}

test('all names of a host are served with one certificate, and proved one by one', async () => {
  await put(ctx, 'www.shop.test', { aliases: ['shop.test', '*.m.shop.test'] })
  const { status } = await work(ctx, 'www.shop.test')
  assert.equal(status.clusters[0]?.status, 'Synced')
  const all = 'DNS:www.shop.test, DNS:shop.test, DNS:*.m.shop.test'
  for (const name of ['www.shop.test', 'shop.test', 'a.m.shop.test']) {
    assert.equal(await namesServed(name), all)
    assert.equal((await shakeHands({ address, name, path: '/status/418' })).status, 418)
  }
  // One of them that others have is not Synced.
  const { row } = await placementOf(ctx, 'www.shop.test')
  const ref = recordedRefs(row.objects).find((each) => isKind(each, kinds.istioGateway))
  assert.ok(ref)
  const gateway = await kube.get(ref)
  assert.ok(gateway)
  const [server] = Object.values(gateway.spec?.servers ?? {})
  await kube.remove(ref)
  await kube.apply({
    ...kinds.istioGateway,
    metadata: { name: 'squatter', namespace: 'istio-system' },
    spec: { ...gateway.spec, servers: [{ ...server, hosts: ['shop.test'] }] },
  })
  const taken = await work(ctx, 'www.shop.test')
  assert.equal(taken.status.clusters[0]?.status, 'Conflict')
  assert.match(taken.status.clusters[0]?.message ?? '', /squatter already serves shop\.test/)
  await kube.remove({ ...kinds.istioGateway, namespace: 'istio-system', name: 'squatter' })
  assert.equal((await work(ctx, 'www.shop.test')).status.clusters[0]?.status, 'Synced')
})

test('a name more or less is another certificate, and what is given up others may have', async () => {
  await createTenant(ctx, admin, {
    name: 'rival',
    domains: ['both.test'],
    namespaces: ['test'],
    defaultAuthority: 'house',
  })
  const domains = ['shop.test', 'both.test']
  await changeTenant(ctx, admin, { name: 'shop', patch: { domains } })
  const routes = [{ to: httpbin }]
  const rival = () =>
    putHost(ctx, admin, {
      tenant: 'rival',
      name: 'shared.both.test',
      spec: { routes, clusters: ['sandbox'] },
    })
  await put(ctx, 'one.shop.test')
  const before = await work(ctx, 'one.shop.test')
  await put(ctx, 'one.shop.test', { aliases: ['shared.both.test'] })
  const more = await work(ctx, 'one.shop.test')
  assert.notEqual(more.status.certificate?.serial, before.status.certificate?.serial)
  assert.equal(await namesServed('shared.both.test'), 'DNS:one.shop.test, DNS:shared.both.test')
  await assert.rejects(rival(), isProblem('host-conflict'))
  await put(ctx, 'one.shop.test')
  await assert.rejects(rival(), isProblem('host-conflict'))
  await work(ctx, 'one.shop.test')
  assert.equal(await namesServed('shared.both.test'), undefined)
  assert.equal(await namesServed('one.shop.test'), 'DNS:one.shop.test')
  await rival()
  // Who comes back for it is late.
  const again = put(ctx, 'one.shop.test', { aliases: ['shared.both.test'] })
  await assert.rejects(again, isProblem('host-conflict'))
})

test('a domain that is taken away is told of for an alias, too', async () => {
  await put(ctx, 'told.shop.test', { aliases: ['told.both.test'] })
  const { status } = await work(ctx, 'told.shop.test')
  const { affected } = await changeTenant(ctx, admin, {
    name: 'shop',
    patch: { domains: ['shop.test'] },
  })
  const named = affected?.hosts.filter(({ name }) => name === 'told.shop.test')
  assert.deepEqual(named, [{ tenant: 'shop', name: 'told.shop.test' }])
  const after = await work(ctx, 'told.shop.test')
  assert.equal(after.status.certificate?.serial, status.certificate?.serial)
  assert.match(after.status.clusters[0]?.warnings.join() ?? '', /told\.both\.test does not lie/)
})

test('a PASSTHROUGH host hands over the connections of all its names', async () => {
  const to = { service: 'nginx-service', namespace: 'test', port: 443 }
  await put(ctx, 'pass.shop.test', {
    tls: { mode: 'PASSTHROUGH' },
    aliases: ['pass2.shop.test'],
    routes: [{ to }],
  })
  const { status } = await work(ctx, 'pass.shop.test')
  assert.equal(status.clusters[0]?.status, 'Synced')
  for (const name of ['pass.shop.test', 'pass2.shop.test']) {
    assert.equal(await namesServed(name), 'DNS:pass.shop.test, DNS:pass2.shop.test')
  }
})

test('a host is gone when none of its names is served any more', async () => {
  await put(ctx, 'gone.shop.test', { aliases: ['gone-too.shop.test'] })
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: 'gone.shop.test' } })
  await work(ctx, 'gone.shop.test')
  await removeHost(ctx, admin, { tenant: 'shop', name: 'gone.shop.test' })
  const { row } = await placementOf(ctx, 'gone.shop.test')
  await work(ctx, 'gone.shop.test').catch(() => undefined)
  assert.equal(await ctx.db.read.host.count({ where: { id } }), 0)
  assert.equal(await ctx.db.read.placementName.count({ where: { placementId: row.id } }), 0)
  for (const name of ['gone.shop.test', 'gone-too.shop.test']) {
    assert.equal(await namesServed(name), undefined)
  }
})

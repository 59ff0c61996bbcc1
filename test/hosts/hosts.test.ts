import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
import { createCluster, removeCluster } from '../../src/clusters/register.ts'
import { sql } from '../../src/core/database/db.ts'
import {
  getHost,
  hostsByIds,
  listAllHosts,
  listHosts,
  placementsByHostIds,
} from '../../src/hosts/find.ts'
import type { HostSpec } from '../../src/hosts/host.ts'
import { putHost } from '../../src/hosts/put.ts'
import { removeHost } from '../../src/hosts/remove.ts'
import type { HostQuery } from '../../src/hosts/request/query.ts'
import { Problem } from '../../src/shared/problem.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { admin, openTestContext } from '../support/context.ts'
import { deadKubeconfig } from '../support/kubeconfig.ts'
import { isProblem } from '../support/problem.ts'

const ctx = await openTestContext()

const kubeconfig = deadKubeconfig()
for (const name of ['one', 'two']) {
  await createCluster(ctx, admin, { name, kubeconfig, ingress: { address: '127.0.0.1:1' } })
}
const subject = { commonName: 'house' }
await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject })
const base = { namespaces: ['test'], defaultAuthority: 'house' }
await createTenant(ctx, admin, { ...base, name: 'shop', domains: ['shop.test', 'fair.test'] })
await createTenant(ctx, admin, { ...base, name: 'rival', domains: ['rival.test', 'fair.test'] })
await createTenant(ctx, admin, { ...base, name: 'annex', domains: ['annex.shop.test'] })
await createAuthority(ctx, admin, {
  name: 'foreign',
  kind: 'root',
  subject,
  tenant: 'rival',
})

const spec: HostSpec = {
  routes: [{ to: { service: 'web', namespace: 'test', port: 80 } }],
  clusters: ['one'],
}

function put(name: string, change: Partial<HostSpec> = {}, tenant = 'shop') {
  return putHost(ctx, admin, { tenant, name, spec: { ...spec, ...change } })
}

const jobs = () =>
  ctx.db.read.$queryRaw<{ key: string; run_at: Date }[]>(
    sql`select key, run_at from graphile_worker.jobs order by key`,
  )

function violations(error: unknown): readonly string[] {
  assert.ok(error instanceof Problem)
  assert.equal(error.type, 'host-refused')
  const { violations } = error.extra
  assert.ok(Array.isArray(violations))
  return violations.map(({ field }) => field)
}

test('a host is put, read back complete, and changed; the same twice changes nothing', async () => {
  const first = await put('WWW.shop.test.')
  assert.equal(first.created, true)
  const { host } = first
  assert.equal(host.name, 'www.shop.test')
  assert.equal(host.generation, 1)
  assert.equal(host.http, 'redirect')
  assert.equal(host.status.certificate, null)
  assert.deepEqual(
    host.status.clusters.map(({ cluster, status }) => [cluster, status]),
    [['one', 'Pending']],
  )
  assert.deepEqual(await getHost(ctx, admin, { tenant: 'shop', name: 'www.shop.test' }), host)
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: 'www.shop.test' } })
  const due = await jobs()
  assert.ok(due.some(({ key }) => key === `host.certify/${id}`))
  const events = () => ctx.db.read.auditEvent.count({ where: { subjectId: id } })
  const before = { jobs: due, events: await events() }
  const second = await put('www.shop.test')
  assert.deepEqual(second, { host, created: false })
  assert.deepEqual({ jobs: await jobs(), events: await events() }, before)
  // What failed is tried again now: a right may have been given meanwhile.
  const where = { hostId: id }
  await ctx.db.read.placement.updateMany({ where, data: { status: 'Failed' } })
  await put('www.shop.test')
  const placement = await ctx.db.read.placement.findFirstOrThrow({ where })
  const again = `placement.push/${placement.id}/${placement.clusterId}`
  assert.ok((await jobs()).some(({ key }) => key === again))
  const third = await put('www.shop.test', { http: 'off' })
  assert.equal(third.created, false)
  assert.equal(third.host.generation, 2)
  assert.equal(await events(), 2)
})

test('what people say of a host is stored and told, and no cluster hears of it', async () => {
  const said = { labels: { env: 'prod', 'shop.test/tier': '1' }, owner: 'web', contact: '#web' }
  const { host } = await put('said.shop.test', said)
  assert.deepEqual([host.labels, host.owner, host.contact], [said.labels, 'web', '#web'])
  const due = await jobs()
  const again = await put('said.shop.test', { ...said, labels: { env: 'test' } })
  assert.deepEqual(again.host.labels, { env: 'test' })
  assert.equal(again.host.generation, 1)
  assert.deepEqual(await jobs(), due)
  const bare = await put('said.shop.test')
  assert.deepEqual([bare.host.labels, bare.host.owner, bare.host.contact], [{}, null, null])
  const events = await ctx.db.read.auditEvent.findMany({
    where: { subjectName: 'said.shop.test', action: 'host.changed' },
    orderBy: { seq: 'asc' },
  })
  assert.deepEqual(events[0]?.changes, {
    changed: {
      '/labels/env': { before: 'prod', after: 'test' },
      '/labels/shop.test~1tier': { before: '1', after: null },
    },
  })
  assert.equal(events.length, 2)
})

test('a cluster that is no longer named is to be left, and comes back when it is named again', async () => {
  await put('move.shop.test', { clusters: ['one', 'two'] })
  const moved = await put('move.shop.test', { clusters: ['two'] })
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: 'move.shop.test' } })
  const wanted = async () =>
    (
      await ctx.db.read.placement.findMany({
        where: { hostId: id },
        orderBy: { cluster: { name: 'asc' } },
      })
    ).map((row) => row.wanted)
  assert.deepEqual(await wanted(), [false, true])
  assert.equal(moved.host.status.clusters.length, 2)
  const placement = await ctx.db.read.placement.findFirstOrThrow({
    where: { hostId: id, wanted: false },
  })
  const keys = (await jobs()).map(({ key }) => key)
  assert.ok(keys.includes(`placement.push/${placement.id}/${placement.clusterId}`))
  await put('move.shop.test', { clusters: ['two', 'one'] })
  assert.deepEqual(await wanted(), [true, true])
})

test('every rule that a host breaks is named at once, and nothing is stored', async () => {
  await assert.rejects(
    put('www.elsewhere.test', {
      clusters: ['one', 'three'],
      certificate: { authority: 'foreign' },
      tls: { clientAuthority: 'nobody' },
      routes: [{ to: { service: 'web', namespace: 'kube-system', port: 80 } }],
    }),
    (error: unknown) => {
      assert.deepEqual(violations(error), [
        '/name',
        '/tls/clientAuthority',
        '/routes/0/to/namespace',
        '/clusters/1',
        '/certificate/authority',
        '/tls/clientAuthority',
      ])
      return true
    },
  )
  const names = [
    'localhost',
    'shop.test.evil.test',
    '10.0.0.1',
    'a.annex.shop.test',
    '*.shop.test',
    '*.annex.shop.test',
  ]
  for (const name of names) await assert.rejects(put(name), isProblem('host-refused'), name)
  assert.equal(await ctx.db.read.host.count({ where: { name: { contains: 'elsewhere' } } }), 0)
})

test('a name that another tenant has, or a wildcard over it, is a conflict', async () => {
  await put('a.fair.test')
  const rows = [
    ['a.fair.test', 'same-name'],
    ['*.fair.test', 'covers'],
  ] as const
  for (const [name, reason] of rows) {
    await assert.rejects(put(name, {}, 'rival'), (error: unknown) => {
      assert.ok(error instanceof Problem && error.type === 'host-conflict')
      const [conflict] = Array.isArray(error.extra.conflicts) ? error.extra.conflicts : []
      assert.equal(conflict.reason, reason)
      assert.equal(conflict.host, 'a.fair.test')
      assert.ok(!JSON.stringify([error.message, error.extra]).includes('shop'))
      return true
    })
  }
  await put('a.fair.test', { clusters: ['two'] }, 'rival')
  await put('*.wide.fair.test')
  await put('b.wide.fair.test')
  await assert.rejects(put('c.d.wide.fair.test', {}, 'rival'), isProblem('host-conflict'))
})

test('an alias is a name of the host in every rule about names', async () => {
  const { host } = await put('www.alias.fair.test', {
    aliases: ['Alias.zone.fair.test.', 'b.shop.test'],
  })
  assert.deepEqual(host.aliases, ['alias.zone.fair.test', 'b.shop.test'])
  const conflict = (asked: Promise<unknown>, reason: string, named: string) =>
    assert.rejects(asked, (error: unknown) => {
      assert.ok(error instanceof Problem && error.type === 'host-conflict', String(error))
      const [first] = Array.isArray(error.extra.conflicts) ? error.extra.conflicts : []
      assert.deepEqual([first.reason, first.host], [reason, named])
      assert.ok(!JSON.stringify([error.message, error.extra]).includes('"shop"'))
      return true
    })
  // As a name and as an alias, of others and of one's own.
  await conflict(put('alias.zone.fair.test', {}, 'rival'), 'same-name', 'alias.zone.fair.test')
  const other = { aliases: ['www.alias.fair.test'] }
  await conflict(put('c.fair.test', other, 'rival'), 'same-name', 'www.alias.fair.test')
  await conflict(put('*.zone.fair.test', {}, 'rival'), 'covers', 'alias.zone.fair.test')
  await conflict(put('b.shop.test'), 'same-name', 'b.shop.test')
  await conflict(put('d.shop.test', { aliases: ['b.shop.test'] }), 'same-name', 'b.shop.test')
  await put('b.shop.test', { clusters: ['two'] })
  // No wildcard leads to it without its certificates.
  await put('*.gated.fair.test', { aliases: ['*.gated.shop.test'] })
  const mutual = { tls: { mode: 'MUTUAL' } } as const
  const asked = put('m.shop.test', { ...mutual, aliases: ['a.gated.shop.test'] })
  await conflict(asked, 'client-certificate', '*.gated.shop.test')
  // What is no longer asked for is held until it is seen to be gone.
  await put('www.alias.fair.test', { aliases: ['b.shop.test'] })
  await conflict(put('alias.zone.fair.test', {}, 'rival'), 'same-name', 'alias.zone.fair.test')
  const back = await put('www.alias.fair.test', {
    aliases: ['b.shop.test', 'alias.zone.fair.test'],
  })
  assert.deepEqual(back.host.aliases, ['b.shop.test', 'alias.zone.fair.test'])
})

test('every rule that an alias breaks is named, with the alias', async () => {
  const rows: readonly (readonly [string[], ...string[]])[] = [
    [
      ['A.shop.test', 'elsewhere.org', '10.0.0.1', 'short'],
      '/aliases/1',
      '/aliases/2',
      '/aliases/3',
    ],
    [['main.shop.test'], '/aliases/0'],
    [['Main.Shop.test.'], '/aliases/0'],
    [['x.shop.test', 'x.shop.test'], '/aliases/1'],
    [['*.shop.test'], '/aliases/0', '/aliases/0'],
    [['*.x.shop.test', 'a.b.x.shop.test'], '/aliases/1'],
    [['x.annex.shop.test'], '/aliases/0'],
    [['*.annex.shop.test'], '/aliases/0'],
  ]
  for (const [aliases, ...fields] of rows) {
    await assert.rejects(put('main.shop.test', { aliases }), (error: unknown) => {
      assert.deepEqual(violations(error).toSorted(), fields)
      return true
    })
  }
  await put('main.shop.test', { aliases: [] })
  assert.equal(
    (await getHost(ctx, admin, { tenant: 'shop', name: 'main.shop.test' })).aliases,
    undefined,
  )
})

test('the database itself gives a name of an ingress to one placement', async () => {
  await put('held.shop.test', { aliases: ['also-held.shop.test'] })
  await put('other.shop.test')
  const { id, clusterId } = await ctx.db.read.placement.findFirstOrThrow({
    where: { name: 'other.shop.test' },
  })
  for (const name of ['held.shop.test', 'also-held.shop.test']) {
    const data = { placementId: id, clusterId, ingress: 'default', name }
    await assert.rejects(ctx.db.transaction((tx) => tx.placementName.create({ data })))
  }
  await ctx.db.transaction((tx) => tx.placement.deleteMany({ where: { name: 'held.shop.test' } }))
  assert.equal(await ctx.db.read.placementName.count({ where: { name: 'also-held.shop.test' } }), 0)
})

test('of many who want one name at once, one gets it', async () => {
  const clusters = ['one', 'two']
  const asked = [...Array(6).keys()].map((n) =>
    put(
      'race.fair.test',
      n < 3 ? { clusters } : { clusters: clusters.toReversed() },
      n % 2 ? 'shop' : 'rival',
    ),
  )
  const settled = await Promise.allSettled(asked)
  const won = settled.filter(({ status }) => status === 'fulfilled')
  assert.equal(won.length, 3)
  for (const result of settled) {
    if (result.status === 'rejected') assert.ok(isProblem('host-conflict')(result.reason))
  }
  const owners = await ctx.db.read.host.count({ where: { name: 'race.fair.test' } })
  assert.equal(owners, 1)
})

test('a host is removed once, stays readable while it goes, and comes back when put', async () => {
  await put('gone.shop.test')
  const name = { tenant: 'shop', name: 'gone.shop.test' }
  const going = await removeHost(ctx, admin, name)
  assert.notEqual(going.removedAt, null)
  assert.deepEqual(await removeHost(ctx, admin, name), going)
  assert.deepEqual(await getHost(ctx, admin, name), going)
  await assert.rejects(removeCluster(ctx, admin, 'one'), isProblem('cluster-in-use'))
  const back = await put('gone.shop.test')
  assert.equal(back.created, true)
  assert.equal(back.host.removedAt, null)
  assert.equal(back.host.generation, 2)
  const events = await ctx.db.read.auditEvent.findMany({
    where: { subjectName: 'gone.shop.test' },
    orderBy: { seq: 'asc' },
  })
  assert.deepEqual(
    events.map(({ action }) => action),
    ['host.created', 'host.removed', 'host.created'],
  )
  await assert.rejects(
    removeHost(ctx, admin, { tenant: 'shop', name: 'never.shop.test' }),
    isProblem('host-unknown'),
  )
})

test('the trail tells of every field that a change changed, as it was and as it is', async () => {
  const name = 'told.shop.test'
  const rows: readonly (readonly [Partial<HostSpec>, Record<string, readonly unknown[]>])[] = [
    [
      { tls: { minVersion: 'TLSV1_3' }, http: 'off' },
      { '/tls/minVersion': ['TLSV1_2', 'TLSV1_3'], '/http': ['redirect', 'off'] },
    ],
    [
      { certificate: { validityDays: 30, keyAlgorithm: 'RSA_2048', organization: 'Shop' } },
      {
        '/tls/minVersion': ['TLSV1_3', 'TLSV1_2'],
        '/http': ['off', 'redirect'],
        '/certificate/validityDays': [90, 30],
        '/certificate/keyAlgorithm': ['ECDSA_P256', 'RSA_2048'],
        '/certificate/organization': [null, 'Shop'],
      },
    ],
    [
      { clusters: ['two'] },
      {
        '/certificate/validityDays': [30, 90],
        '/certificate/keyAlgorithm': ['RSA_2048', 'ECDSA_P256'],
        '/certificate/organization': ['Shop', null],
        '/clusters': [['one'], ['two']],
      },
    ],
  ]
  await put(name)
  for (const [change, expected] of rows) {
    await put(name, change)
    const [event] = await ctx.db.read.auditEvent.findMany({
      where: { subjectName: name, action: 'host.changed' },
      orderBy: { seq: 'desc' },
      take: 1,
    })
    const told = Object.entries(expected).map(([field, [before, after]]) => [
      field,
      { before, after },
    ])
    const { changes } = event ?? {}
    assert.ok(typeof changes === 'object' && changes !== null && 'changed' in changes)
    assert.deepEqual(changes.changed, Object.fromEntries(told))
  }
})

test('a tenant’s key sees its own hosts only, page by page and in batches', async () => {
  const own = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'shop' } })
  const actor = { ...admin, tenantId: own.id }
  const page = await listHosts(ctx, actor, { tenant: 'shop', limit: 2 })
  assert.equal(page.items.length, 2)
  const next = await listHosts(ctx, actor, { tenant: 'shop', cursor: page.nextCursor ?? '' })
  const names = [...page.items, ...next.items].map(({ name }) => name)
  assert.deepEqual(names, names.toSorted())
  await assert.rejects(listHosts(ctx, actor, { tenant: 'rival' }), isProblem('tenant-unknown'))
  const all = (await ctx.db.read.host.findMany()).map(({ id }) => id)
  const seen = await hostsByIds(ctx, actor, all)
  assert.ok(seen.length > 2 && seen.every(({ tenant }) => tenant === 'shop'))
  const hostIds = new Set(seen.map(({ id }) => id))
  const placements = await placementsByHostIds(ctx, actor, all)
  assert.ok(placements.length > 2 && placements.every(({ hostId }) => hostIds.has(hostId)))
  const viewer = { ...actor, role: 'viewer' as const }
  await assert.rejects(
    putHost(ctx, viewer, { tenant: 'shop', name: 'x.shop.test', spec }),
    isProblem('forbidden'),
  )
})

test('hosts are found by how they stand, where they are, by name and by label', async () => {
  const labels = { find: 'me' }
  await put('one.find.shop.test', { labels, aliases: ['alias.find.shop.test'] })
  await put('two.find.shop.test', { labels, clusters: ['two'] })
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name: 'two.find.shop.test' } })
  await ctx.db.read.placement.updateMany({ where: { hostId: id }, data: { status: 'Failed' } })
  const found = async (query: HostQuery) =>
    (await listHosts(ctx, admin, { tenant: 'shop', ...query })).items.map(({ name }) => name)
  const both = ['one.find.shop.test', 'two.find.shop.test']
  assert.deepEqual(await found({ label: 'find=me' }), both)
  assert.deepEqual(await found({ label: 'find', sort: '-createdAt' }), both.toReversed())
  assert.deepEqual(await found({ name: '*.FIND.shop.test' }), both)
  assert.deepEqual(await found({ name: 'alias.find.shop.test' }), [both[0]])
  assert.deepEqual(await found({ label: 'find', authority: 'house', cluster: 'two' }), [both[1]])
  assert.deepEqual(await found({ status: 'Failed', cluster: 'two' }), [both[1]])
  assert.deepEqual(await found({ label: 'find', status: 'Failed', cluster: 'one' }), [])
  const all = await listAllHosts(ctx, admin, { label: 'find', limit: 1, count: true })
  assert.deepEqual([all.items.length, all.total], [1, { value: 2, exact: true }])
  const own = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'rival' } })
  const rival = { ...admin, tenantId: own.id }
  await assert.rejects(listAllHosts(ctx, rival, {}), isProblem('forbidden'))
})

test('no wildcard leads to a MUTUAL host without its certificates, whichever is put first', async () => {
  const mutual = { tls: { mode: 'MUTUAL' } } as const
  const open = 'gate.shop.test'
  await put(`*.${open}`)
  await assert.rejects(put(`a.${open}`, mutual), (error: unknown) => {
    assert.ok(error instanceof Problem)
    const [first] = Array.isArray(error.extra.conflicts) ? error.extra.conflicts : []
    assert.deepEqual(
      [error.type, first.reason, first.host],
      ['host-conflict', 'client-certificate', `*.${open}`],
    )
    return true
  })
  // On an ingress of its own it may be, and the wildcard may not follow.
  await put(`a.${open}`, { ...mutual, clusters: ['two'] })
  const both = { clusters: ['one', 'two'] }
  await assert.rejects(put(`*.${open}`, both), isProblem('host-conflict'))
  // As a SIMPLE host it may stand beside, and then not become MUTUAL.
  const { host } = await put(`b.${open}`)
  assert.match(
    host.status.warnings.join(),
    /certificate of \*\.gate\.shop\.test covers b\.gate\.shop\.test/,
  )
  await assert.rejects(put(`b.${open}`, mutual), isProblem('host-conflict'))
  // What is asked of all alike may stand side by side; and may not change alone.
  await put(`*.${open}`, { ...mutual, ...both })
  await put(`c.${open}`, mutual)
  await assert.rejects(put(`*.${open}`), isProblem('host-conflict'))
  const wide = { tls: { mode: 'MUTUAL', clients: 'authority' } } as const
  await assert.rejects(put(`*.${open}`, wide), isProblem('host-conflict'))
})

test('what an earlier release let stand side by side is warned of, on both', async () => {
  const mutual = { tls: { mode: 'MUTUAL' } } as const
  const names = ['*.old.shop.test', 'a.old.shop.test']
  for (const name of names) await put(name, mutual)
  const told = async () =>
    (await listHosts(ctx, admin, { tenant: 'shop', limit: 200 })).items
      .filter(({ name }) => names.includes(name))
      .map(({ status }) => status.warnings.join())
  for (const warnings of await told()) assert.doesNotMatch(warnings, /without the certificate/)
  await ctx.db.statement(
    `update host set spec = jsonb_set(spec, '{tls}', '{"mode":"SIMPLE"}') where name = $1`,
    ['*.old.shop.test'],
  )
  for (const warnings of await told()) {
    assert.match(warnings, /can ask for a\.old\.shop\.test without the certificate/)
  }
})

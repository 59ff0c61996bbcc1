import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Actor } from '../../src/core/actor.ts'
import { Problem } from '../../src/shared/problem.ts'
import { authenticate } from '../../src/tenants/apikeys/authenticate.ts'
import { createApiKey, listApiKeys, revokeApiKey } from '../../src/tenants/apikeys/lifecycle.ts'
import { getTenant, listTenants } from '../../src/tenants/find.ts'
import { changeTenant, createTenant, removeTenant } from '../../src/tenants/write.ts'
import { admin, openTestContext } from '../support/context.ts'
import { isProblem } from '../support/problem.ts'

const ctx = await openTestContext()

test('a tenant is created, read, changed and removed, and each is audited', async () => {
  const made = await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'] })
  assert.equal(made.displayName, 'shop')
  assert.deepEqual(await getTenant(ctx, admin, 'shop'), made)
  await assert.rejects(
    createTenant(ctx, admin, { name: 'shop', domains: [] }),
    isProblem('tenant-exists'),
  )
  const patch = { namespaces: ['test'], policy: { maxValidityDays: 30 } }
  const changed = await changeTenant(ctx, admin, { name: 'shop', patch })
  assert.deepEqual(changed.namespaces, ['test'])
  assert.deepEqual(changed.domains, ['shop.test'])
  await removeTenant(ctx, admin, 'shop')
  await assert.rejects(getTenant(ctx, admin, 'shop'), isProblem('tenant-unknown'))
  const events = await ctx.db.read.auditEvent.findMany({ orderBy: { seq: 'asc' } })
  assert.deepEqual(
    events.map(({ action }) => action),
    ['tenant.created', 'tenant.changed', 'tenant.removed'],
  )
})

test('a bad domain is refused with the field that holds it', async () => {
  await assert.rejects(
    createTenant(ctx, admin, { name: 'bad', domains: ['ok.test', '*.x.test', 'com'] }),
    (error: unknown) => {
      assert.ok(error instanceof Problem)
      assert.equal(error.type, 'request-invalid')
      const { violations } = error.extra
      assert.ok(Array.isArray(violations))
      assert.deepEqual(
        violations.map(({ field }) => field),
        ['/domains/1', '/domains/2'],
      )
      return true
    },
  )
})

test('a token opens what its key allows, until it is revoked or expires', async () => {
  await createTenant(ctx, admin, { name: 'one', domains: ['one.test'] })
  await createTenant(ctx, admin, { name: 'two', domains: ['two.test'] })
  const key = await createApiKey(ctx, admin, {
    tenant: 'one',
    request: { name: 'ci', role: 'viewer' },
  })
  const bearer = () => authenticate(ctx, { token: key.token, requestId: 'r', address: '192.0.2.1' })
  const actor: Actor = await bearer()
  assert.equal((await getTenant(ctx, actor, 'one')).name, 'one')
  await assert.rejects(getTenant(ctx, actor, 'two'), isProblem('tenant-unknown'))
  assert.deepEqual(
    (await listTenants(ctx, actor, {})).items.map(({ name }) => name),
    ['one'],
  )
  await assert.rejects(createTenant(ctx, actor, { name: 'x', domains: [] }), isProblem('forbidden'))
  const listed = await listApiKeys(ctx, admin, { tenant: 'one' })
  assert.deepEqual(
    listed.items.map(({ id }) => id),
    [key.id],
  )
  assert.ok(!JSON.stringify(listed).includes(key.token))
  await revokeApiKey(ctx, admin, { tenant: 'one', id: key.id })
  await assert.rejects(bearer(), isProblem('credentials-refused'))
  await assert.rejects(
    revokeApiKey(ctx, admin, { tenant: 'one', id: key.id }),
    isProblem('api-key-unknown'),
  )
})

test('a page ends with a cursor that leads to the next one', async () => {
  const names = ['page-a', 'page-b', 'page-c']
  for (const name of names) await createTenant(ctx, admin, { name, domains: [] })
  const seen: string[] = []
  let cursor: string | null | undefined
  do {
    const page = await listTenants(ctx, admin, { limit: 2, ...(cursor ? { cursor } : {}) })
    seen.push(...page.items.map(({ name }) => name))
    cursor = page.nextCursor
  } while (cursor)
  assert.deepEqual(
    seen.filter((name) => name.startsWith('page-')),
    names,
  )
  await assert.rejects(listTenants(ctx, admin, { cursor: 'nonsense' }), isProblem('cursor-refused'))
})

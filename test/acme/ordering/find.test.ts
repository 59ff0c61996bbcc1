import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { listCaOrders } from '../../../src/acme/ordering/find.ts'
import { createAuthority } from '../../../src/authorities/create.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { isProblem } from '../../support/problem.ts'

// What was ordered of a CA elsewhere, as whoever asks may see it.

const ctx = await openTestContext()
await createTenant(ctx, admin, { name: 'rival', domains: ['rival.test'] })
await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'] })
const common = { kind: 'acme' as const, directory: 'https://ca.test/directory' }
for (const [name, tenant] of [
  ['public', null],
  ['of-rival', 'rival'],
] as const) {
  await createAuthority(ctx, admin, {
    ...{ ...common, name, tenant, challenge: { type: 'http-01' }, termsOfServiceAgreed: true },
  })
}
const tenants = new Map((await ctx.db.read.tenant.findMany()).map(({ name, id }) => [name, id]))
const ofTenant = (name: string) => ({ ...admin, tenantId: tenants.get(name) ?? '' })
const { id: authorityId } = await ctx.db.read.authority.findUniqueOrThrow({
  where: { name: 'public' },
})
for (const [name, state] of [
  ['shop', 'failed'],
  ['rival', 'new'],
] as const) {
  const createdAt = ctx.now()
  await ctx.db.read.caOrder.create({
    data: {
      ...{ id: randomUUID(), tenantId: tenants.get(name) ?? '', hostId: randomUUID(), authorityId },
      ...{
        names: [`www.${name}.test`],
        keyAlgorithm: 'ECDSA_P256',
        csr: Buffer.from('csr'),
        state,
      },
      ...{ createdAt, endedAt: state === 'failed' ? createdAt : null },
      ...{ message: 'the CA is away', problem: 'unreachable', failures: 2 },
    },
  })
}

const authority = 'public'
const namesSeenBy = async (actor: typeof admin, query: object = {}) =>
  (await listCaOrders(ctx, actor, { authority, ...query })).items.flatMap(({ names }) => names)

test('the platform sees all orders, a tenant its own and no others', async () => {
  assert.deepEqual(await namesSeenBy(admin), ['www.shop.test', 'www.rival.test'])
  assert.deepEqual(await namesSeenBy(ofTenant('shop')), ['www.shop.test'])
  assert.deepEqual(await namesSeenBy(admin, { open: true }), ['www.rival.test'])
})

test('an order says why nothing came of it, and what host it was for while that is there', async () => {
  const { items } = await listCaOrders(ctx, ofTenant('rival'), { authority })
  const [order] = items
  assert.equal(order?.message, 'the CA is away')
  assert.deepEqual([order?.problem, order?.failures, order?.host], ['unreachable', 2, null])
})

test('of an authority that is another tenant’s nothing is told', async () => {
  await assert.rejects(
    listCaOrders(ctx, ofTenant('shop'), { authority: 'of-rival' }),
    isProblem('authority-unknown'),
  )
})

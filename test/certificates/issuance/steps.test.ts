import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import type { NewCertificate } from '../../../src/certificates/certificate.ts'
import { prepareIssuance } from '../../../src/certificates/issuance/prepare.ts'
import { findReserved, reserve } from '../../../src/certificates/issuance/reserve.ts'
import { signAndRecord } from '../../../src/certificates/issuance/sign.ts'
import { checkNewCertificate } from '../../../src/certificates/vetting/check.ts'
import { must } from '../../../src/shared/must.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'

const ctx = await openTestContext()
await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject: { commonName: 'root' } })
await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'], defaultAuthority: 'root' })

async function prepared() {
  const request: NewCertificate = { profile: 'server', dnsNames: ['www.shop.test'] }
  const allowed = await checkNewCertificate(ctx, admin, { tenant: 'shop', request })
  const order = { ...allowed, cause: 'requested', autoRenew: false } as const
  return prepareIssuance(ctx, admin, order)
}

test('what was prepared is reserved once, and no copy of it is', async () => {
  const first = await prepared()
  await assert.rejects(reserve(ctx, { ...first }), /as it was prepared/)
  assert.ok(await reserve(ctx, first))
  await assert.rejects(reserve(ctx, first), /once/)
})

test('what is on record is signed once, and no copy of it is', async () => {
  const reserved = must(await reserve(ctx, await prepared()), 'it was not reserved')
  await assert.rejects(
    signAndRecord(ctx, { ...reserved, tbs: Buffer.from('other') }),
    /as it was reserved/,
  )
  const signed = await signAndRecord(ctx, reserved)
  await assert.rejects(signAndRecord(ctx, reserved), /once/)
  assert.equal(signed.stored, true)
  assert.equal(await findReserved(ctx, signed.row.id), undefined)
})

test('of two signatures over one reservation the one that is stored is the certificate', async () => {
  const reserved = must(await reserve(ctx, await prepared()), 'it was not reserved')
  const again = must(await findReserved(ctx, reserved.row.id), 'it is not on record')
  const both = await Promise.all([signAndRecord(ctx, reserved), signAndRecord(ctx, again)])
  const [one, ...more] = both.filter(({ stored }) => stored)
  const { id } = reserved.row
  const { der } = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id } })
  assert.deepEqual(more, [])
  assert.ok(one?.der.equals(must(der, 'it has no signature')))
  assert.ok(!both[0].der.equals(both[1].der))
})

test('the steps cannot be written in another order', async () => {
  const first = await prepared()
  // @ts-expect-error only what is on record is signed
  await assert.rejects(signAndRecord(ctx, first))
  const { order, reservation, tbs } = first
  // @ts-expect-error only prepareIssuance makes what is reserved
  await assert.rejects(reserve(ctx, { order, reservation, tbs }))
})

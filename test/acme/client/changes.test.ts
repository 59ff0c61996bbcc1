import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advanceAccount } from '../../../src/acme/client/account.ts'
import { advanceOrder } from '../../../src/acme/ordering/advance.ts'
import { secretsOfCa } from '../../../src/authorities/acme/secrets.ts'
import type { AuthorityPatch } from '../../../src/authorities/authority.ts'
import { changeAuthority } from '../../../src/authorities/change.ts'
import { createAuthority } from '../../../src/authorities/create.ts'
import { removeAuthority } from '../../../src/authorities/remove.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { day } from '../../../src/shared/moment.ts'
import { admin } from '../../support/context.ts'
import { fieldsOf, isProblem } from '../../support/problem.ts'
import { makeCa, refusing } from '../../support/scriptedca.ts'
import { certificatesOf, openScripted, saidOn, work } from './scripted.ts'

const all = await openScripted()
const { ctx, clock, script, authorityId, orders } = all
const change = (patch: AuthorityPatch, name = 'public') =>
  changeAuthority(ctx, admin, { name, patch })
const webhook = { url: 'https://dns.test/', secret: `whsec_${Buffer.alloc(24).toString('base64')}` }
const hmacKey = 'c2VjcmV0LXNlY3JldC1zZWNyZXQ'

function account(id = authorityId) {
  return ctx.db.read.caAccount.findUniqueOrThrow({ where: { authorityId: id } })
}

function dueOf(key: string) {
  return ctx.db.statement('select from graphile_worker._private_jobs where key = $1', [key])
}

test('what a CA elsewhere decides, and what its account is bound to, cannot be changed', async () => {
  const rows = [
    [{ maxValidityDays: 30 }, '/maxValidityDays'],
    [{ profiles: ['client'] }, '/profiles'],
    [{ outlive: 'refuse' }, '/outlive'],
    [{ approval: 'two-people' }, '/approval'],
    [{ listOverflow: 'tell' }, '/listOverflow'],
    [{ trustedRoots: 'no PEM' }, '/trustedRoots'],
    [{ challenge: { type: 'dns-01' } }, '/challenge'],
    [{ externalAccountBinding: { keyId: 'k', hmacKey } }, '/externalAccountBinding'],
  ] as const
  for (const [patch, field] of rows) {
    assert.deepEqual(await fieldsOf('authority-refused', change(patch as AuthorityPatch)), [field])
  }
  await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject: { commonName: 'h' } })
  const binding = change({ externalAccountBinding: { keyId: 'k', hmacKey } }, 'house')
  assert.deepEqual(await fieldsOf('authority-refused', binding), ['/externalAccountBinding'])
})

test('a binding that the CA refused is replaced by another, and the account is opened', async () => {
  const wrong = { externalAccountBinding: { keyId: 'old', hmacKey } }
  const id = await all.account('bound', wrong)
  script.twist = ({ path, payload }) => {
    if (path !== '/newAccount') return undefined
    const { kid } = JSON.parse(
      Buffer.from(payload.externalAccountBinding.protected, 'base64url').toString(),
    )
    return kid === 'old' ? refusing('unauthorized', 'no such key id', 403) : undefined
  }
  await advanceAccount(ctx, id)
  assert.equal((await account(id)).state, 'failed')
  const next = 'bmV4dC1uZXh0LW5leHQtbmV4dA'
  await change({ externalAccountBinding: { keyId: 'new', hmacKey: next } }, 'bound')
  assert.equal((await dueOf(`ca.account/${id}`)).length, 1)
  await advanceAccount(ctx, id)
  script.twist = () => undefined
  assert.equal((await account(id)).state, 'valid')
  assert.equal((await secretsOfCa(ctx, ctx.db.read, id))?.hmacKey, next)
  const told = JSON.stringify(await ctx.db.statement('select * from audit_event', []))
  assert.ok(!told.includes(next) && told.includes('"new"'))
})

test('contacts are told to the CA, and a profile counts from the next order on', async () => {
  const asked: unknown[] = []
  script.done = ({ path, payload }) => {
    if (/^\/(account|newOrder)/.test(path) && payload) asked.push(payload)
  }
  await change({ contact: ['pki@shop.test'], profile: 'tlsserver' })
  assert.deepEqual((await account()).changes, ['contact'])
  await advanceAccount(ctx, authorityId)
  assert.deepEqual((await account()).changes, [])
  const { id, name } = await all.host()
  await work(ctx, id, { clock })
  script.done = () => undefined
  assert.deepEqual(asked, [
    { contact: ['mailto:pki@shop.test'] },
    { identifiers: [{ type: 'dns', value: name }], profile: 'tlsserver' },
  ])
  await change({ profile: null })
  assert.equal((await account()).profile, null)
})

test('roots that are trusted count at once, for a certificate that is ordered already', async () => {
  const { id } = await all.host()
  const { trustedRoots } = await account()
  await certifyHost(ctx, id)
  const order = await ctx.db.read.caOrder.findFirstOrThrow({ where: { hostId: id } })
  script.twist = ({ path }) => (path.startsWith('/finalize') ? { status: 503 } : undefined)
  await advanceOrder(ctx, order.id)
  script.twist = () => undefined

  await change({ trustedRoots: makeCa('another').pem })
  await advanceOrder(ctx, order.id)
  assert.match(await saidOn(ctx, id), /It cannot be reached/)
  await change({ trustedRoots })
  clock.at += 60_000
  await work(ctx, id, { clock })
  assert.equal((await certificatesOf(ctx, id)).length, 1)
})

test('an order that proves names in another way than is asked for by now begins anew', async () => {
  const { id } = await all.host()
  script.proofs = true
  await work(ctx, id, { clock, turns: 1 })
  const [before] = await ctx.db.read.caOrder.findMany({ where: { hostId: id } })
  assert.equal(before?.state, 'authorizing')
  await change({ challenge: { type: 'dns-01', webhook } })
  await advanceOrder(ctx, before?.id ?? '')
  await certifyHost(ctx, id)
  const states = await ctx.db.read.caOrder.findMany({
    where: { hostId: id },
    orderBy: { id: 'asc' },
  })
  assert.deepEqual(
    states.map(({ state }) => state),
    ['dropped', 'new'],
  )
  await change({ challenge: { type: 'http-01' } })
  const secrets = await secretsOfCa(ctx, ctx.db.read, authorityId)
  assert.equal(secrets?.webhookSecret, undefined)
  await work(ctx, id, { clock, turns: 10 })
  script.proofs = false
  assert.equal((await certificatesOf(ctx, id)).length, 1)
})

test('of a retired one nothing new is ordered, and hosts go on when it is not retired any more', async () => {
  const { id, name } = await all.host()
  await certifyHost(ctx, id)
  const [order] = await ctx.db.read.caOrder.findMany({ where: { hostId: id } })
  await change({ retired: true })
  assert.equal((await dueOf(`ca.order/${order?.id}`)).length, 1)
  await work(ctx, id, { clock })
  assert.match(await saidOn(ctx, id), /is retired and signs nothing new/)
  assert.equal(orders.filter((each) => each.names.includes(name)).length, 0)
  await ctx.db.statement('delete from graphile_worker._private_jobs', [])
  await change({ retired: false })
  assert.equal((await dueOf(`host.certify/${id}`)).length, 1)
  await work(ctx, id, { clock })
  assert.equal((await certificatesOf(ctx, id)).length, 1)
})

test('an authority that hosts need stays; one that never issued is gone with its name, one that did keeps it', async () => {
  await assert.rejects(removeAuthority(ctx, admin, 'public'), isProblem('authority-in-use'))
  const id = await all.account('brief')
  await advanceAccount(ctx, id)
  await removeAuthority(ctx, admin, 'brief')
  const next = await all.account('brief')
  assert.notEqual(next, id)
  const said: unknown[] = []
  script.done = ({ path, payload }) => void (path.startsWith('/account') && said.push(payload))
  await advanceAccount(ctx, id)
  script.done = () => undefined
  assert.deepEqual(said, [{ status: 'deactivated' }])
  assert.equal(await ctx.db.read.authority.findUnique({ where: { id } }), null)
  await ctx.db.read.tenant.updateMany({ data: { defaultAuthorityId: null } })
  await ctx.db.read.host.updateMany({ data: { spec: {}, certificateId: null } })
  clock.at += 365 * day
  await removeAuthority(ctx, admin, 'public')
  await advanceAccount(ctx, authorityId)
  assert.deepEqual(await ctx.db.read.caAccountSecret.findMany({ where: { authorityId } }), [])
  await assert.rejects(all.account('public'), isProblem('authority-exists'))
})

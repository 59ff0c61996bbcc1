import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { fieldsOf } from '../../support/problem.ts'

const { ctx, http, send } = await openTestApi()
await createAuthority(ctx, admin, {
  name: 'short',
  kind: 'root',
  subject: { commonName: 'Short' },
  maxValidityDays: 30,
  defaultValidityDays: 7,
  profiles: ['server'],
})
await createAuthority(ctx, admin, { name: 'long', kind: 'root', subject: { commonName: 'Long' } })
await createTenant(ctx, admin, {
  name: 'one',
  domains: ['one.test'],
  defaultAuthority: 'short',
  policy: { maxValidityDays: 20, keyAlgorithms: ['ECDSA_P256'], profiles: ['server', 'client'] },
})
await createTenant(ctx, admin, { name: 'two', domains: ['two.test'], defaultAuthority: 'long' })
await createAuthority(ctx, admin, {
  name: 'ones-own',
  kind: 'intermediate',
  parent: 'long',
  tenant: 'one',
  subject: { commonName: 'Of one alone' },
  maxValidityDays: 10,
})

type Answer = {
  readonly status: number
  readonly body: {
    readonly type?: string
    readonly notBefore: string
    readonly notAfter: string
    readonly violations?: readonly { readonly field: string }[]
  }
}

const issue = async (tenant: string, over: object): Promise<Answer> =>
  http
    .post(`/v1/tenants/${tenant}/certificates`)
    .send({ profile: 'server', dnsNames: [`a.${tenant}.test`], ...over })

/** Whole days, both ends included. */
const daysOf = ({ body }: Answer) =>
  (Date.parse(body.notAfter) - Date.parse(body.notBefore) + 1000) / 86_400_000

/** The tenant, what it asks besides a name, and the days or the fields that stand against it. */
const rows: readonly (readonly [string, object, number | readonly string[]])[] = [
  ['one', {}, 7],
  ['one', { validityDays: 20 }, 20],
  ['one', { validityDays: 21 }, ['/validityDays']],
  ['one', { validityDays: 31 }, ['/validityDays', '/validityDays']],
  ['one', { authority: 'ones-own' }, 10],
  ['one', { authority: 'long' }, 20],
  ['two', {}, 90],
  ['two', { authority: 'short' }, 7],
  ['two', { authority: 'short', validityDays: 31 }, ['/validityDays']],
  ['one', { profile: 'client' }, ['/profile']],
  ['one', { profile: 'peer' }, ['/profile', '/profile']],
  ['one', { profile: 'client', authority: 'long' }, 20],
  [
    'one',
    { profile: 'peer', keyAlgorithm: 'ED25519', validityDays: 31, dnsNames: ['a.two.test'] },
    ['/dnsNames/0', '/keyAlgorithm', '/profile', '/profile', '/validityDays', '/validityDays'],
  ],
]

for (const [tenant, over, expected] of rows)
  test(`${tenant} asking ${JSON.stringify(over)} gets ${JSON.stringify(expected)}`, async () => {
    const answer = await issue(tenant, over)
    if (typeof expected === 'number') assert.equal(daysOf(answer), expected)
    else {
      assert.equal(answer.status, 422)
      assert.deepEqual(answer.body.violations?.map(({ field }) => field).sort(), expected)
    }
  })

test('an authority of one tenant is not there for another, to issue, to read or to build on', async () => {
  const foreign = await issue('two', { authority: 'ones-own' })
  assert.equal(foreign.status, 404)
  assert.match(foreign.body.type ?? '', /authority-unknown$/)
  const two = send(await tokenFor(ctx, 'two'))
  assert.equal((await two.get('/v1/authorities/ones-own')).status, 404)
  const listed = (await two.get('/v1/authorities')).body.items
  assert.deepEqual(
    listed.map(({ name }: { name: string }) => name),
    ['long', 'short'],
  )
  const one = send(await tokenFor(ctx, 'one'))
  assert.equal((await one.get('/v1/authorities/ones-own')).body.tenant, 'one')
  const taken = await http.patch('/v1/tenants/two').send({ defaultAuthority: 'ones-own' })
  assert.equal(taken.status, 404)
  assert.equal(
    (await http.patch('/v1/tenants/one').send({ defaultAuthority: 'ones-own' })).status,
    200,
  )
})

test('an authority’s limits must not contradict each other', async () => {
  const work = createAuthority(ctx, admin, {
    name: 'contrary',
    kind: 'root',
    subject: { commonName: 'Contrary' },
    maxValidityDays: 10,
    defaultValidityDays: 11,
  })
  assert.deepEqual(await fieldsOf('authority-refused', work), ['/defaultValidityDays'])
})

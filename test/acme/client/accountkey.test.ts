import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advanceAccount } from '../../../src/acme/client/account.ts'
import {
  accountKey,
  accountThumbprint,
  secretsOfCa,
} from '../../../src/authorities/acme/secrets.ts'
import { changeAuthority } from '../../../src/authorities/change.ts'
import { tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'
import { until } from '../../support/process.ts'
import { mortal, untilDeath } from './scripted.ts'
import { accountWhen, hostWhen, isSynced, openElsewhere, putOn } from './support.ts'

const all = await openElsewhere()
const { ctx, ca, own } = all
const path = '/v1/authorities/public/account-key/rotate'

async function rowOf(name: string) {
  return ctx.db.read.caAccount.findFirstOrThrow({ where: { authority: { name } } })
}

/** What the CA knows the account by. */
async function knownAs(name: string): Promise<string> {
  const id = (await rowOf(name)).url?.split('/').at(-1) ?? ''
  return (await ca.ctx.db.read.acmeAccount.findUniqueOrThrow({ where: { id } })).thumbprint
}

test('the key of an account is changed by a platform admin, and orders go on by the next one', async () => {
  const before = await accountWhen(all, 'public', 'valid')
  await own.http.post('/v1/authorities/nobody/account-key/rotate').expect(404)
  const operator = own.send(await tokenFor(ctx, null, 'operator'))
  await operator.post(path).expect(403)
  await own
    .send(await tokenFor(ctx, 'shop'))
    .post(path)
    .expect(403)
  const rehearsed = await own.http.post(`${path}?dryRun=true`).expect(202)
  assert.deepEqual(rehearsed.body.acme.pending, ['key'])
  assert.deepEqual((await rowOf('public')).changes, [])
  const { body } = await own.http.post(path).expect(202)
  assert.deepEqual(body.acme.pending, ['key'])
  const after = await whenKeyed(before?.thumbprint ?? '')
  assert.equal(await knownAs('public'), after)
  await putOn(all, 'k.shop.test')
  await hostWhen(all, 'k.shop.test', isSynced)
  const events = await ctx.db.read.auditEvent.findMany({
    where: { action: { startsWith: 'authority.account-key' } },
    orderBy: { at: 'asc' },
  })
  assert.deepEqual(
    events.map(({ action, actorKind }) => [action, actorKind]),
    [
      ['authority.account-key-rotating', 'api-key'],
      ['authority.account-key-changed', 'system'],
    ],
  )
})

function whenKeyed(before: string): Promise<string> {
  return until('the key is changed', async () => {
    const { changes, thumbprint } = await rowOf('public')
    return changes.length === 0 && thumbprint !== before ? thumbprint : undefined
  })
}

test('a process that is killed anywhere while a key is changed does not lose the account', async () => {
  await all.workers.pop()?.stop()
  const { authorityId } = await rowOf('by-dns')
  await advanceAccount(ctx, authorityId)
  let deaths = 0
  let undone = 0
  for (let left = 0; ; left++) {
    const before = await knownAs('by-dns')
    await own.http.post('/v1/authorities/by-dns/account-key/rotate').expect(202)
    await own.http.post('/v1/authorities/by-dns/account-key/rotate').expect(202)
    const life = { dead: false, left }
    await untilDeath(() => advanceAccount(mortal(ctx, life), authorityId))
    const row = await rowOf('by-dns')
    // The CA has taken the next key, and nothing of that is on record.
    if (life.dead && (await knownAs('by-dns')) !== before)
      undone += row.thumbprint === before ? 1 : 0
    await advanceAccount(ctx, authorityId)
    const { thumbprint, changes, message } = await rowOf('by-dns')
    assert.deepEqual([changes, message], [[], null], `killed at ${left}`)
    assert.notEqual(thumbprint, before)
    assert.equal(await knownAs('by-dns'), thumbprint, `killed at ${left}`)
    const secrets = await secretsOfCa(ctx, ctx.db.read, authorityId)
    assert.equal(accountThumbprint(accountKey(secrets?.key ?? '')), thumbprint)
    assert.equal(secrets?.nextKey, undefined)
    if (!life.dead) break
    deaths++
  }
  assert.ok(deaths > 3 && undone > 0, `${deaths} ${undone}`)
  // The key signs.
  await changeAuthority(ctx, admin, { name: 'by-dns', patch: { contact: ['pki@shop.test'] } })
  await advanceAccount(ctx, authorityId)
  assert.deepEqual((await rowOf('by-dns')).changes, [])
})

test('an authority that signs here has no account, and says which key of it can be changed', async () => {
  await own.http
    .post('/v1/authorities')
    .send({ name: 'house', kind: 'root', subject: { commonName: 'house' } })
    .expect(201)
  const { body } = await own.http.post('/v1/authorities/house/account-key/rotate').expect(422)
  assert.match(body.detail, /POST \/v1\/authorities\/house\/rotate/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
import { rotateAuthority } from '../../src/authorities/rotation/rotate.ts'
import { openTestApi, tokenFor } from '../support/api.ts'
import { admin } from '../support/context.ts'
import { isProblem } from '../support/problem.ts'

let shift = 0
const { ctx, send } = await openTestApi({ now: () => new Date(Date.now() + shift) })
const subject = { commonName: 'Held' }
for (const [name, approval] of [
  ['held', 'two-people'],
  ['free', 'one-person'],
] as const) {
  const request = { name, kind: 'root', subject, keyAlgorithm: 'ECDSA_P256', approval } as const
  await createAuthority(ctx, admin, request)
}

// Made from the machine itself: nobody is known to stand behind them.
const alice = send(await tokenFor(ctx, null))
const bob = send(await tokenFor(ctx, null))
const url = '/v1/authorities/held'

type Agent = typeof alice

async function ask(who: Agent, request: object, status = 201): Promise<string> {
  const { body } = await who.post(`${url}/approvals`).send(request).expect(status)
  return status === 201 ? `${url}/approvals/${body.id}` : body.type
}

async function keyOf(who: Agent, name: string): Promise<Agent> {
  const { body } = await who.post('/v1/api-keys').send({ name, role: 'admin' }).expect(201)
  return send(body.token)
}

test('one person alone changes nothing of a key that two decide about', async () => {
  const id = '019a0000-0000-7000-8000-000000000000'
  const alone = [
    alice.post(`${url}/rotate`),
    alice.post(`${url}/rotation/retire`),
    alice.post(`${url}/issuers/${id}/revoke`).send({}),
    alice.post(`${url}/cross-sign`).send({ by: 'free' }),
    alice.post('/v1/authorities/free/cross-sign').send({ by: 'held' }),
    alice.delete(url),
    alice.patch(url).send({ approval: 'one-person' }),
    alice.patch(`${url}?dryRun=true`).send({ approval: 'one-person' }),
  ]
  for (const each of alone) {
    const { body } = await each.expect(409)
    assert.match(body.type, /approval-needed$/)
  }
  assert.equal((await alice.get(url).expect(200)).body.approval, 'two-people')
  await alice.patch(url).send({ displayName: 'Held', approval: 'two-people' }).expect(200)
  await alice.post('/v1/authorities/free/rotate').expect(202)
  const strict = { ...ctx, config: { ...ctx.config, approval: 'two-people' as const } }
  const rotation = { authority: 'free', request: {} }
  await assert.rejects(rotateAuthority(strict, admin, rotation), isProblem('approval-needed'))
})

test('what one asks for another carries out, never the same person, and the trail names both', async () => {
  const request = { action: 'rotate', rotation: { deadlineDays: 7 }, comment: 'yearly' }
  const asked = await ask(alice, request)
  assert.match(await ask(bob, { ...request, comment: 'again' }, 409), /approval-exists$/)
  const second = await keyOf(alice, 'alice-2')
  const third = await keyOf(second, 'alice-3')
  for (const who of [alice, second, third]) {
    assert.match((await who.post(`${asked}/approve`).expect(403)).body.type, /approval-own$/)
  }
  await send(await tokenFor(ctx, null, 'operator'))
    .post(`${asked}/approve`)
    .expect(403)
  await alice.get(`${url}/rotation`).expect(404)
  // Of two who approve at once one does.
  const answers = await Promise.all([bob.post(`${asked}/approve`), bob.post(`${asked}/approve`)])
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409])
  const { body } = await alice.get(asked).expect(200)
  assert.deepEqual([body.state, body.request], ['done', request])
  assert.notEqual(body.askedBy.id, body.decidedBy.id)
  const { body: rotation } = await alice.get(`${url}/rotation`).expect(200)
  assert.equal(rotation.step, 'trust')
  assert.match((await bob.post(`${asked}/approve`).expect(409)).body.type, /approval-settled$/)
  assert.match((await bob.post(`${asked}/reject`).expect(409)).body.type, /approval-settled$/)
  const trail = await bob.get('/v1/audit-events?subjectKind=authority&subject=held&limit=3')
  const told = trail.body.items.map(({ action, actor, changes }: Told) => {
    return { action, id: actor.id, askedBy: changes.askedBy }
  })
  const by = { id: body.decidedBy.id, askedBy: undefined }
  assert.deepEqual(told, [
    { ...by, action: 'authority.rotating' },
    { ...by, action: 'authority.approval-given', askedBy: body.askedBy.name },
    { ...by, action: 'authority.approval-asked', id: body.askedBy.id },
  ])
})

type Told = {
  readonly action: string
  readonly actor: { readonly id: string }
  readonly changes: { readonly askedBy?: string }
}

test('two keys that one person made are one person, and a key is no other person than its maker', async () => {
  const maker = send(await tokenFor(ctx, null))
  const [left, right] = [await keyOf(maker, 'left'), await keyOf(maker, 'right')]
  const asked = await ask(left, { action: 'remove' })
  for (const who of [right, maker]) await who.post(`${asked}/approve`).expect(403)
  const own = await ask(maker, { action: 'one-person' })
  await left.post(`${own}/approve`).expect(403)
  await maker.post(`${own}/reject`).expect(200)
  await right.post(`${asked}/reject`).expect(200)
  // Who rotates the key of another has a token of it.
  const { body: carol } = await bob.post('/v1/api-keys').send({ name: 'carol', role: 'admin' })
  const { body: turned } = await maker.post(`/v1/api-keys/${carol.id}/rotate`).send({}).expect(200)
  const taken = await ask(maker, { action: 'remove' })
  await send(turned.token).post(`${taken}/approve`).expect(403)
  await maker.post(`${taken}/reject`).expect(200)
})

test('an approval can be rehearsed: it says what would be, and nothing is decided', async () => {
  const asked = await ask(alice, { action: 'cross-sign', by: 'free' })
  const { body } = await bob.post(`${asked}/approve?dryRun=true`).expect(200)
  assert.equal(body.state, 'done')
  assert.equal((await bob.get(asked).expect(200)).body.state, 'pending')
  await alice.post(`${asked}/approve?dryRun=true`).expect(403)
  await bob.post(`${asked}/reject?dryRun=true`).expect(200)
  await bob.post(`${asked}/reject`).expect(200)
})

test('what cannot be done stays asked for, until somebody says no or its time is over', async () => {
  const asked = await ask(alice, { action: 'retire-rotated' })
  const refused = await bob.post(`${asked}/approve`).expect(409)
  assert.match(refused.body.type, /rotation-unfinished$/)
  assert.equal((await bob.get(asked).expect(200)).body.state, 'pending')
  assert.equal((await alice.post(`${asked}/reject`).expect(200)).body.state, 'rejected')
  await bob.post(`${asked}/approve`).expect(409)
  const late = await ask(alice, { action: 'remove' })
  shift = 3 * 86_400_000
  assert.equal((await bob.get(late).expect(200)).body.state, 'expired')
  assert.match((await bob.post(`${late}/approve`).expect(409)).body.detail, /ask again/)
  const pending = await bob.get(`${url}/approvals?pending=true`).expect(200)
  assert.deepEqual(pending.body.items, [])
  const all = await bob.get(`${url}/approvals?limit=1&count=true`).expect(200)
  assert.equal(all.body.total.value, 7)
  await bob.get(`/v1/authorities/free/approvals/${late.split('/').at(-1)}`).expect(404)
})

test('what a key asked for that is revoked is void', async () => {
  const gone = await keyOf(alice, 'gone')
  const asked = await ask(gone, { action: 'one-person' })
  const { body } = await gone.get('/v1/whoami').expect(200)
  await alice.delete(`/v1/api-keys/${body.id}`).expect(204)
  assert.match((await bob.post(`${asked}/approve`).expect(409)).body.detail, /not in force/)
  await bob.post(`${asked}/reject`).expect(200)
})

test('what belongs to another action, or is missing, is refused, and one action says what it needs', async () => {
  const fields = async (request: object) => {
    const { body } = await alice.post(`${url}/approvals`).send(request).expect(422)
    return body.violations.map(({ field }: { field: string }) => field)
  }
  const id = '019a0000-0000-7000-8000-000000000000'
  assert.deepEqual(await fields({ action: 'revoke-issuer' }), ['/issuer'])
  assert.deepEqual(await fields({ action: 'cross-sign', issuer: id, reason: 'superseded' }), [
    ...['/reason', '/issuer', '/by'],
  ])
  assert.deepEqual(await fields({ action: 'remove', rotation: {}, by: 'free' }), [
    ...['/rotation', '/by'],
  ])
  assert.deepEqual(await fields({ action: 'destroy' }), ['/action'])
  const asked = await ask(alice, { action: 'cross-sign', by: 'free' })
  await bob.post(`${asked}/approve`).expect(200)
  const lifted = await ask(alice, { action: 'one-person' })
  await bob.post(`${lifted}/approve`).expect(200)
  assert.equal((await alice.get(url).expect(200)).body.approval, 'one-person')
})

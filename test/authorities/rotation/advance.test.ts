import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { crossSign, getChains } from '../../../src/authorities/issuers/crosssign.ts'
import { listIssuers } from '../../../src/authorities/issuers/view.ts'
import { advanceRotation, retireRotated } from '../../../src/authorities/rotation/advance.ts'
import { getRotation } from '../../../src/authorities/rotation/find.ts'
import { rotateAuthority } from '../../../src/authorities/rotation/rotate.ts'
import {
  nextStep,
  type RotationFacts,
  type RotationStep,
} from '../../../src/authorities/rotation/steps.ts'
import { getTrustBundle } from '../../../src/authorities/trust/bundle.ts'
import { renewCertificate } from '../../../src/certificates/renewal/renew.ts'
import type { Context } from '../../../src/core/context.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { readPem } from '../../../src/x509/der/pem.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { fieldsOf, isProblem } from '../../support/problem.ts'
import { issueOne, jobs, openTestAuthority } from '../support.ts'

const minute = 60_000
const day = 86_400_000
const now = new Date('2026-11-23T12:00:00Z')

const ready: RotationFacts = {
  trusting: 2,
  unsettled: 0,
  settledAt: new Date(now.getTime() - minute),
  hosts: 0,
  certificates: 0,
  authorities: 0,
  retired: false,
}

const steps: readonly (readonly [string, RotationStep, Partial<RotationFacts>, RotationStep])[] = [
  ['trust is everywhere, and taken up', 'trust', {}, 'leaves'],
  ['some gateway does not trust yet', 'trust', { unsettled: 1 }, 'trust'],
  ['trust was spread a moment ago', 'trust', { settledAt: now }, 'trust'],
  ['trust was not seen everywhere yet', 'trust', { settledAt: null }, 'trust'],
  ['nobody lets in its clients', 'trust', { trusting: 0, settledAt: null }, 'leaves'],
  ['hosts have the old key', 'leaves', { hosts: 1 }, 'leaves'],
  ['no host has it', 'leaves', { certificates: 5 }, 'clients'],
  ['clients have the old key', 'clients', { certificates: 1 }, 'clients'],
  ['an authority below has it', 'clients', { authorities: 1 }, 'clients'],
  [
    'an operator says so',
    'clients',
    { certificates: 1, authorities: 1, retired: true },
    'distrust',
  ],
  ['an operator says so, but a host has it', 'clients', { hosts: 1, retired: true }, 'clients'],
  ['nobody has it', 'clients', {}, 'distrust'],
  ['some gateway still trusts it', 'distrust', { unsettled: 1 }, 'distrust'],
  ['nobody trusts it', 'distrust', { settledAt: null }, 'done'],
  ['done stays done', 'done', {}, 'done'],
]

for (const [name, step, facts, wanted] of steps) {
  test(`rotation: ${name}`, () => assert.equal(nextStep(step, { ...ready, ...facts }, now), wanted))
}

let clock = now.getTime()
const ctx = await openTestContext({ now: () => new Date(clock) })
await openTestAuthority(ctx)

const idOf = async (name: string) => {
  const { id } = await ctx.db.read.authority.findUniqueOrThrow({ where: { name } })
  return id
}
const stepOf = async (name: string) => {
  await advanceRotation(ctx, await idOf(name))
  return getRotation(ctx, admin, name)
}
const verify = (leaf: string | null, { root, chain }: { root: string; chain: string }) =>
  openssl(
    ['verify', '-x509_strict', '-attime', String(Math.floor(clock / 1000)), '-CAfile', 'root.pem']
      .concat(chain === '' ? [] : ['-untrusted', 'chain.pem'])
      .concat('leaf.pem'),
    { 'root.pem': root, 'chain.pem': chain, 'leaf.pem': leaf ?? '' },
  )

test('an intermediate gets a new key; whoever trusts the root alone notices nothing', async () => {
  const root = (await getAuthority(ctx, admin, 'root')).pem
  const server = await issueOne(ctx)
  const client = await issueOne(ctx, { profile: 'client' })
  const begun = await rotateAuthority(ctx, admin, { authority: 'issuing', request: {} })
  assert.deepEqual([begun.step, begun.outstanding.certificates], ['trust', 1])
  assert.deepEqual(begun.to.usages, ['trust', 'list'])
  assert.deepEqual(begun.from.usages, ['issue', 'trust', 'list'])
  assert.notEqual(begun.to.spkiSha256, begun.from.spkiSha256)
  await assert.rejects(
    rotateAuthority(ctx, admin, { authority: 'issuing', request: {} }),
    isProblem('rotation-underway'),
  )
  assert.ok((await jobs(ctx, 'authority.rotate')).length > 0)
  await assert.rejects(retireRotated(ctx, admin, 'issuing'), isProblem('rotation-unfinished'))
  const moved = await stepOf('issuing')
  assert.equal(moved.step, 'clients')
  assert.deepEqual(moved.to.usages, ['issue', 'trust', 'list'])
  const fresh = await issueOne(ctx)
  for (const { pem, chainPem } of [server, client, fresh]) verify(pem, { root, chain: chainPem })
  assert.notEqual(fresh.chainPem, server.chainPem)
  assert.deepEqual(
    moved.outstanding.held.map(({ id }) => id),
    [client.id],
  )
  await assert.rejects(retireRotated(ctx, admin, 'issuing'), isProblem('rotation-unfinished'))
  // Its holder needs some time to change to what replaces it.
  await renewCertificate(ctx, admin, {
    tenant: 'example',
    id: client.id,
    csr: undefined,
    idempotencyKey: undefined,
  })
  assert.equal((await stepOf('issuing')).step, 'clients')
  clock += day
  const done = await stepOf('issuing')
  assert.equal(done.step, 'done')
  assert.deepEqual(done.from.usages, ['list'])
  assert.equal((await stepOf('issuing')).step, 'done')
  const events = await ctx.db.read.auditEvent.findMany({
    where: { subjectName: 'issuing', action: { startsWith: 'authority.rotat' } },
    orderBy: { seq: 'asc' },
  })
  assert.deepEqual(
    events.map(({ action }) => action),
    [...Array.from({ length: 4 }, () => 'authority.rotating'), 'authority.rotated'],
  )
})

test('an operator retires the old key from the deadline on', async () => {
  await issueOne(ctx, { profile: 'client', validityDays: 60 })
  const asked = { deadlineDays: 7, keyAlgorithm: 'ECDSA_P384' } as const
  await rotateAuthority(ctx, admin, { authority: 'issuing', request: asked })
  assert.equal((await stepOf('issuing')).step, 'clients')
  clock += 7 * day
  assert.equal((await retireRotated(ctx, admin, 'issuing')).retiredBy, 'test')
  const done = await stepOf('issuing')
  assert.deepEqual([done.step, done.to.keyAlgorithm], ['done', 'ECDSA_P384'])
})

test('old and new root certify one another, and either is enough to trust', async () => {
  const subject = { commonName: 'turning root' }
  await createAuthority(ctx, admin, { name: 'turning', kind: 'root', subject, pathLength: 0 })
  const old = (await getAuthority(ctx, admin, 'turning')).pem
  const before = await issueOne(ctx, { authority: 'turning' })
  await rotateAuthority(ctx, admin, { authority: 'turning', request: {} })
  assert.equal((await stepOf('turning')).step, 'clients')
  const next = (await getAuthority(ctx, admin, 'turning')).pem
  assert.notEqual(next, old)
  const after = await issueOne(ctx, { authority: 'turning' })
  assert.equal(readPem(after.chainPem, 'CERTIFICATE').length, 1)
  verify(after.pem, { root: old, chain: after.chainPem })
  verify(after.pem, { root: next, chain: after.chainPem })
  verify(before.pem, { root: old, chain: before.chainPem })
  verify(before.pem, { root: next, chain: await getChains(ctx, 'turning') })
  const bundle = await getTrustBundle(ctx, 'turning')
  assert.deepEqual(readPem(bundle, 'CERTIFICATE').length, 2)
  const { items } = await listIssuers(ctx, admin, 'turning')
  assert.equal(items.length, 4)
  clock += 91 * day
  assert.equal((await stepOf('turning')).step, 'done')
  assert.equal(await getTrustBundle(ctx, 'turning'), next)
})

test('cut short at any of its steps, before or after it is stored, a rotation comes to the same end', async () => {
  const outcomes: string[][] = []
  for (const moment of ['before', 'after'] as const) {
    for (let cut = 0; cut < 4; cut++) {
      const name = `cut-${moment}-${cut}`
      await createAuthority(ctx, admin, { name, kind: 'root', subject: { commonName: name } })
      await rotateAuthority(ctx, admin, { authority: name, request: {} })
      const dying = dyingAt(cut, moment)
      await assert.rejects(advanceRotation(dying, await idOf(name)), /killed/)
      await Promise.all([stepOf(name), stepOf(name)])
      const { step, from, to } = await getRotation(ctx, admin, name)
      assert.deepEqual(
        [step, from.usages, to.usages],
        ['done', ['list'], ['issue', 'trust', 'list']],
      )
      const events = await ctx.db.read.auditEvent.findMany({
        where: { subjectName: name, action: { startsWith: 'authority.rotat' } },
        orderBy: { seq: 'asc' },
      })
      outcomes.push(events.map(({ changes }) => String(Object(changes).step)))
    }
  }
  for (const told of outcomes) {
    assert.deepEqual(told, ['trust', 'leaves', 'clients', 'distrust', 'done'])
  }
})

/** A process that is killed at its transaction number `cut`. */
function dyingAt(cut: number, moment: 'before' | 'after'): Context {
  let count = 0
  const transaction: Context['db']['transaction'] = async (work) => {
    const last = count++ === cut
    if (last && moment === 'before') throw new Error('killed')
    const done = await ctx.db.transaction(work)
    if (last) throw new Error('killed')
    return done
  }
  return { ...ctx, db: { ...ctx.db, transaction } }
}

test('authorities below an old root key are waited for', async () => {
  await rotateAuthority(ctx, admin, { authority: 'root', request: {} })
  const waiting = await stepOf('root')
  assert.deepEqual([waiting.step, waiting.outstanding.authorities], ['clients', ['issuing']])
  await rotateAuthority(ctx, admin, { authority: 'issuing', request: {} })
  const { to } = await stepOf('issuing')
  assert.equal(to.signedBy, 'root')
  const leaf = await issueOne(ctx)
  verify(leaf.pem, { root: (await getAuthority(ctx, admin, 'root')).pem, chain: leaf.chainPem })
  verify(leaf.pem, { root: waiting.from.pem, chain: leaf.chainPem })
})

test('an authority is cross-signed: same name, key and identifier, and both chains verify', async () => {
  await createAuthority(ctx, admin, {
    name: 'other-root',
    kind: 'root',
    subject: { commonName: 'other root' },
    pathLength: 1,
    nameConstraints: { permitted: { dnsNames: ['example.com'] } },
  })
  const crossed = await crossSign(ctx, admin, { authority: 'issuing', by: 'other-root' })
  assert.deepEqual([crossed.usages, crossed.signedBy], [['list'], 'other-root'])
  const [one, two] = [(await getAuthority(ctx, admin, 'issuing')).pem, crossed.pem].map((pem) =>
    readCertificate(readPem(pem, 'CERTIFICATE')[0] ?? Buffer.alloc(0)),
  )
  assert.ok(one && two)
  assert.deepEqual(two.subjectDer, one.subjectDer)
  assert.deepEqual(two.spki, one.spki)
  assert.deepEqual(two.subjectKeyIdentifier, one.subjectKeyIdentifier)
  assert.equal(two.pathLength, 0)
  const leaf = await issueOne(ctx)
  const trust = async (name: string) => (await getAuthority(ctx, admin, name)).pem
  verify(leaf.pem, { root: await trust('root'), chain: leaf.chainPem })
  verify(leaf.pem, { root: await trust('other-root'), chain: crossed.pem })
  assert.ok((await getChains(ctx, 'issuing')).includes(crossed.pem))
  const by = crossSign(ctx, admin, { authority: 'root', by: 'issuing' })
  assert.deepEqual(await fieldsOf('authority-refused', by), ['/by'])
  await assert.rejects(crossSign(ctx, admin, { authority: 'root', by: 'root' }))
})

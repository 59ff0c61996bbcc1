import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
import { getAuthority } from '../../src/authorities/find.ts'
import { advanceRotation } from '../../src/authorities/rotation/advance.ts'
import { getRotation } from '../../src/authorities/rotation/find.ts'
import { rotateAuthority } from '../../src/authorities/rotation/rotate.ts'
import { getBundle } from '../../src/certificates/bundle.ts'
import type { Certificate } from '../../src/certificates/certificate.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { renewCertificate } from '../../src/certificates/renewal/renew.ts'
import { shakeHands } from '../../src/delivery/proof/handshake.ts'
import { admin } from '../support/context.ts'
import { openStage, put, work } from './support.ts'

const { ctx, address } = await openStage()
const minute = 60_000
const day = 86_400_000

/** The jobs of a rotation as they run so much later; what is issued is issued now. */
const later = (milliseconds: number) => ({
  ...ctx,
  now: () => new Date(Date.now() + milliseconds),
})

const pair = async ({ id }: Certificate) => {
  const ask = { tenant: 'shop', id, privateKey: true }
  const pem = (await getBundle(ctx, admin, ask)).body.toString()
  const at = pem.indexOf('-----BEGIN PRIVATE KEY-----')
  return { cert: pem.slice(0, at), key: pem.slice(at) }
}

type Caller = { readonly name: string; readonly client?: { cert: string; key: string } }

/** Somebody who calls all the time; `stop` answers how often, and what went wrong. Whatever becomes of
 *  the test, nobody calls on after it. */
function knock(t: TestContext, trust: string, { name, client }: Caller) {
  let stopped = false
  t.after(() => {
    stopped = true
  })
  const faults: string[] = []
  const run = async (): Promise<number> => {
    for (let calls = 0; ; calls++) {
      if (stopped && calls > 0) return calls
      const call = { address, name, trust: [trust], path: '/status/418' }
      const { tls, status, error } = await shakeHands({ ...call, ...(client ? { client } : {}) })
      if (status !== 418 || tls?.distrust !== null) {
        faults.push(`${name}: ${status} ${error} ${tls?.distrust}`)
      }
    }
  }
  const running = run()
  return {
    stop: async () => {
      stopped = true
      const calls = await running
      return { calls, faults }
    },
  }
}

async function story(t: TestContext, authority: string, anchor: string): Promise<void> {
  const names = [`open.${authority}.shop.test`, `shut.${authority}.shop.test`]
  const [open = '', shut = ''] = names
  const certificate = { authority }
  await put(ctx, open, { certificate })
  await put(ctx, shut, { certificate, tls: { mode: 'MUTUAL', clientAuthority: authority } })
  const workAll = async () => {
    for (const name of names) {
      const [placement] = (await work(ctx, name)).status.clusters
      assert.deepEqual([placement?.status, placement?.message], ['Synced', null])
    }
  }
  await workAll()
  const trust = (await getAuthority(ctx, admin, anchor)).pem
  const { id } = await ctx.db.read.authority.findUniqueOrThrow({ where: { name: authority } })
  const stepAfter = async (milliseconds = 0) => {
    await advanceRotation(later(milliseconds), id)
    return (await getRotation(ctx, admin, authority)).step
  }
  const asked = { profile: 'client', subject: { commonName: 'c' }, authority } as const
  const old = await issueCertificate(ctx, admin, {
    tenant: 'shop',
    request: asked,
    idempotencyKey: undefined,
  })
  const oldPair = await pair(old)
  const callers = [
    knock(t, trust, { name: open }),
    knock(t, trust, { name: shut, client: oldPair }),
  ]

  await rotateAuthority(ctx, admin, { authority, request: {} })
  assert.equal(await stepAfter(minute), 'trust', 'no gateway has the new trust yet')
  await workAll()
  assert.equal(await stepAfter(), 'trust', 'it was pushed a moment ago')
  assert.equal(await stepAfter(2 * minute), 'leaves')
  const before = await getRotation(ctx, admin, authority)
  assert.equal(before.outstanding.hosts, 2)
  await workAll()
  assert.equal(await stepAfter(), 'clients')
  const next = await renewCertificate(ctx, admin, {
    tenant: 'shop',
    id: old.id,
    csr: undefined,
    idempotencyKey: undefined,
  })
  callers.push(knock(t, trust, { name: shut, client: await pair(next) }))
  assert.equal(await stepAfter(), 'clients', 'who held the old one needs time')
  // Its holder has changed to the new one by now.
  const [first, second, ...rest] = callers
  const ended = await second?.stop()
  assert.equal(await stepAfter(2 * day), 'distrust')
  await workAll()
  assert.equal(await stepAfter(), 'done')
  const results = [ended, ...(await Promise.all([first, ...rest].map((each) => each?.stop())))]
  for (const result of results) {
    assert.deepEqual(result?.faults, [])
    assert.ok((result?.calls ?? 0) > 3, `${result?.calls} calls`)
  }
  const refused = await shakeHands({ address, name: shut, trust: [trust], client: oldPair })
  assert.equal(refused.status, null, 'the old key is trusted no more')
}

test('nobody is turned away while an intermediate changes its key', (t) =>
  story(t, 'house', 'root'))

test('nobody is turned away while a root changes its key, not even who trusts the old one', async (t) => {
  await createAuthority(ctx, admin, { name: 'solo', kind: 'root', subject: { commonName: 'solo' } })
  await story(t, 'solo', 'solo')
})

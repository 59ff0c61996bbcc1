import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { advanceOrder } from '../../../src/acme/ordering/advance.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { certificatesOf, mortal, openScripted, untilDeath, work } from './scripted.ts'

const all = await openScripted()
const { ctx, clock, script, orders, proved } = all

afterEach(() => {
  script.twist = () => undefined
  script.done = () => undefined
  script.proofs = false
  script.verdict = 'valid'
})

/** One certificate of one order, on record and at the CA. */
async function holdsOne(hostId: string, name: string, what: string): Promise<void> {
  const certificates = await certificatesOf(ctx, hostId)
  assert.equal(certificates.length, 1, what)
  const host = await ctx.db.read.host.findUniqueOrThrow({ where: { id: hostId } })
  assert.equal(host.certificateId, certificates[0]?.id, what)
  const issued = orders.filter((each) => each.names.includes(name) && each.certificate)
  assert.equal(issued.length, 1, what)
  const mine = await ctx.db.read.caOrder.findMany({ where: { hostId }, include: { secret: true } })
  assert.deepEqual(
    mine.map(({ state, cleanedAt, secret }) => [state, cleanedAt !== null, secret]),
    [['issued', true, null]],
    what,
  )
}

test('an order that is killed before any of its steps is stored is taken up, and one certificate is issued', async () => {
  let deaths = 0
  for (let left = 0; ; left++) {
    const { id, name } = await all.host()
    const life = { dead: false, left }
    const killed = mortal(ctx, life)
    await untilDeath(() => work(killed, id, { clock }))
    if (!life.dead) break
    deaths++
    await work(ctx, id, { clock })
    await holdsOne(id, name, `killed at ${left}`)
  }
  assert.ok(deaths > 15, `${deaths}`)
})

test('one whose names have to be proved is taken up in the same way', async () => {
  script.proofs = true
  let deaths = 0
  for (let left = 0; ; left += 5) {
    const { id, name } = await all.host()
    const life = { dead: false, left }
    await untilDeath(() => work(mortal(ctx, life), id, { clock, turns: 10 }))
    if (!life.dead) break
    deaths++
    await work(ctx, id, { clock, turns: 10 })
    await holdsOne(id, name, `killed at ${left}`)
  }
  assert.ok(deaths > 5, `${deaths}`)
})

test('a proof that failed is told, also where the process died when that was stored and nothing else', async () => {
  script.proofs = true
  script.verdict = 'invalid'
  const { id, name } = await all.host()
  const life = { dead: false, left: 10_000 }
  script.done = ({ path }) => {
    if (path === `/authz/${name}` && proved.get(name) === 'invalid') life.left = 1
  }
  await untilDeath(() => work(mortal(ctx, life), id, { clock, turns: 10 }))
  assert.ok(life.dead)
  const stored = await ctx.db.read.caChallenge.findFirstOrThrow({ where: { hostId: id } })
  assert.equal(stored.outcome, 'invalid')
  const order = await ctx.db.read.caOrder.findFirstOrThrow({ where: { hostId: id } })
  assert.equal(order.endedAt, null)
  script.done = () => undefined
  await advanceOrder(ctx, order.id)
  const { state, message } = await ctx.db.read.caOrder.findFirstOrThrow({ where: { hostId: id } })
  assert.deepEqual([state, message], ['failed', `${name} is not proved: no such record`])
})

for (const when of ['before the CA hears of it', 'after the CA has done it'] as const) {
  test(`an order that is killed at each of its requests, ${when}, is taken up`, async () => {
    let deaths = 0
    for (let request = 1; ; request++) {
      const { id, name } = await all.host()
      const life = { dead: false, left: 10_000 }
      let seen = 0
      script.twist = () => {
        if (when === 'after the CA has done it' || ++seen !== request) return undefined
        life.dead = true
        return { status: 503 }
      }
      script.done = () => {
        if (when === 'after the CA has done it' && ++seen === request) life.dead = true
      }
      await untilDeath(() => work(mortal(ctx, life), id, { clock }))
      script.twist = () => undefined
      script.done = () => undefined
      if (!life.dead) break
      deaths++
      await work(ctx, id, { clock })
      await holdsOne(id, name, `killed at request ${request}`)
    }
    assert.ok(deaths >= 5, `${deaths}`)
  })
}

for (const lost of ['newOrder', 'finalize'] as const) {
  test(`the answer to ${lost} is lost, and the order goes on`, async () => {
    const { id, name } = await all.host()
    let left = 1
    script.twist = ({ path }) => (path.startsWith(`/${lost}`) && left-- > 0 ? 'lost' : undefined)
    await work(ctx, id, { clock, turns: 10 })
    await holdsOne(id, name, lost)
    assert.equal(orders.filter((each) => each.names.includes(name)).length, 1)
    script.twist = () => undefined
  })
}

test('a lost answer of newOrder where the CA lists no orders makes another order, of which one is finished', async () => {
  for (const list of [{ status: 404, body: {} }, { body: { status: 'valid' } }]) {
    const { id, name } = await all.host()
    let left = 1
    script.twist = ({ path }) => {
      if (path === '/orders') return { status: 404 }
      if (path.startsWith('/account')) return list
      return path === '/newOrder' && left-- > 0 ? 'lost' : undefined
    }
    await work(ctx, id, { clock, turns: 10 })
    await holdsOne(id, name, JSON.stringify(list))
    script.twist = () => undefined
  }
})

test('two workers at one order have one certificate issued', async () => {
  for (let round = 0; round < 6; round++) {
    const { id, name } = await all.host()
    await Promise.all([certifyHost(ctx, id), certifyHost(ctx, id)])
    for (let turn = 0; turn < 5; turn++) {
      const open = await ctx.db.read.caOrder.findMany({ where: { hostId: id, cleanedAt: null } })
      await Promise.all(
        open.flatMap((one) => [advanceOrder(ctx, one.id), advanceOrder(ctx, one.id)]),
      )
      clock.at += 5_000
    }
    await certifyHost(ctx, id)
    await holdsOne(id, name, `round ${round}`)
  }
})

test('a host that is certified at the moment in which its order ends orders nothing more', async () => {
  const { id, name } = await all.host()
  await certifyHost(ctx, id)
  const order = await ctx.db.read.caOrder.findFirstOrThrow({ where: { hostId: id } })
  // Between its look for a certificate and its look for an order.
  const orders = {
    findFirst: async (asked: object) => {
      await advanceOrder(ctx, order.id)
      clock.at += 5_000
      await advanceOrder(ctx, order.id)
      return ctx.db.read.caOrder.findFirst(asked)
    },
    count: (asked: object) => ctx.db.read.caOrder.count(asked),
  }
  const read = new Proxy(ctx.db.read, {
    get: (target, member) => (member === 'caOrder' ? orders : Reflect.get(target, member)),
  })
  await certifyHost({ ...ctx, db: { ...ctx.db, read } }, id)
  await certifyHost(ctx, id)
  await holdsOne(id, name, 'certified twice')
})

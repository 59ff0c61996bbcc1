import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, test } from 'node:test'
import acme from 'acme-client'
import { validateChallenge } from '../../../src/acme/validation/validate.ts'
import { buildServer } from '../../../src/api/server.ts'
import { openContext } from '../../../src/core/context.ts'
import { openSession } from '../../../src/core/database/postgres.ts'
import { openAcme } from '../../support/acme.ts'
import { acmeHand } from '../../support/acmehand.ts'
import { kill, settingsFor, startProcess, until, untilReady } from '../../support/process.ts'

// What goes wrong on the way: challenges that are not there yet, replicas, and a server that is killed.

const { ctx, challenges, directoryUrl, keyFor } = await openAcme()
const hand = acmeHand(directoryUrl)
const order = (name: string) => ({ identifiers: [{ type: 'dns', value: name }] })

async function csrFor(name: string): Promise<{ csr: string }> {
  const [, csr] = await acme.crypto.createCsr({ altNames: [name] })
  const der = Buffer.from(csr.toString().replace(/-----[^-]+-----|\s/g, ''), 'base64')
  return { csr: der.toString('base64url') }
}

type Client = Awaited<ReturnType<typeof hand.open>>

/** An order of a name that has to be proved, with the challenge by HTTP and what is to be found there. */
async function ordered(client: Client, name: string) {
  const made = await hand.post('/new-order', order(name), client)
  assert.equal(made.status, 201, made.text)
  const [authorization] = made.body.authorizations
  const read = async () => (await hand.post(authorization, '', client)).body
  const { challenges: all } = await read()
  const http = all.find(({ type }: { type: string }) => type === 'http-01')
  const canonical = Object.fromEntries(
    Object.entries(client.key.jwk).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  )
  const thumbprint = await thumbprintOf(canonical)
  const challenge = async () => {
    const { challenges: now } = await read()
    return now.find(({ url }: { url: string }) => url === http.url)
  }
  const found = `${name}/.well-known/acme-challenge/${http.token}`
  const state = async () => (await hand.post(made.headers.get('location') ?? '', '', client)).body
  return {
    ...made.body,
    http,
    found,
    answer: `${http.token}.${thumbprint}`,
    challenge,
    state,
    read,
  }
}

async function thumbprintOf(jwk: object): Promise<string> {
  const octets = new TextEncoder().encode(JSON.stringify(jwk))
  return Buffer.from(await crypto.subtle.digest('SHA-256', octets)).toString('base64url')
}

test('a challenge that is not there at first is looked for again, and its order is finished', async () => {
  const client = await hand.open(await keyFor({ preauthorized: false }))
  const { http, found, answer, challenge, state, finalize } = await ordered(
    client,
    'late.shop.test',
  )
  assert.equal((await hand.post(http.url, {}, client)).body.status, 'processing')
  // RFC 8555 8.2: it says why, and is still looked for.
  const failed = await until('it was looked for in vain', async () => {
    const now = await challenge()
    return now.error ? now : undefined
  })
  assert.equal(failed.status, 'processing')
  assert.match(failed.error.type, /:(incorrectResponse|unauthorized)$/)
  assert.equal(
    (await hand.post(finalize, await csrFor('late.shop.test'), client)).type,
    'orderNotReady',
  )
  challenges.http.set(found, answer)
  await until('the order is ready', async () => (await state()).status === 'ready' || undefined)
  assert.equal((await challenge()).status, 'valid')
  const done = await hand.post(finalize, await csrFor('late.shop.test'), client)
  assert.equal(done.body.status, 'valid', done.text)
})

test('a challenge that is never there ends its order, and another order begins anew', async () => {
  const client = await hand.open(await keyFor({ preauthorized: false }))
  const name = 'never.shop.test'
  const first = await ordered(client, name)
  await hand.post(first.http.url, {}, client)
  // As the worker does it after pauses; what is done twice is done once.
  const id = String(first.http.url.split('/').at(-1))
  await until('it is given up', async () => {
    await validateChallenge(ctx, id)
    return (await first.state()).status === 'invalid' || undefined
  })
  assert.equal((await first.read()).status, 'invalid')
  assert.match((await first.state()).error.detail, /never\.shop\.test/)
  assert.equal((await hand.post(first.finalize, await csrFor(name), client)).type, 'orderNotReady')
  const second = await ordered(client, name)
  assert.notEqual(second.http.token, first.http.token)
  challenges.http.set(second.found, second.answer)
  await hand.post(second.http.url, {}, client)
  await until(
    'the order is ready',
    async () => (await second.state()).status === 'ready' || undefined,
  )
  const done = await hand.post(second.finalize, await csrFor(name), client)
  assert.equal(done.body.status, 'valid', done.text)
})

test('a nonce of one replica is good at another one, once in all', async () => {
  const other = openContext(ctx.config, ctx.log)
  const api = await buildServer(other)
  after(async () => {
    await api.close()
    await other.db.close()
  })
  const url = await api.listen({ host: '127.0.0.1', port: 0 })
  const there = acmeHand(`${url}/acme/issuing/directory`)
  const client = await hand.open(await keyFor())
  // An account is named by the URL of the replica that is asked; behind one address they are the same.
  const moved = { key: client.key, kid: client.kid.replace(hand.root, there.root) }
  const ask = (at: typeof hand, who: typeof moved, nonce: string) =>
    at.post(`/account/${who.kid.slice(-36)}`, '', { ...who, header: { nonce } })
  const [one, two] = [await hand.nonce(), await there.nonce()]
  assert.equal((await ask(there, moved, one)).status, 200)
  assert.equal((await ask(hand, client, two)).status, 200)
  for (const nonce of [one, two]) {
    assert.equal((await ask(there, moved, nonce)).type, 'badNonce')
    assert.equal((await ask(hand, client, nonce)).type, 'badNonce')
  }
  // Of two that come at once with the same one, one is heard.
  const shared = await hand.nonce()
  const both = await Promise.all([ask(hand, client, shared), ask(there, moved, shared)])
  assert.deepEqual(both.map(({ status }) => status).toSorted(), [200, 400])
})

test('a server is killed while it finishes an order, and a worker finishes it with one certificate', async () => {
  const { databaseUrl, sealingKey } = ctx.config
  const settings = {
    ...(await settingsFor(databaseUrl)),
    GATESMITH_SEALING_KEY: sealingKey.toString('base64'),
  }
  const server = startProcess(['serve'], settings)
  const there = acmeHand(`${await untilReady(server, settings)}/acme/issuing/directory`)
  const name = 'killed.shop.test'
  const client = await there.open(await keyFor())
  const { body } = await there.post('/new-order', order(name), client)
  // Nothing more is stored of certificates: it is held between asking for one and having it.
  const session = await openSession(databaseUrl)
  after(() => session.close())
  await session.query('begin')
  await session.query('lock table certificate in exclusive mode')
  const asking = there.post(body.finalize, await csrFor(name), client).catch(() => 'gone')
  const id = String(body.finalize.split('/').at(-2))
  const row = () => ctx.db.read.acmeOrder.findUniqueOrThrow({ where: { id } })
  await until('the order is being finished', async () => {
    return (await row()).status === 'processing' || undefined
  })
  await kill(server)
  assert.equal(await asking, 'gone')
  await session.query('rollback')
  // What is due in a minute is due now.
  await ctx.db.statement(
    `update graphile_worker._private_jobs set run_at = now() where task_id in
     (select id from graphile_worker._private_tasks where identifier = 'acme.finish')`,
    [],
  )
  await until('a worker has finished it', async () => {
    return (await row()).status === 'valid' || undefined
  })
  const mine = { key: client.key, kid: client.kid.replace(there.root, hand.root) }
  const finished = await hand.post(`/order/${id}`, '', mine)
  const { text: pem } = await hand.post(finished.body.certificate, '', mine)
  assert.equal(new X509Certificate(pem).subjectAltName, `DNS:${name}`)
  const where = { dnsNames: { has: name } }
  const made = await ctx.db.read.certificate.findMany({ where })
  assert.deepEqual(
    made.map(({ status }) => status),
    ['active'],
  )
})

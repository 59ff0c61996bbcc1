import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { buildServer } from '../../src/api/server.ts'
import { openContext } from '../../src/core/context.ts'
import { json } from '../../src/core/database/db.ts'
import { forgetEvents } from '../../src/events/forget.ts'
import { day } from '../../src/shared/moment.ts'
import { createApiKey, revokeApiKey } from '../../src/tenants/apikeys/lifecycle.ts'
import { openTestApi, tokenFor } from '../support/api.ts'
import { admin } from '../support/context.ts'

const { ctx, http, send } = await openTestApi()

// A second server, as another process would be: what it hears, it hears from the database.
const other = openContext(ctx.config, ctx.log)
const api = await buildServer(other)
const address = await api.listen({ host: '127.0.0.1', port: 0 })
after(async () => {
  await api.close()
  await other.db.close()
})

const subject = { commonName: 'house' }
await http.post('/v1/authorities').send({ name: 'house', kind: 'root', subject }).expect(201)
for (const name of ['shop', 'rival']) {
  const own = { name, domains: ['fair.test'], namespaces: ['test'], defaultAuthority: 'house' }
  await http.post('/v1/tenants').send(own).expect(201)
}
const tenant = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'shop' } })
const url = '/v1/tenants/shop/events'

/** A host without clusters, for its events. */
function makeHost(name: string, tx = ctx.db.read, tenantId = tenant.id) {
  const now = ctx.now()
  const id = crypto.randomUUID()
  const row = { id, tenantId, name, spec: json({}), generation: 1, createdAt: now, updatedAt: now }
  return tx.host.create({ data: row, select: { id: true } })
}

type Told = { readonly id: string; readonly type: string; readonly name: string }

async function page(query = ''): Promise<readonly Told[]> {
  const { body } = await http.get(`${url}?limit=500${query}`).expect(200)
  return body.items.map(
    ({ id, type, subject: { name } }: { id: string; type: string; subject: { name: string } }) => ({
      ...{ id, type, name },
    }),
  )
}

/** The page once it ends with this host: what other databases of the server still write holds it back. */
async function pageTo(name: string, query = ''): Promise<readonly Told[]> {
  for (;;) {
    const told = await page(query)
    if (told.at(-1)?.name === name) return told
    await pause(20)
  }
}

/** A stream of the other server: what it has told so far, and how it ends. */
async function follow(token: string, headers: Readonly<Record<string, string>> = {}, path = url) {
  const leaving = new AbortController()
  const late = setTimeout(() => leaving.abort(), 20_000)
  const answer = await fetch(`${address}${path}`, {
    headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream', ...headers },
    signal: leaving.signal,
  })
  let text = ''
  const ended = (async () => {
    for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString()
  })()
    .catch(() => undefined)
    .finally(() => clearTimeout(late))
  return {
    status: answer.status,
    text: () => text,
    ids: () => [...text.matchAll(/^id: (\S+)$/gm)].map(([, id]) => id),
    ended,
    leave: () => leaving.abort(),
    until: async (pattern: RegExp) => {
      let open = true
      void ended.then(() => {
        open = false
      })
      while (open && !pattern.test(text)) await pause(20)
      assert.match(text, pattern)
    },
  }
}

test('a transaction that is stored late is told in its place, and nothing is passed over', async () => {
  const first = await makeHost('before.fair.test')
  const events = await pageTo('before.fair.test')
  let seen: readonly Told[] = []
  await ctx.db.transaction(async (tx) => {
    await makeHost('slow.fair.test', tx)
    await makeHost('quick.fair.test')
    seen = await page()
  })
  assert.deepEqual(seen, events)
  const rest = await pageTo('quick.fair.test', `&after=${events.at(-1)?.id}`)
  assert.deepEqual(
    rest.map(({ name }) => name),
    ['slow.fair.test', 'quick.fair.test'],
  )
  assert.ok(first.id)
})

test('a stream tells what is stored by any server, and goes on after the last event', {
  timeout: 30_000,
}, async () => {
  const viewer = await tokenFor(ctx, 'shop', 'viewer')
  const stream = await follow(viewer)
  await stream.until(/retry/)
  const rival = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'rival' } })
  await makeHost('theirs.fair.test', ctx.db.read, rival.id)
  for (const name of ['one', 'two', 'three']) await makeHost(`${name}.fair.test`)
  await stream.until(/three/)
  assert.doesNotMatch(stream.text(), /theirs/)
  const ids = stream.ids()
  assert.equal(ids.length, 3)
  stream.leave()
  const resumed = await follow(viewer, { 'last-event-id': ids[0] ?? '' })
  await resumed.until(/three/)
  assert.deepEqual(resumed.ids(), ids.slice(1))
  resumed.leave()
  const all = await follow(
    await tokenFor(ctx, null, 'auditor'),
    { 'last-event-id': '0-0' },
    '/v1/events',
  )
  await all.until(/three/)
  assert.match(all.text(), /theirs/)
  all.leave()
})

test('who may not read is told nothing, and a key that is revoked hears no more', {
  timeout: 30_000,
}, async () => {
  await http.get('/v1/events?after=nonsense').expect(422)
  await http.get(url).set({ accept: 'text/event-stream', 'last-event-id': 'x' }).expect(422)
  const rival = await tokenFor(ctx, 'rival')
  for (const path of [url, '/v1/events']) {
    assert.ok([403, 404].includes((await follow(rival, {}, path)).status))
    assert.ok([403, 404].includes((await send(rival).get(path)).status))
  }
  const request = { name: 'short', role: 'viewer' } as const
  const key = await createApiKey(ctx, admin, { tenant: 'shop', request })
  const stream = await follow(key.token)
  await stream.until(/retry/)
  await revokeApiKey(ctx, admin, { tenant: 'shop', id: key.id })
  await makeHost('secret.fair.test')
  await stream.ended
  assert.doesNotMatch(stream.text(), /secret/)
})

test('streams of one key are bounded', async () => {
  const token = await tokenFor(ctx, 'shop', 'viewer')
  const streams = []
  for (let i = 0; i < 21; i++) streams.push(await follow(token))
  assert.deepEqual(
    streams.map(({ status }) => status),
    [...Array(20).fill(200), 503],
  )
  for (const { leave } of streams) leave()
})

test('what is forgotten is said to be', { timeout: 30_000 }, async () => {
  const [oldest] = await page()
  await ctx.db.statement(`update event set at = now() - interval '8 days'`, [])
  await makeHost('new.fair.test')
  await forgetEvents({ ...ctx, now: () => new Date(Date.now() + day / 24) })
  const left = await pageTo('new.fair.test')
  assert.deepEqual([left.length, left.at(-1)?.name], [2, 'new.fair.test'])
  await http.get(`${url}?after=${oldest?.id}`).expect(422)
  await http.get(`${url}?after=99999999999-1`).expect(422)
  const stream = await follow(await tokenFor(ctx, 'shop'), { 'last-event-id': oldest?.id ?? '' })
  await stream.until(/event: reset/)
  await makeHost('newer.fair.test')
  await stream.until(/newer/)
  assert.doesNotMatch(stream.text(), /new\.fair/)
  await api.close()
  await stream.ended
})

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import supertest from 'supertest'
import { buildServer } from '../../src/api/server.ts'
import { openTestApi } from '../support/api.ts'

const { ctx, send } = await openTestApi()
const config = { ...ctx.config, development: true }
const development = await buildServer({ ...ctx, config })
await development.ready()
after(() => development.close())

/** The page and everything that it loads. */
async function load(hand: ReturnType<typeof send>, url: string) {
  const page = await hand.get(url).expect(200)
  const assets = [...page.text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, asset = '']) => asset)
  for (const asset of assets) await hand.get(asset).expect(200)
  return { page, assets }
}

test('the docs page comes whole from this server and may load from nowhere else', async () => {
  const { page, assets } = await load(send(null), '/docs')
  assert.ok(assets.length >= 5)
  assert.match(
    page.headers['content-security-policy'] ?? '',
    /default-src 'none'; script-src 'self';/,
  )
  assert.doesNotMatch(page.text, /https?:\/\//)
  const { body } = await send(null).get('/docs/json').expect(200)
  assert.equal(body.openapi.slice(0, 4), '3.1.')
})

test('GraphiQL is there in development, whole from this server, and nowhere else', async () => {
  const { page, assets } = await load(supertest.agent(development.server), '/graphiql')
  assert.equal(assets.length, 6)
  assert.match(
    page.headers['content-security-policy'] ?? '',
    /default-src 'none'; script-src 'self';/,
  )
  assert.doesNotMatch(page.text, /https?:\/\/|<script>/)
  const hand = supertest.agent(development.server)
  for (const url of ['/graphiql/assets/page.html', '/graphiql/assets/..%2fpage.html']) {
    await hand.get(url).expect(404)
  }
  await send(null).get('/graphiql').expect(404)
  await send(null).get('/graphiql/assets/page.js').expect(404)
})

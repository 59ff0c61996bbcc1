import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { authorize } from '../../../src/acme/ordering/authorize.ts'
import { openTestContext } from '../../support/context.ts'

// A CA that wants to have other names proved than those that were ordered of it.

const server = createServer((request, response) => {
  const at = `http://${request.headers.host}`
  const urls = ['newNonce', 'newAccount', 'newOrder', 'revokeCert'].map((name) => [name, `${at}/x`])
  const challenge = { type: 'http-01', url: `${at}/challenge`, token: 'A'.repeat(43) }
  const identifier = { type: 'dns', value: request.url?.slice(1) }
  const authorization = { status: 'pending', identifier, challenges: [challenge] }
  response.setHeader('replay-nonce', 'n'.repeat(22))
  response.setHeader('content-type', 'application/json')
  response.end(
    JSON.stringify(request.url === '/directory' ? Object.fromEntries(urls) : authorization),
  )
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
after(() => server.close())
const place = server.address()
const at = `http://127.0.0.1:${typeof place === 'object' ? place?.port : 0}`

test('names that were not ordered are proved to no CA', async () => {
  const ctx = await openTestContext({}, { caRanges: ['127.0.0.0/8'] })
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const directoryUrl = `${at}/directory`
  const session = { authorityId: '', directoryUrl, trustedRoots: '', key, url: `${at}/account` }
  for (const name of [
    'bank.test',
    'shop.test',
    'a.www.shop.test',
    '_acme-challenge.www.shop.test',
  ]) {
    const asked = {
      names: ['www.shop.test', '*.wide.shop.test'],
      authorizations: [`${at}/${name}`],
    }
    const order = {
      ...asked,
      challenges: [],
      authority: { caAccount: { challenge: { type: 'http-01' } } },
    }
    await assert.rejects(authorize(ctx, order as never, session), {
      problem: 'disbelieved',
      message: `It wants to have ${name} proved, which was not ordered`,
    })
  }
  assert.equal(await ctx.db.read.caChallenge.count(), 0)
})

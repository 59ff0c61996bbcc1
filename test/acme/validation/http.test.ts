import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AcmeProblem } from '../../../src/acme/problem.ts'
import { lookForHttp } from '../../../src/acme/validation/http.ts'
import { openChallenges } from '../../support/acme.ts'
import { openTestContext } from '../../support/context.ts'

const challenges = await openChallenges()
const { httpPort, tlsPort, dnsPort } = challenges
const resolvers = [`127.0.0.1:${dnsPort}`]
const local = { httpPort, tlsPort, resolvers, ranges: ['127.0.0.0/8'] }
const ctx = await openTestContext({}, { acme: local })
const sought = { token: 'token', keyAuthorization: 'token.thumbprint' }
const path = '/.well-known/acme-challenge/token'

/** What the servers answer, and how what is looked for fails there; nothing: it is found. */
const rows: readonly (readonly [string, Readonly<Record<string, string>>, RegExp?])[] = [
  ['the key authorization', { [path]: sought.keyAuthorization }],
  ['it with white space at its end', { [path]: `${sought.keyAuthorization}\r\n` }],
  ['something else', { [path]: 'token.other' }, /incorrectResponse .*answers something else/],
  ['it and more', { [path]: `${sought.keyAuthorization}x` }, /incorrectResponse/],
  ['a body without an end', { [path]: 'x'.repeat(5_000_000) }, /answers something else/],
  ['nothing', {}, /incorrectResponse .*answers status 404/],
  ['a redirect to another path', { [path]: '->/there', '/there': sought.keyAuthorization }],
  ['a redirect to another host', { [path]: '->http://else.test/' }, /redirects elsewhere/],
  ['a redirect to an address', { [path]: '->http://169.254.169.254/' }, /redirects elsewhere/],
  ['a redirect to another port', { [path]: '->http://a.shop.test:9/' }, /redirects elsewhere/],
  ['a redirect to a file', { [path]: '->file:///etc/passwd' }, /redirects elsewhere/],
  ['a redirect to no URL', { [path]: '->http://[' }, /redirects elsewhere/],
  ['a circle of redirects', { [path]: `->${path}` }, /redirects more than 3 times/],
]

for (const [what, answers, failure] of rows) {
  test(`where http-01 is answered by ${what}, it is ${failure ? 'refused' : 'found'}`, async () => {
    challenges.http.clear()
    for (const [at, body] of Object.entries(answers)) challenges.http.set(`a.shop.test${at}`, body)
    assert.match(await told(lookForHttp(ctx, { ...sought, value: 'a.shop.test' })), failure ?? /^$/)
  })
}

test('nothing is looked for on this machine unless it is said, and never where clouds tell secrets', async () => {
  const open = await openTestContext({}, { acme: { ...local, ranges: [] } })
  const value = 'a.shop.test'
  challenges.http.set(`${value}${path}`, sought.keyAuthorization)
  assert.match(await told(lookForHttp(open, { ...sought, value })), /^connection .*no address/)
  const wide = await openTestContext({}, { acme: { ...local, ranges: ['0.0.0.0/0', '::/0'] } })
  assert.equal(await told(lookForHttp(wide, { ...sought, value })), '')
  for (const address of ['169.254.169.254', '0.0.0.0', 'fe80::1', '::ffff:169.254.169.254']) {
    const look = lookForHttp(wide, { ...sought, value: address })
    assert.match(await told(look), /^connection .*no address/, address)
  }
})

/** The type and the message of a refusal; empty: there was none. */
async function told(look: Promise<void>): Promise<string> {
  try {
    await look
    return ''
  } catch (error) {
    if (error instanceof AcmeProblem) return `${error.type} ${error.message}`
    throw error
  }
}

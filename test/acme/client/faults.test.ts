import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { advanceAccount } from '../../../src/acme/client/account.ts'
import { advanceOrder } from '../../../src/acme/ordering/advance.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { day, hour } from '../../../src/shared/moment.ts'
import { leafLines, makeCa, refusing, type Twist } from '../../support/scriptedca.ts'
import { certificatesOf, openScripted, saidOn, work } from './scripted.ts'

const all = await openScripted()
const { ctx, clock, script, ca, calls, url, authorityId } = all

const { issue: usual } = script
afterEach(() => {
  script.twist = () => undefined
  script.issue = usual
  script.proofs = false
  script.verdict = 'valid'
})

/** What is said on a host of its own when the CA answers its first request of this path so, each time. */
async function saidAbout(path: string, twist: Twist): Promise<string> {
  const { id } = await all.host()
  script.twist = (asked) => (asked.path.startsWith(path) ? twist : undefined)
  await work(ctx, id, { clock, turns: 2 })
  script.twist = () => undefined
  const said = await saidOn(ctx, id)
  assert.equal((await certificatesOf(ctx, id)).length, 0)
  await ctx.db.read.caOrder.updateMany({
    where: { hostId: id },
    data: { endedAt: new Date(), cleanedAt: new Date() },
  })
  return said
}

const huge = 'x'.repeat(300_000)
const inside = 'https://169.254.169.254/latest'
const moved = { location: 'https://192.0.2.1/' }

const answers: readonly (readonly [string, string, Twist, RegExp])[] = [
  [
    'newOrder refused in words',
    '/newOrder',
    refusing('rejectedIdentifier', 'not that name', 400),
    /"public" says: not that name \(rejectedIdentifier\); the next attempt is at/,
  ],
  [
    'newOrder of HTML',
    '/newOrder',
    { status: 404, body: '<html>' },
    /It answered 404 and gave no reason/,
  ],
  [
    'newOrder redirected',
    '/newOrder',
    { status: 302, headers: moved },
    /It answered 302 and gave no reason/,
  ],
  ['newOrder without a URL', '/newOrder', { status: 201, body: {} }, /It gave the order no URL/],
  [
    'newOrder that is no order',
    '/newOrder',
    { status: 201, headers: { location: `${url}/order/0` }, body: [1] },
    /answers no order/,
  ],
  ['newOrder of a huge body', '/newOrder', { body: huge }, /longer than 256 KiB/],
  [
    'an order at a private address',
    '/newOrder',
    {
      status: 201,
      headers: { location: inside },
      body: { status: 'pending', finalize: inside, authorizations: [inside] },
    },
    /169\.254\.169\.254 is not sent to/,
  ],
  [
    'an order whose URL is relative',
    '/newOrder',
    {
      status: 201,
      headers: { location: '/order/0' },
      body: { status: 'ready', finalize: '/f', authorizations: [] },
    },
    /is no URL of http or https/,
  ],
  ['an authorization that is none', '/authz', { body: { status: 7 } }, /answers no authorization/],
  [
    'an order that is invalid',
    '/order',
    {
      body: {
        status: 'invalid',
        finalize: url,
        authorizations: [],
        error: { detail: 'CAA forbids it', type: 'urn:ietf:params:acme:error:caa' },
      },
    },
    /The order is invalid: CAA forbids it \(caa\)/,
  ],
  ['a certificate that is none', '/certificate', { body: 'hello' }, /is not believed/],
  ['a certificate of a huge body', '/certificate', { body: huge }, /longer than 256 KiB/],
  [
    'the CA away',
    '/newOrder',
    { status: 503, body: 'busy' },
    /It answered 503 and gave no reason .*it is asked again at/,
  ],
]
for (const [what, path, twist, sentence] of answers) {
  test(`${what} is told on the host, and nothing is taken`, async () => {
    const said = await saidAbout(path, twist)
    assert.match(said, sentence)
    assert.ok(said.length < 700, said)
  })
}

test('an order that the CA never ends is asked about ever more seldom, and given up after three days', async () => {
  const { id } = await all.host()
  const processing = { status: 'processing', finalize: url, authorizations: [] }
  script.twist = ({ path }) => {
    return path.startsWith('/order/')
      ? { headers: { 'retry-after': '0' }, body: processing }
      : undefined
  }
  await certifyHost(ctx, id)
  const order = await ctx.db.read.caOrder.findFirstOrThrow({ where: { hostId: id } })
  const before = calls.length
  await advanceOrder(ctx, order.id)
  assert.ok(calls.length - before < 12, calls.slice(before).join())
  assert.match(await saidOn(ctx, id), /the CA is issuing it/)
  clock.at += 4 * day
  await advanceOrder(ctx, order.id)
  script.twist = () => undefined
  assert.match(await saidOn(ctx, id), /did not issue it within three days/)
})

test('certificates that do not fit what was ordered are not believed, whatever is wrong with them', async () => {
  const stranger = makeCa('another CA')
  const wrong: readonly (readonly [string, typeof script.issue, RegExp])[] = [
    [
      'one of other names',
      (csr) => ca.sign(csr, leafLines(['bank.test'])) + ca.pem,
      /it is not for h\d+\.shop\.test/,
    ],
    [
      'one of a name more',
      (csr, names) => ca.sign(csr, leafLines([...names, 'bank.test'])) + ca.pem,
      /it is for bank\.test, too/,
    ],
    [
      'one without names',
      (csr) => ca.sign(csr, 'extendedKeyUsage=serverAuth\n') + ca.pem,
      /it is not for/,
    ],
    [
      'one of another key',
      (_, names) => ca.sign(stranger.request, leafLines(names)) + ca.pem,
      /it is of another key/,
    ],
    [
      'that of a CA',
      (csr, names) =>
        ca.sign(csr, `subjectAltName=DNS:${names[0]}\nbasicConstraints=critical,CA:TRUE\n`) +
        ca.pem,
      /it is that of a CA/,
    ],
    [
      'one for clients',
      (csr, names) =>
        ca.sign(csr, `subjectAltName=DNS:${names[0]}\nextendedKeyUsage=clientAuth\n`) + ca.pem,
      /it is not for servers/,
    ],
    [
      'one of another CA',
      (csr, names) => stranger.sign(csr, leafLines(names)) + stranger.pem,
      /no root that is trusted/,
    ],
    [
      'one of another CA under the chain of its own',
      (csr, names) => stranger.sign(csr, leafLines(names)) + ca.pem,
      /no root that is trusted|signature/,
    ],
    ['no certificate', () => '', /there is no certificate in it/],
  ]
  for (const [what, issue, sentence] of wrong) {
    const { id } = await all.host()
    script.issue = issue
    await work(ctx, id, { clock })
    assert.match(await saidOn(ctx, id), sentence, what)
    assert.equal((await certificatesOf(ctx, id)).length, 0, what)
  }
})

test('one that has ended, or is not valid yet, is not believed', async () => {
  const { id } = await all.host()
  clock.at += 100 * day
  await work(ctx, id, { clock })
  clock.at -= 100 * day
  assert.match(await saidOn(ctx, id), /it ended at/)
  const other = await all.host()
  clock.at -= 10 * day
  await work(ctx, other.id, { clock })
  clock.at += 10 * day
  assert.match(await saidOn(ctx, other.id), /it begins at/)
})

test('a refused order is tried again after an hour, then after twice as long', async () => {
  const { id } = await all.host()
  script.twist = ({ path }) =>
    path === '/newOrder' ? refusing('rejectedIdentifier', 'no') : undefined
  for (const hours of [1, 2, 4]) {
    const at = clock.at
    await work(ctx, id, { clock, turns: 2, seconds: 0 })
    const { message } = await ctx.db.read.placement.findFirstOrThrow({ where: { hostId: id } })
    assert.ok(message?.includes(new Date(at + hours * hour).toISOString()), `${hours}: ${message}`)
    const [job] = await ctx.db.statement(
      'select run_at from graphile_worker._private_jobs where key = $1',
      [`host.certify/${id}`],
    )
    assert.deepEqual(job, { run_at: new Date(at + hours * hour) })
    // As it would be left by work that is done at its time.
    await ctx.db.statement('delete from graphile_worker._private_jobs where key = $1', [
      `host.certify/${id}`,
    ])
  }
  script.twist = () => undefined
})

test('four proofs of a name that fail within an hour are enough', async () => {
  const { id, name } = await all.host()
  script.proofs = true
  script.verdict = 'invalid'
  for (let turn = 1; turn <= 6; turn++) {
    await work(ctx, id, { clock, turns: 10 })
    const invalid = await ctx.db.read.caChallenge.count({ where: { hostId: id } })
    assert.equal(invalid, Math.min(turn, 4))
    const sentence =
      turn < 4
        ? `${name} is not proved: no such record \\(dns\\)`
        : 'so that it does not refuse the name'
    assert.match(await saidOn(ctx, id), new RegExp(sentence))
  }
  clock.at += 2 * hour
  script.verdict = 'valid'
  await work(ctx, id, { clock, turns: 10 })
  assert.equal((await certificatesOf(ctx, id)).length, 1)
})

test('a CA that limits orders is left alone as long as it says, by all hosts', async () => {
  const limited = refusing('rateLimited', 'too many orders of late', 429) as {
    status: number
    body: object
  }
  script.twist = ({ path }) => {
    return path === '/newOrder' ? { ...limited, headers: { 'retry-after': '300' } } : undefined
  }
  const first = await all.host()
  await work(ctx, first.id, { clock, turns: 1, seconds: 0 })
  const until = new Date(clock.at + 300_000)
  assert.match(
    await saidOn(ctx, first.id),
    new RegExp(`too many orders of late .*${until.toISOString()}`),
  )
  const before = calls.length
  const second = await all.host()
  await work(ctx, second.id, { clock, turns: 3, seconds: 1 })
  assert.equal(calls.length, before)
  assert.match(await saidOn(ctx, second.id), /the CA takes no orders before/)
  script.twist = () => undefined
  clock.at += 301_000
  await work(ctx, second.id, { clock })
  await work(ctx, first.id, { clock })
  assert.equal((await certificatesOf(ctx, second.id)).length, 1)
  assert.equal((await certificatesOf(ctx, first.id)).length, 1)
})

test('a nonce that is refused is replaced by another, and not for ever', async () => {
  const { id } = await all.host()
  let left = 3
  script.twist = ({ path }) => {
    return path === '/newOrder' && left-- > 0 ? refusing('badNonce', 'stale') : undefined
  }
  await work(ctx, id, { clock })
  assert.equal((await certificatesOf(ctx, id)).length, 1)
  const other = await all.host()
  const before = calls.length
  script.twist = ({ path }) => (path === '/newOrder' ? refusing('badNonce', 'stale') : undefined)
  await work(ctx, other.id, { clock, turns: 1 })
  script.twist = () => undefined
  assert.ok(calls.length - before < 20)
  assert.match(await saidOn(ctx, other.id), /stale \(badNonce\); it is asked again at/)
})

test('a certificate that is due as it comes is taken, and no more than four of a host are had in an hour', async () => {
  const { id, name } = await all.host()
  for (let turn = 0; turn < 7; turn++) {
    await work(ctx, id, { clock })
    await ctx.db.read.certificate.updateMany({
      where: { hostId: id },
      data: { renewAt: new Date(clock.at - 1_000) },
    })
  }
  assert.equal((await certificatesOf(ctx, id)).length, 4)
  const held = await ctx.db.read.certificate.findFirstOrThrow({
    where: { hostId: id, renewError: { not: null } },
  })
  assert.match(
    held.renewError ?? '',
    new RegExp(`4 certificates of ${name} were issued within an hour`),
  )
})

test('an account that the CA has ended is told on its authority with what opens another, and orders wait', async () => {
  const { id } = await all.host()
  script.twist = ({ path }) => {
    if (path === '/newOrder') return refusing('unauthorized', 'Account is not valid', 403)
    return path.startsWith('/account') ? { body: { status: 'deactivated' } } : undefined
  }
  await work(ctx, id, { clock, turns: 2 })
  script.twist = () => undefined
  const row = await ctx.db.read.caAccount.findUniqueOrThrow({ where: { authorityId } })
  assert.equal(row.state, 'failed')
  assert.match(
    row.message ?? '',
    /The CA has ended the account \(it is deactivated\): POST \/v1\/authorities\/public\/account-key\/rotate opens another/,
  )
  assert.match(await saidOn(ctx, id), /the account with the CA is failed: The CA has ended/)
  await advanceAccount(ctx, authorityId)
  await work(ctx, id, { clock })
  assert.equal((await certificatesOf(ctx, id)).length, 1)
})

test('an account that the CA does not know is opened anew by itself', async () => {
  const { id } = await all.host()
  const unknown = refusing('accountDoesNotExist', 'no such account')
  script.twist = ({ path }) => {
    return path === '/newOrder' || path.startsWith('/account') ? unknown : undefined
  }
  await work(ctx, id, { clock, turns: 2 })
  assert.match(await saidOn(ctx, id), /the account with the CA is registering|which is opened anew/)
  script.twist = () => undefined
  await advanceAccount(ctx, authorityId)
  await work(ctx, id, { clock })
  assert.equal((await certificatesOf(ctx, id)).length, 1)
})

test('terms that have changed are told with where they are agreed to, and the order waits', async () => {
  const { id } = await all.host()
  const terms = refusing('userActionRequired', 'The terms have changed', 403, {
    instance: 'https://ca.test/terms/7',
  })
  script.twist = ({ path }) => (path === '/newOrder' ? terms : undefined)
  await work(ctx, id, { clock, turns: 2 })
  const sentence = /The terms have changed; go to https:\/\/ca\.test\/terms\/7/
  assert.match(await saidOn(ctx, id), sentence)
  const account = () => ctx.db.read.caAccount.findUniqueOrThrow({ where: { authorityId } })
  assert.match((await account()).message ?? '', sentence)
  script.twist = () => undefined
  await work(ctx, id, { clock })
  assert.equal((await certificatesOf(ctx, id)).length, 1)
  assert.deepEqual([(await account()).message, (await account()).problem], [null, null])
})

test('a directory without what is needed, and a binding that is refused, are told on the authority', async () => {
  const directory = (body: unknown): void => {
    script.twist = ({ path }) => (path.startsWith('/directory') ? { body } : undefined)
  }
  const rows = [
    [
      { newNonce: `${url}/n`, newAccount: `${url}/a`, revokeCert: `${url}/r` },
      /it has no URL for newOrder/,
    ],
    ['<html>', /it is no JSON object/],
    [{}, /it has no URL for newNonce, newAccount, newOrder, revokeCert/],
  ] as const
  for (const [index, [body, sentence]] of rows.entries()) {
    const id = await all.account(`odd-${index}`, { directory: `${url}/directory?${index}` })
    directory(body)
    await advanceAccount(ctx, id)
    const { state, message } = await ctx.db.read.caAccount.findUniqueOrThrow({
      where: { authorityId: id },
    })
    assert.equal(state, 'registering')
    assert.match(message ?? '', sentence)
  }
  const hmacKey = 'c2VjcmV0LXNlY3JldC1zZWNyZXQ'
  const id = await all.account('bound', { externalAccountBinding: { keyId: 'k1', hmacKey } })
  script.twist = ({ path }) => {
    return path === '/newAccount' ? refusing('unauthorized', 'no such key id', 403) : undefined
  }
  await advanceAccount(ctx, id)
  script.twist = () => undefined
  const { state, message } = await ctx.db.read.caAccount.findUniqueOrThrow({
    where: { authorityId: id },
  })
  assert.equal(state, 'failed')
  assert.match(
    message ?? '',
    /no such key id\. .*externalAccountBinding \(PATCH \/v1\/authorities\/bound\)/,
  )
  const told = JSON.stringify(await ctx.db.statement('select * from audit_event', []))
  assert.ok(!told.includes(hmacKey) && told.includes('bound'))
})

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { CaRefusal, isPassing } from '../../../src/acme/client/refusal.ts'
import { updateDns } from '../../../src/acme/proving/rfc2136/update.ts'
import { openTestContext } from '../../support/context.ts'
import { named, openNameServer } from '../../support/nameserver.ts'

// Against BIND's own server. What it refuses is told in words; what others pretend that it says is not believed.

const skip = named ? false : 'no name server: named is not installed'
const note = skip ? ` (skipped: ${skip})` : ''
const records = 'www.alias 0 CNAME proofs\n_acme-challenge.led 0 CNAME kept.proofs\n'
const dns = skip ? undefined : await openNameServer({ records })
const clock = { ahead: 0 }
const ctx = await openTestContext(
  { now: () => new Date(Date.now() + clock.ahead) },
  {
    caRanges: ['127.0.0.0/8'],
    acme: {
      ...(await openTestContext()).config.acme,
      resolvers: dns ? [dns.address] : ['127.0.0.1:9'],
    },
  },
)

function update() {
  assert.ok(dns)
  const { address: server, keyName, algorithm, secret } = dns
  return { server, zone: 'shop.test', keyName, algorithm, secret }
}

type Change = Parameters<typeof updateDns>[2]

const at = (name: string, value: string, action: Change['action'] = 'present'): Change => ({
  ...{ action, name, value },
})

async function textsAt(name: string): Promise<readonly string[]> {
  assert.ok(dns)
  const resolver = new Resolver()
  resolver.setServers([dns.address])
  const found = await resolver.resolveTxt(name).catch(() => [])
  return found.map((parts) => parts.join('')).toSorted()
}

/** With what it is refused. */
async function refusalOf(work: Promise<void>) {
  const error: unknown = await work.then(
    () => new Error('it was not refused'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof CaRefusal, `${error}`)
  return { problem: error.problem, words: error.message, passes: isPassing(error) }
}

test(`a record is there once however often it is put there, and gone however often it is taken away${note}`, {
  skip,
}, async () => {
  const name = '_acme-challenge.www.shop.test'
  for (const _ of [1, 2]) await updateDns(ctx, update(), at(name, 'one'))
  assert.deepEqual(await textsAt(name), ['one'])
  for (const _ of [1, 2]) await updateDns(ctx, update(), at(name, 'one', 'cleanup'))
  assert.deepEqual(await textsAt(name), [])
})

test(`two values of a name are there at a time, and to take one away leaves the other${note}`, {
  skip,
}, async () => {
  const name = '_acme-challenge.shop.test'
  await Promise.all(['apex', 'wildcard'].map((each) => updateDns(ctx, update(), at(name, each))))
  assert.deepEqual(await textsAt(name), ['apex', 'wildcard'])
  await updateDns(ctx, update(), at(name, 'apex', 'cleanup'))
  assert.deepEqual(await textsAt(name), ['wildcard'])
  await updateDns(ctx, update(), at(name, 'wildcard', 'cleanup'))
  assert.deepEqual(await textsAt(name), [])
})

test(`where no zone is named, the server is asked for it in the name of the key${note}`, {
  skip,
}, async () => {
  const { zone: _, ...rest } = update()
  for (const name of ['_acme-challenge.shop.test', '_acme-challenge.a.b.shop.test', 'shop.test']) {
    await updateDns(ctx, rest, at(name, 'found'))
    assert.deepEqual(await textsAt(name), ['found'])
    await updateDns(ctx, rest, at(name, 'found', 'cleanup'))
  }
  for (const [other, name, words] of [
    [{ keyName: 'other' }, '_acme-challenge.shop.test', /no key "other" of hmac-sha256.*BADKEY/],
    [{ secret: randomBytes(32).toString('base64') }, 'shop.test', /secret.*BADSIG/],
    [{ server: '127.0.0.1:9' }, 'shop.test', /ECONNREFUSED/],
  ] as const) {
    const refusal = await refusalOf(updateDns(ctx, { ...rest, ...other }, at(name, 'x')))
    assert.match(refusal.words, words)
  }
})

test(`a record that is an alias is put where that leads${note}`, { skip }, async () => {
  await updateDns(ctx, update(), at('_acme-challenge.led.shop.test', 'one'))
  assert.deepEqual(await textsAt('kept.proofs.shop.test'), ['one'])
  await updateDns(ctx, update(), at('_acme-challenge.led.shop.test', 'one', 'cleanup'))
  assert.deepEqual(await textsAt('kept.proofs.shop.test'), [])
})

for (const [what, other, words, passes] of [
  [
    'a key that it does not know',
    { keyName: 'other' },
    /no key "other" of hmac-sha256.*BADKEY/,
    false,
  ],
  [
    'a key of another algorithm',
    { algorithm: 'hmac-sha512' },
    /of hmac-sha512.*\(BAD(KEY|SIG)\)/,
    false,
  ],
  ['another secret', { secret: randomBytes(32).toString('base64') }, /secret.*\(BADSIG\)/, false],
  [
    'a zone that it does not have',
    { zone: 'test' },
    /not the primary server of test \(NOTAUTH\)/,
    false,
  ],
  ['a name that is not in the zone', { zone: 'other.test' }, /not in the zone other.test/, false],
  ['a server that is not there', { server: '127.0.0.1:9' }, /127.0.0.1:9: .*ECONNREFUSED/, true],
  ['a server that is not to be reached', { server: '169.254.169.254' }, /not sent to/, true],
  ['a server of a private network', { server: '10.1.2.3:53' }, /GATESMITH_CA_RANGES/, true],
] as const) {
  test(`${what} is refused, and told in words${note}`, { skip }, async () => {
    const changed = { ...update(), ...other }
    const refusal = await refusalOf(
      updateDns(ctx, changed, at('_acme-challenge.www.shop.test', 'x')),
    )
    assert.match(refusal.words, words)
    assert.equal(refusal.passes, passes)
    assert.ok(!refusal.words.includes(changed.secret))
  })
}

test(`a clock that is off is refused for now, with by how much${note}`, { skip }, async () => {
  clock.ahead = 3_600_000
  const refusal = await refusalOf(
    updateDns(ctx, update(), at('_acme-challenge.www.shop.test', 'x')),
  )
  clock.ahead = 0
  assert.match(refusal.words, /its clock differs by (3599|3600|3601) s \(BADTIME\)/)
  assert.equal(refusal.passes, true)
  assert.deepEqual(await textsAt('_acme-challenge.www.shop.test'), [])
})

test(`a key that may not change a name is refused, and by one that may it is changed${note}`, {
  skip,
}, async () => {
  const grants = 'grant gatesmith name _acme-challenge.www.shop.test TXT;'
  const { address: server, secret } = await openNameServer({ grants })
  const narrow = { ...update(), server, secret }
  const refusal = await refusalOf(updateDns(ctx, narrow, at('_acme-challenge.shop.test', 'x')))
  assert.match(refusal.words, /may not change _acme-challenge.shop.test there \(REFUSED\)/)
  assert.equal(refusal.passes, false)
  await updateDns(ctx, narrow, at('_acme-challenge.www.shop.test', 'x'))
})

/** A server that hands datagrams on to the real one, and its answers back, after what `before` makes of a request. */
async function openRelay(before: (request: Buffer) => readonly Buffer[]): Promise<string> {
  const [front, back] = [createSocket('udp4'), createSocket('udp4')]
  let client = { port: 0, address: '' }
  front.on('message', (request, from) => {
    client = from
    for (const each of before(request)) front.send(each, client.port, client.address)
    back.send(request, dns?.port ?? 0, '127.0.0.1')
  })
  back.on('message', (answer) => front.send(answer, client.port, client.address))
  await new Promise<void>((done) => front.bind(0, '127.0.0.1', done))
  after(() => {
    front.close()
    back.close()
  })
  return `127.0.0.1:${front.address().port}`
}

/** An answer without a signature to a request. */
function unsigned(request: Buffer, rcode: number): Buffer {
  const answer = Buffer.alloc(12)
  request.copy(answer, 0, 0, 2)
  answer.writeUInt16BE(0xa800 | rcode, 2)
  return answer
}

test(`where nothing listens by TCP it is done by UDP, and what others answer before is not taken${note}`, {
  skip,
}, async () => {
  const server = await openRelay((request) => [
    ...[unsigned(request, 5), unsigned(request, 0), Buffer.from('nothing'), Buffer.alloc(0)],
    Buffer.concat([request.subarray(0, 2), Buffer.from([0xa8]), request.subarray(3)]),
  ])
  const name = '_acme-challenge.udp.shop.test'
  await updateDns(ctx, { ...update(), server }, at(name, 'one'))
  assert.deepEqual(await textsAt(name), ['one'])
  await updateDns(ctx, { ...update(), server }, at(name, 'one', 'cleanup'))
  const secret = randomBytes(32).toString('base64')
  const wrong = { ...update(), server: await openRelay(() => []), secret }
  const refusal = await refusalOf(updateDns(ctx, wrong, at(name, 'one')))
  assert.match(refusal.words, /BADSIG/)
})

/** A server by TCP that answers a request with this. */
async function openTcp(answer: (request: Buffer, socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('data', (data) => answer(data.subarray(2), socket))
    socket.on('error', () => undefined)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  after(() => server.close())
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}

for (const [what, answer, words, passes] of [
  ['does not sign its yes', (request: Buffer) => framed(unsigned(request, 0)), /not signed/, false],
  ['fails', (request: Buffer) => framed(unsigned(request, 2)), /SERVFAIL/, true],
  ['takes no updates', (request: Buffer) => framed(unsigned(request, 4)), /NOTIMP/, false],
  ['says what nobody knows', (request: Buffer) => framed(unsigned(request, 13)), /RCODE 13/, false],
  ['answers another', () => framed(unsigned(Buffer.from([1, 2]), 0)), /cannot be reached/, true],
  ['answers nonsense', () => Buffer.alloc(70_000, 0xff), /cannot be reached/, true],
  ['echoes', (request: Buffer) => framed(request), /cannot be reached/, true],
] as const) {
  test(`a server that ${what} is not taken to have done it${note}`, { skip }, async () => {
    const server = await openTcp((request, socket) => socket.end(answer(request)))
    const changed = { ...update(), server }
    const refusal = await refusalOf(
      updateDns(ctx, changed, at('_acme-challenge.www.shop.test', 'x')),
    )
    assert.match(refusal.words, words)
    assert.equal(refusal.passes, passes)
  })
}

test(`a server that says nothing is waited for ten seconds, and no longer${note}`, {
  skip,
}, async () => {
  const sockets: Socket[] = []
  const server = await openTcp((_, socket) => sockets.push(socket))
  const begun = performance.now()
  const changed = { ...update(), server }
  const refusal = await refusalOf(updateDns(ctx, changed, at('_acme-challenge.www.shop.test', 'x')))
  for (const each of sockets) each.destroy()
  assert.match(refusal.words, /did not answer in 10 s/)
  assert.ok(performance.now() - begun < 14_000)
})

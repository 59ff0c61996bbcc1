import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  readAnswer,
  updateMessage,
  withoutTsig,
} from '../../../src/acme/proving/rfc2136/message.ts'
import {
  MalformedMessage,
  readWireName,
  wireName,
} from '../../../src/acme/proving/rfc2136/names.ts'
import { signatureFault, signRequest } from '../../../src/acme/proving/rfc2136/tsig.ts'
import { vectors } from './vectors.ts'

const secrets = {
  'hmac-sha256': Buffer.from('gatesmith: 32 octets of one key!'),
  'hmac-sha384': Buffer.alloc(48, 0x5a),
  'hmac-sha512': Buffer.alloc(64, 0xa5),
} as const
const change = {
  zone: 'shop.test',
  name: '_acme-challenge.Www.shop.test.',
  value: 'b25lIHZhbHVlIG9mIGEgY2hhbGxlbmdlIG9mIGRucw',
} as const

/** A message of nsupdate, its case of names as ours, and what signs it. */
function vectorOf(kind: string, algorithm: keyof typeof secrets) {
  const found = vectors.find((each) => each.kind === kind && each.algorithm === algorithm)
  assert.ok(found)
  const [request, answer] = [found.request, found.answer].map((hex) => Buffer.from(hex, 'hex'))
  assert.ok(request && answer)
  const key = { name: 'Update.Key', algorithm, secret: secrets[algorithm] }
  // An answer is read; a request is, once it says that it is one.
  const asAnswer = Buffer.from(request)
  asAnswer.writeUInt16BE(asAnswer.readUInt16BE(2) | 0x8000, 2)
  const { signature } = readAnswer(asAnswer)
  assert.ok(signature)
  return { request, answer, key, signature }
}

for (const algorithm of ['hmac-sha256', 'hmac-sha384', 'hmac-sha512'] as const) {
  test(`what nsupdate signs by ${algorithm} is signed here alike, and what named answers is believed`, () => {
    const { request, answer, key, signature } = vectorOf('add', algorithm)
    const signed = signRequest(withoutTsig(request, signature), key, signature.tsig.time)
    assert.equal(signed.octets.toString('hex'), request.toString('hex'))
    assert.deepEqual(signed.mac, signature.tsig.mac)
    const read = readAnswer(answer)
    const { time } = signature.tsig
    const held = { key, requestMac: signed.mac, time }
    assert.equal(read.rcode, 0)
    assert.equal(signatureFault(answer, read, held), undefined)
    assert.equal(signatureFault(answer, read, { ...held, time: time + 301 }), 'badtime')
    const requestMac = Buffer.alloc(signed.mac.length)
    assert.equal(signatureFault(answer, read, { ...held, requestMac }), 'badsig')
    const other = { ...key, name: 'another.key' }
    assert.equal(signatureFault(answer, read, { ...held, key: other }), 'badkey')
  })
}

for (const [kind, action] of [
  ['add', 'present'],
  ['delete', 'cleanup'],
] as const) {
  test(`an update that is to ${kind} a record is that of nsupdate, octet for octet`, () => {
    const { request, signature } = vectorOf(kind, 'hmac-sha256')
    const theirs = withoutTsig(request, signature)
    const ours = updateMessage(theirs.readUInt16BE(0), { action, ...change })
    assert.equal(ours.toString('hex'), lower(theirs).toString('hex'))
  })
}

/** Names in lower case: the value of the record, which has letters of both, is the last of it. */
function lower(message: Buffer): Buffer {
  const at = message.length - change.value.length
  const names = message.subarray(12, at).toString('latin1').toLowerCase()
  return Buffer.concat([
    message.subarray(0, 12),
    Buffer.from(names, 'latin1'),
    message.subarray(at),
  ])
}

test('no octet of an answer can be another without being noticed', () => {
  const { answer, key, signature } = vectorOf('add', 'hmac-sha256')
  const held = { key, requestMac: signature.tsig.mac, time: signature.tsig.time }
  for (const [at] of answer.entries()) {
    const changed = Buffer.from(answer)
    changed[at] = (changed[at] ?? 0) ^ 0x01
    // The id of the message is not signed, that of the request is: the id is held against the request.
    if (at < 2) continue
    const fault = faultOf(() => signatureFault(changed, readAnswer(changed), held))
    assert.ok(fault !== undefined, `octet ${at}`)
  }
})

function faultOf(work: () => string | undefined): string | undefined {
  try {
    return work()
  } catch (error) {
    assert.ok(error instanceof MalformedMessage || error instanceof RangeError)
    return 'malformed'
  }
}

test('an answer about a key that is not known, or a signature that is wrong, is read and not believed', () => {
  for (const [kind, error] of [
    ['badsig', 16],
    ['badkey', 17],
  ] as const) {
    const { answer, key, signature } = vectorOf(kind, 'hmac-sha256')
    const read = readAnswer(answer)
    assert.equal(read.rcode, 9)
    assert.equal(read.signature?.tsig.error, error)
    const held = { key, requestMac: signature.tsig.mac, time: signature.tsig.time }
    assert.equal(signatureFault(answer, read, held), 'unsigned')
  }
})

test('octets that are no answer are refused, whatever they are', () => {
  const { answer } = vectorOf('add', 'hmac-sha256')
  for (let length = 0; length < answer.length; length++) {
    assert.notEqual(
      faultOf(() => `${readAnswer(answer.subarray(0, length)).rcode}`),
      '0',
    )
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (octets) => {
      const message = Buffer.concat([Buffer.from('000128', 'hex').fill(0xa8, 2), octets])
      faultOf(() => `${readAnswer(message).rcode}`)
    }),
  )
})

test('names are those of RFC 1035, and a pointer that leads to itself or ahead is refused', () => {
  assert.equal(wireName('Ab.c.').toString('hex'), '026162016300')
  for (const text of ['', '.', 'a..b', `${'a'.repeat(64)}.b`, 'a b', 'ä.b', 'a.'.repeat(128)]) {
    assert.throws(() => wireName(text), MalformedMessage, text)
  }
  const message = Buffer.from('0161000162c000c007c0090163c00a', 'hex')
  assert.deepEqual(readWireName(message, 3), { name: Buffer.from('0162016100', 'hex'), end: 7 })
  for (const at of [7, 9, 11]) assert.throws(() => readWireName(message, at), MalformedMessage)
})

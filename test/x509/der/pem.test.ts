import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readPem, toPem } from '../../../src/x509/der/pem.ts'
import { growth } from '../../support/cost.ts'

const one = toPem('CERTIFICATE', Buffer.from('one'))
const two = toPem('X', Buffer.alloc(100, 7))

test('blocks come back in order, with text between them and CRLF', () => {
  const text = `subject=a\n${one}\nnotes -----BEGIN in a line\n${two}tail`.replaceAll('\n', '\r\n')
  assert.deepEqual(readPem(text), [Buffer.from('one'), Buffer.alloc(100, 7)])
})

test('only blocks of the label asked for', () => {
  assert.deepEqual(readPem(two + one, 'CERTIFICATE'), [Buffer.from('one')])
})

test('lines have 64 characters', () => {
  assert.deepEqual(
    two.split('\n').map((line) => line.length),
    [17, 64, 64, 8, 15, 0],
  )
})

for (const [why, text] of [
  ['no block', 'hello'],
  ['no block of the label', two],
  ['no end', '-----BEGIN CERTIFICATE-----\nAAAA\n'],
  ['another end', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END X-----\n'],
  ['a broken label', '-----BEGIN certificate-----\nAAAA\n-----END certificate-----'],
  ['headers', '-----BEGIN CERTIFICATE-----\nProc-Type: 4\n\nAAAA\n-----END CERTIFICATE-----'],
  ['bad base64', '-----BEGIN CERTIFICATE-----\nA*AA\n-----END CERTIFICATE-----'],
  ['short base64', '-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----'],
  ['nothing inside', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----'],
] as const)
  test(`PEM with ${why} is refused`, () =>
    assert.throws(() => readPem(text, 'CERTIFICATE'), { code: 'pem-malformed' }))

test('too many bytes are refused before looking, too many blocks at the one too many', () => {
  const large = { code: 'pem-too-large' }
  assert.throws(() => readPem('x'.repeat(101), undefined, { bytes: 100, blocks: 9 }), large)
  assert.throws(() => readPem(one.repeat(3), undefined, { bytes: 1000, blocks: 2 }), large)
  assert.equal(readPem(one.repeat(2), undefined, { bytes: 1000, blocks: 2 }).length, 2)
})

test('many openings take linear time', () => {
  for (const text of ['-----BEGIN A-----\n', '-----BEGIN ', '\n-----BEGIN ']) {
    const refused = (text: string) => assert.throws(() => readPem(text), { name: 'X509Error' })
    const large = text.repeat(90_000).slice(0, 1 << 20)
    const grown = growth({ small: large.slice(0, 1 << 16), large, times: 16 }, refused)
    assert.ok(grown < 5, `${text}: ${grown}`)
  }
})

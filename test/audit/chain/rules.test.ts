import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import {
  type LogKey,
  readCheckpoint,
  readVerifierKey,
  signCheckpoint,
  verifierKey,
} from '../../../src/audit/chain/checkpoint.ts'
import { type Edge, edgeFrom, grown, merkleRoot } from '../../../src/audit/chain/tree.ts'
import { canonical } from '../../../src/core/canonical.ts'

const sha256 = (...parts: readonly Uint8Array[]) =>
  createHash('sha256').update(Buffer.concat(parts)).digest()

/** The definition of RFC 9162 2.1.1, word by word. */
function treeHash(leaves: readonly Buffer[]): Buffer {
  const [first] = leaves
  if (first === undefined) return sha256()
  if (leaves.length === 1) return sha256(Buffer.of(0), first)
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  return sha256(Buffer.of(1), treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split)))
}

const leaves = Array.from({ length: 70 }, (_, at) => sha256(Buffer.of(at)))

test('a tree of any size has the root that RFC 9162 defines, however it grew', () => {
  for (let size = 0; size <= leaves.length; size++) {
    const expected = treeHash(leaves.slice(0, size))
    assert.deepEqual(merkleRoot(grown([], 0n, leaves.slice(0, size))), expected)
    const half: Edge = grown([], 0n, leaves.slice(0, size >> 1))
    const stored = edgeFrom(Buffer.concat(half))
    const rest = grown(stored, BigInt(size >> 1), leaves.slice(size >> 1, size))
    assert.deepEqual(merkleRoot(rest), expected)
  }
})

test('JSON in its canonical form is that of RFC 8785', () => {
  // The example of its section 3.2.2, and the order of its section 3.2.3.
  const numbers = [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001]
  const sample = {
    numbers,
    string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
    literals: [null, true, false],
  }
  assert.equal(
    canonical(sample),
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  )
  const names = ['\u20ac', '\r', '\ufb33', '1', '\ud83d\ude00', '\u0080', '\u00f6']
  const sorted = ['\r', '1', '\u0080', '\u00f6', '\u20ac', '\ud83d\ude00', '\ufb33']
  const object = Object.fromEntries(names.map((name) => [name, name]))
  assert.deepEqual(Object.keys(JSON.parse(canonical(object))).toSorted(), sorted.toSorted())
  const places = sorted.map((name) => canonical(object).indexOf(JSON.stringify(name)))
  assert.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
  )
})

const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const key: LogKey = {
  origin: 'pki.example.com/audit',
  publicKey: Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'),
}
const checkpoint = {
  origin: key.origin,
  size: 7n,
  root: merkleRoot(grown([], 0n, leaves.slice(0, 7))),
}
const note = signCheckpoint(checkpoint, key, privateKey)

test('a checkpoint is a signed note that says origin, size and root', () => {
  const [origin, size, root, empty, signature] = note.split('\n')
  assert.deepEqual(
    [origin, size, root, empty],
    ['pki.example.com/audit', '7', checkpoint.root.toString('base64'), ''],
  )
  assert.match(signature ?? '', /^— pki\.example\.com\/audit [A-Za-z0-9+/=]+$/)
  assert.deepEqual(readCheckpoint(note, key), checkpoint)
})

test('a checkpoint that says anything else than was signed is none', () => {
  for (const wrong of [
    note.replace('\n7\n', '\n8\n'),
    note.replace(/\n[^\n]+=\n/, `\n${sha256().toString('base64')}\n`),
    note.replaceAll('pki.example.com', 'pki.example.org'),
    note.slice(0, -10),
    '',
  ]) {
    assert.equal(readCheckpoint(wrong, key), undefined)
  }
})

test('the key of a log goes in one line, and comes back out of it', () => {
  assert.deepEqual(readVerifierKey(verifierKey(key)), key)
  assert.equal(readVerifierKey(verifierKey(key).replace('example', 'elsewhere')), undefined)
  assert.equal(readVerifierKey('nothing'), undefined)
})

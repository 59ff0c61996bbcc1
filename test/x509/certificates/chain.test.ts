import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { verifyIssued } from '../../../src/x509/certificates/chain.ts'
import type { ParsedCertificate } from '../../../src/x509/certificates/read.ts'
import { generateKey } from '../../../src/x509/keys/generate.ts'
import { spkiOf } from '../../../src/x509/keys/public.ts'
import {
  type Authority,
  authority,
  issued,
  pemOf,
  period,
  put,
  run,
  scratch,
  templateFor,
} from '../support.ts'

const directory = scratch()
let oldRoot: Authority
let newRoot: Authority
let middle: Authority
let crossed: ParsedCertificate
let leaf: ParsedCertificate

before(async () => {
  oldRoot = await authority('ECDSA_P256', { subject: { commonName: 'Old root' } })
  newRoot = await authority('ECDSA_P384', { subject: { commonName: 'New root' } })
  middle = await authority('ECDSA_P256', { subject: { commonName: 'Middle' } }, newRoot)
  const cross = { profile: 'root', subject: newRoot.certificate.subjectDer } as const
  const template = templateFor(newRoot.keys, { ...cross, profile: 'intermediate' }, oldRoot)
  crossed = await issued(template, oldRoot.signer)
  leaf = await issued(templateFor(await generateKey('ECDSA_P256'), {}, middle), middle.signer)
})

test('an issued certificate has no faults, and a root issued itself', () => {
  assert.deepEqual(verifyIssued(leaf, middle.certificate), [])
  assert.deepEqual(verifyIssued(newRoot.certificate, newRoot.certificate), [])
})

test('every fault is told at once', () => {
  assert.equal(verifyIssued(leaf, oldRoot.certificate).length, 3)
  assert.ok(verifyIssued(newRoot.certificate, leaf).some((fault) => /not an authority/.test(fault)))
})

for (const [why, over, sentence] of [
  ['outlives its issuer', { validity: period(2000) }, /ends after/],
  [
    'begins before its issuer',
    { validity: { ...period(10), notBefore: new Date('2020-01-01T00:00:00Z') } },
    /begins before/,
  ],
  ['names another issuing key', { authorityKeyIdentifier: Buffer.alloc(20) }, /authorityKey/],
] as const)
  test(`a certificate that ${why} is not well issued`, async () => {
    const keys = await generateKey('ECDSA_P256')
    const made = await issued(templateFor(keys, over, middle), middle.signer)
    const faults = verifyIssued(made, middle.certificate)
    assert.equal(faults.length, 1)
    assert.match(faults[0] ?? '', sentence)
  })

test('an authority below path length 0 is a fault', async () => {
  const last = await authority('ECDSA_P256', { pathLength: 0 }, newRoot)
  const below = await authority('ECDSA_P256', { subject: { commonName: 'Below' } }, last)
  assert.match(verifyIssued(below.certificate, last.certificate).join(), /path length/)
})

test('both chains of a cross-signed authority verify with openssl', () => {
  const between = [middle.certificate, crossed].map(pemOf).join('')
  for (const root of [oldRoot, newRoot]) {
    const files = [
      put(directory, 'r.pem', pemOf(root.certificate)),
      put(directory, 'b.pem', between),
      put(directory, 'l.pem', pemOf(leaf)),
    ] as const
    const args = ['verify', '-x509_strict', '-CAfile', files[0], '-untrusted', files[1], files[2]]
    assert.match(run('openssl', args).text, /: OK$/m)
  }
})

test('a root is its own issuer', () => {
  const root = newRoot.certificate
  assert.deepEqual(verifyIssued(root, root), [])
})

test('a forged twin of the issuer does not deceive', async () => {
  const forged = await authority('ECDSA_P256', { subject: { commonName: 'Middle' } })
  assert.match(verifyIssued(leaf, forged.certificate).join(), /signature/)
  assert.ok(!spkiOf(forged.keys.publicKey).equals(middle.certificate.spki))
})

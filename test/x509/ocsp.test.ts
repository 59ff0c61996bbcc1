import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import fc from 'fast-check'
import { extension } from '../../src/x509/certificates/extensions.ts'
import type { ParsedCertificate } from '../../src/x509/certificates/read.ts'
import {
  context,
  derNull,
  integer,
  octetString,
  readDer,
  sequence,
} from '../../src/x509/der/encoding.ts'
import { X509Error } from '../../src/x509/der/errors.ts'
import { encodedOf } from '../../src/x509/der/fields.ts'
import { oid, oids } from '../../src/x509/der/oids.ts'
import { generateKey } from '../../src/x509/keys/generate.ts'
import { keySigner, type Signer } from '../../src/x509/keys/sign.ts'
import { noAltNames } from '../../src/x509/names/altnames.ts'
import {
  asksAbout,
  buildOcspResponse,
  type CertStatus,
  issuerHashes,
  ocspError,
  ocspErrors,
  readOcspRequest,
  readOcspResponse,
} from '../../src/x509/ocsp.ts'
import {
  type Authority,
  authority,
  issued,
  pemOf,
  put,
  run,
  scratch,
  templateFor,
} from './support.ts'

const directory = scratch()
const now = new Date(Math.floor(Date.now() / 1000) * 1000)
const malformed = { code: 'der-malformed' }
let root: Authority
let leaf: ParsedCertificate
let responder: ParsedCertificate
let signer: Signer
let files: { readonly root: string; readonly leaf: string }

before(async () => {
  root = await authority('ECDSA_P256')
  const altNames = { ...noAltNames, dnsNames: ['a.example'] }
  const serial = 'ff'.repeat(16)
  const template = templateFor(await generateKey('ECDSA_P256'), { serial, altNames }, root)
  leaf = await issued(template, root.signer)
  const keys = await generateKey('ECDSA_P256')
  signer = keySigner(keys.privateKey)
  const asked = templateFor(keys, { profile: 'ocsp', subject: { commonName: 'Responder' } }, root)
  responder = await issued(asked, root.signer)
  files = {
    root: put(directory, 'root.pem', pemOf(root.certificate)),
    leaf: put(directory, 'leaf.pem', pemOf(leaf)),
  }
})

function requestBy(...args: readonly string[]): Buffer {
  const made = run('openssl', [
    ...['ocsp', '-issuer', files.root, ...args, '-cert', files.leaf],
    ...['-reqout', `${directory}/req.der`, '-no_nonce'].slice(0, args.includes('-nonce') ? 2 : 3),
  ])
  assert.ok(made.ok, made.text)
  return run('cat', [`${directory}/req.der`]).out
}

async function told(request: Buffer, status: CertStatus, delegated = true): Promise<string> {
  const { asked, nonce } = readOcspRequest(request)
  const response = await buildOcspResponse({
    answers: asked.map(({ der }) => ({
      ...status,
      certId: der,
      thisUpdate: now,
      nextUpdate: new Date(now.getTime() + 3_600_000),
    })),
    producedAt: now,
    ...(nonce ? { nonce } : {}),
    responderSpki: delegated ? responder.spki : root.certificate.spki,
    signer: delegated ? signer : root.signer,
    certificates: delegated ? [responder.der] : [],
  })
  const read = readOcspResponse(response, asked[0]?.serial ?? '')
  assert.deepEqual(read, {
    status: status.status,
    thisUpdate: new Date(Math.floor(now.getTime() / 1000) * 1000),
    nextUpdate: new Date(Math.floor((now.getTime() + 3_600_000) / 1000) * 1000),
  })
  assert.equal(readOcspResponse(response, '01'), undefined)
  const answer = put(directory, 'answer.der', response)
  const question = put(directory, 'question.der', request)
  return run('openssl', [
    ...['ocsp', '-respin', answer, '-reqin', question, '-issuer', files.root],
    ...[`-${readOcspRequest(request).asked[0]?.digest}`, '-cert', files.leaf],
    ...['-CAfile', files.root, '-no_nonce'],
  ]).text
}

const revoked = { status: 'revoked', revokedAt: new Date(now.getTime() - 60_000) } as const

for (const [name, status, expected] of [
  ['good', { status: 'good' }, /: good/],
  ['unknown', { status: 'unknown' }, /: unknown/],
  ['revoked', revoked, /: revoked/],
  ['revoked for a reason', { ...revoked, reason: 'keyCompromise' }, /Reason: keyCompromise/],
] as const)
  for (const digest of ['-sha1', '-sha256'] as const)
    test(`openssl hears ${name} from a delegated responder, asking by ${digest.slice(1)}`, async () => {
      const text = await told(requestBy(digest), status)
      assert.match(text, /Response verify OK/)
      assert.match(text, expected)
    })

test('the authority itself may answer, without another certificate', async () => {
  const text = await told(requestBy('-sha256'), { status: 'good' }, false)
  assert.match(text, /Response verify OK/)
})

test('a nonce is echoed', async () => {
  const request = requestBy('-sha1', '-nonce')
  assert.equal(readOcspRequest(request).nonce?.length, 16)
  const text = await told(request, { status: 'good' })
  assert.match(text, /Response verify OK/)
  assert.doesNotMatch(text, /nonce/i)
})

for (const digest of ['-sha1', '-sha256'] as const)
  test(`a question by ${digest.slice(1)} names its issuer and serial`, () => {
    const [asked] = readOcspRequest(requestBy(digest)).asked
    assert.ok(asked)
    assert.equal(asked.serial, leaf.serial)
    const { subjectDer, spki } = root.certificate
    assert.equal(asksAbout(asked, issuerHashes(subjectDer, spki)), true)
    assert.equal(asksAbout(asked, issuerHashes(subjectDer, leaf.spki)), false)
    assert.equal(asksAbout(asked, issuerHashes(leaf.subjectDer, spki)), false)
  })

test('a question by a digest we do not compare by is about nobody', () => {
  const [asked] = readOcspRequest(requestBy('-sha224')).asked
  const { subjectDer, spki } = root.certificate
  assert.equal(asked && asksAbout(asked, issuerHashes(subjectDer, spki)), false)
})

test('what follows a request is its signature, or the request is malformed', () => {
  const [tbs = Buffer.alloc(0)] = readDer(request(1)).children.map(encodedOf)
  assert.equal(readOcspRequest(sequence(tbs, context(0, sequence()))).asked.length, 1)
  for (const more of [[derNull], [context(0, sequence()), derNull]])
    assert.throws(() => readOcspRequest(sequence(tbs, ...more)), malformed)
})

function request(count: number, nonce?: Buffer): Buffer {
  return asking(count, nonce ? [extension(oids.ocspNonce, false, octetString(nonce))] : [])
}

function asking(
  count: number,
  extensions: readonly Buffer[],
  ofOne: readonly Buffer[] = [],
): Buffer {
  const algorithm = sequence(oid(oids.sha1), derNull)
  const hash = octetString(Buffer.alloc(20))
  const wrapped = (tag: number, all: readonly Buffer[]) =>
    all.length > 0 ? [context(tag, sequence(...all))] : []
  const one = sequence(sequence(algorithm, hash, hash, integer(7)), ...wrapped(0, ofOne))
  const list = sequence(...Array<Buffer>(count).fill(one))
  return sequence(sequence(list, ...wrapped(2, extensions)))
}

const strange = (critical: boolean) => extension('1.2.3.4', critical, derNull)
const nonceOf = (critical: boolean) =>
  extension(oids.ocspNonce, critical, octetString(Buffer.alloc(16, 1)))

for (const [what, der, good] of [
  ['an unknown extension', asking(1, [strange(false)]), true],
  ['an unknown extension of one question', asking(1, [], [strange(false)]), true],
  ['a critical nonce', asking(1, [nonceOf(true)]), true],
  ['an unknown critical extension', asking(1, [strange(true)]), false],
  [
    'an unknown critical extension beside a nonce',
    asking(1, [nonceOf(false), strange(true)]),
    false,
  ],
  ['an unknown critical extension of one question', asking(2, [], [strange(true)]), false],
  ['an extension twice', asking(1, [strange(false), strange(false)]), false],
  ['two nonces', asking(1, [nonceOf(false), nonceOf(false)]), false],
] as const)
  test(`a request with ${what} is ${good ? 'answered' : 'malformed'} (RFC 6960 4.4)`, () => {
    if (good) assert.equal(readOcspRequest(der).asked.length, 1)
    else assert.throws(() => readOcspRequest(der), malformed)
  })

for (const [length, good] of [
  [0, false],
  [1, true],
  [32, true],
  [128, true],
  [129, false],
] as const)
  test(`a nonce of ${length} octets is ${good ? 'taken' : 'malformed'}`, () => {
    const der = request(1, Buffer.alloc(length, 1))
    if (good) assert.equal(readOcspRequest(der).nonce?.length, length)
    else assert.throws(() => readOcspRequest(der), malformed)
  })

for (const count of [0, 33])
  test(`${count} questions are malformed`, () =>
    assert.throws(() => readOcspRequest(request(count)), malformed))

test('errors are responses without an answer', () => {
  for (const error of ['malformedRequest', 'unauthorized', 'tryLater'] as const) {
    const der = ocspError(error)
    assert.throws(() => readOcspResponse(der, '01'), malformed)
    assert.equal(der.toString('hex'), `30030a010${ocspErrors[error]}`)
    const text = run('openssl', ['ocsp', '-respin', put(directory, 'e.der', der), '-text']).text
    assert.match(text.toLowerCase(), new RegExp(error.toLowerCase()))
  }
})

test('a damaged request is read or refused, never anything else', () => {
  const der = requestBy('-sha1', '-nonce')
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.nat(255), fc.nat(der.length), (at, value, length) => {
      const damaged = Buffer.from(der)
      damaged[at] = value
      for (const bytes of [damaged, damaged.subarray(0, length)])
        try {
          readOcspRequest(bytes)
        } catch (error) {
          assert.ok(error instanceof X509Error, String(error))
        }
    }),
    { numRuns: 4000 },
  )
})

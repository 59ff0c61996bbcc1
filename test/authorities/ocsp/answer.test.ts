import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { answerOcsp } from '../../../src/authorities/ocsp/answer.ts'
import { openResponder } from '../../../src/authorities/ocsp/responder.ts'
import { openContext } from '../../../src/core/context.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { oids } from '../../../src/x509/der/oids.ts'
import { toPem } from '../../../src/x509/der/pem.ts'
import { ocspError } from '../../../src/x509/ocsp.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl, opensslBytes, opensslSays } from '../../support/openssl.ts'
import { isProblem } from '../../support/problem.ts'
import { issueOne, keyOf, openTestAuthority, revoke } from '../support.ts'

let ahead = 0
const now = () => new Date(Date.now() + ahead)
const ctx = await openTestContext({ now })
await openTestAuthority(ctx)
const issuing = await getAuthority(ctx, admin, 'issuing')
const keyId = await keyOf(ctx, 'issuing')
const day = 86_400_000

type Ask = { leaf?: string; serial?: string; issuer?: string; flags?: readonly string[] }

function requestFor({ leaf, serial, issuer = issuing.pem, flags = ['-no_nonce'] }: Ask): Buffer {
  const about = serial === undefined ? ['-cert', 'leaf.pem'] : ['-serial', `0x${serial}`]
  return opensslBytes(
    // The digest goes before what is asked about.
    ['ocsp', ...flags, '-issuer', 'issuer.pem', ...about, '-reqout', 'out'],
    { 'issuer.pem': issuer, 'leaf.pem': leaf ?? '' },
    'out',
  )
}

/** What openssl makes of our answer, its signature, its nonce and its times included. */
async function told(ask: Ask): Promise<string> {
  const request = requestFor(ask)
  const { der } = await answerOcsp(ctx, { authority: 'issuing', request })
  const text = opensslSays(
    ['ocsp', '-respin', 'r.der', '-reqin', 'q.der', '-resp_text', '-issuer', 'issuer.pem'].concat([
      '-CAfile',
      'root.pem',
      '-verify_other',
      'issuer.pem',
    ]),
    {
      'r.der': der,
      'q.der': request,
      'issuer.pem': issuing.pem,
      'root.pem': issuing.chainPem,
    },
  )
  assert.match(text, /Response verify OK/)
  assert.doesNotMatch(text, /error|WARNING/i)
  return text
}

test('good, revoked with its reason, and unknown, asked by SHA-1 and by SHA-2', async () => {
  const good = await issueOne(ctx)
  const gone = await issueOne(ctx)
  await revoke(ctx, gone, 'keyCompromise')
  for (const digest of ['-sha1', '-sha256', '-sha384', '-sha512']) {
    const flags = [digest, '-no_nonce']
    assert.match(await told({ leaf: good.pem ?? '', flags }), /Cert Status: good/)
    const revoked = await told({ leaf: gone.pem ?? '', flags })
    assert.match(revoked, /Cert Status: revoked/)
    assert.match(revoked, /Revocation Reason: keyCompromise/)
  }
  // Nothing like it was ever issued: never good.
  assert.match(await told({ serial: '40'.repeat(16) }), /Cert Status: unknown/)
})

test('a revocation is told at once, before any list is built', async () => {
  const leaf = await issueOne(ctx)
  assert.match(await told({ leaf: leaf.pem ?? '' }), /Cert Status: good/)
  await revoke(ctx, leaf)
  assert.match(await told({ leaf: leaf.pem ?? '' }), /Cert Status: revoked/)
})

test('a certificate of another key is not ours to speak of', async () => {
  const leaf = await issueOne(ctx)
  const root = issuing.chainPem
  const request = requestFor({ leaf: leaf.pem ?? '', issuer: root })
  const { der } = await answerOcsp(ctx, { authority: 'issuing', request })
  assert.ok(der.equals(ocspError('unauthorized')))
  // The root did not issue it, though this serial is known here.
  const asked = requestFor({ serial: leaf.serial, issuer: root })
  const reply = await answerOcsp(ctx, { authority: 'root', request: asked })
  const text = openssl(['ocsp', '-respin', 'r', '-noverify', '-text'], { r: reply.der })
  assert.match(text, /Cert Status: unknown/)
})

test('the authority below is known to the one above', async () => {
  const request = requestFor({ serial: issuing.serial ?? '', issuer: issuing.chainPem })
  const { der } = await answerOcsp(ctx, { authority: 'root', request })
  assert.match(
    openssl(['ocsp', '-respin', 'r', '-noverify', '-text'], { r: der }),
    /Cert Status: good/,
  )
})

test('a nonce is echoed, and such an answer is for nobody else', async () => {
  const leaf = await issueOne(ctx)
  const text = await told({ leaf: leaf.pem ?? '', flags: ['-nonce'] })
  assert.match(text, /OCSP Nonce/)
  assert.match(text, /Cert Status: good/)
  const ask = (flags: readonly string[]) =>
    answerOcsp(ctx, {
      authority: 'issuing',
      request: requestFor({ leaf: leaf.pem ?? '', flags }),
    })
  assert.equal((await ask(['-nonce'])).period, undefined)
  const { period } = await ask(['-no_nonce'])
  assert.ok(period && period.thisUpdate <= now() && period.nextUpdate > now())
})

test('rubbish is a malformed request', async () => {
  const good = requestFor({ serial: '4001' })
  for (const request of [Buffer.alloc(0), Buffer.from('rubbish'), good.subarray(0, -1)]) {
    const { der } = await answerOcsp(ctx, { authority: 'issuing', request })
    assert.ok(der.equals(ocspError('malformedRequest')))
  }
  await assert.rejects(
    answerOcsp(ctx, { authority: 'nobody', request: good }),
    isProblem('authority-unknown'),
  )
})

test('the responder is the authority’s delegate for this alone, and openssl agrees', async () => {
  const responder = await openResponder(ctx, keyId)
  assert.ok(responder)
  const read = readCertificate(responder.der)
  assert.deepEqual(read.extendedKeyUsage, [oids.ocspSigning])
  assert.ok(read.extensions.some(({ oid }) => oid === oids.ocspNoCheck))
  assert.ok(read.validity.notAfter.getTime() - now().getTime() < 30 * day)
  openssl(
    ['verify', '-x509_strict', '-purpose', 'ocsphelper', '-CAfile', 'root.pem'].concat([
      '-untrusted',
      'sub.pem',
      'ocsp.pem',
    ]),
    {
      'root.pem': issuing.chainPem,
      'sub.pem': issuing.pem,
      'ocsp.pem': toPem('CERTIFICATE', responder.der),
    },
  )
})

test('replicas share one responder, also when all ask first at the same time', async () => {
  const fresh = await openTestContext({ now })
  await openTestAuthority(fresh)
  const key = await keyOf(fresh, 'issuing')
  const replicas = Array.from({ length: 4 }, () => openContext(fresh.config, fresh.log, { now }))
  after(() => Promise.all(replicas.map(({ db }) => db.close())))
  const opened = await Promise.all(replicas.map((each) => openResponder(each, key)))
  assert.equal(new Set(opened.map((each) => each?.der.toString('hex'))).size, 1)
  assert.equal(await fresh.db.read.responder.count(), 1)
  const events = await fresh.db.read.auditEvent.count({ where: { action: 'authority.delegated' } })
  assert.equal(events, 1)
})

test('a responder that was left half made is finished with the bytes on record', async () => {
  const fresh = await openTestContext()
  await openTestAuthority(fresh)
  const key = await keyOf(fresh, 'issuing')
  const replicas = [1, 2, 3].map(() => openContext(fresh.config, fresh.log))
  after(() => Promise.all(replicas.map(({ db }) => db.close())))
  const [first, second, third] = replicas
  assert.ok(first && second && third)
  const made = await openResponder(first, key)
  assert.ok(made)
  const { tbs } = readCertificate(made.der)
  await fresh.db.read.responder.updateMany({ data: { der: null, tbs: new Uint8Array(tbs) } })
  const opened = await Promise.all([second, third].map((each) => openResponder(each, key)))
  for (const each of opened) assert.ok(readCertificate(each?.der ?? tbs).tbs.equals(tbs))
  assert.ok(opened[0]?.der.equals(opened[1]?.der ?? tbs))
})

test('a responder is replaced in time, and none outlives its authority', async () => {
  const fresh = await openTestContext({ now })
  await createAuthority(fresh, admin, {
    name: 'short',
    kind: 'root',
    subject: { commonName: 'short' },
    validityDays: 35,
  })
  const key = await keyOf(fresh, 'short')
  const at = async (days: number) => {
    ahead = days * day
    return (await openResponder(fresh, key))?.notAfter
  }
  try {
    const first = await at(0)
    assert.equal((await at(19))?.getTime(), first?.getTime())
    const second = await at(21)
    assert.ok(first && second && second > first)
    const { notAfter } = await fresh.db.read.issuer.findFirstOrThrow({ where: { keyId: key } })
    assert.equal(second.getTime(), notAfter.getTime())
    assert.equal((await at(34))?.getTime(), second.getTime())
    assert.equal(await fresh.db.read.responder.count(), 2)
    assert.equal(await at(36), undefined)
  } finally {
    ahead = 0
  }
})

test('no responder key is stored in the clear', async () => {
  for (const { sealed } of await ctx.db.read.responderSecret.findMany()) {
    assert.equal(Buffer.from(sealed).includes(Buffer.from('06072a8648ce3d0201', 'hex')), false)
  }
})

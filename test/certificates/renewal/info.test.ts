import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advanceRotation } from '../../../src/authorities/rotation/advance.ts'
import { rotateAuthority } from '../../../src/authorities/rotation/rotate.ts'
import type { Certificate } from '../../../src/certificates/certificate.ts'
import { pastWindow, readRenewalId, renewalWindow } from '../../../src/certificates/renewal/info.ts'
import { verifyIssued } from '../../../src/x509/certificates/chain.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { readPem } from '../../../src/x509/der/pem.ts'
import { issueOne, openTestAuthority, revoke } from '../../authorities/support.ts'
import { openTestApi } from '../../support/api.ts'
import { admin } from '../../support/context.ts'

// RFC 9773 4.1 and appendix A.
const example = 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE'

test('the identifier of RFC 9773 is read', () => {
  assert.deepEqual(readRenewalId(example), {
    keyIdentifier: '69885b6b87464041e1b37b847ba0ae2cde01c8d4',
    serial: '87654321',
  })
})

for (const [name, text] of [
  ['nothing', ''],
  ['one part', 'aYhba4dGQEHhs3uEe6CuLN4ByNQ'],
  ['three parts', `${example}.AA`],
  ['padding', 'aYhba4dGQEHhs3uEe6CuLN4ByNQ=.AIdlQyE='],
  ['plain base64', 'aYhba4dGQEHhs3uEe6CuLN4ByN/.AIdlQyE'],
  ['a negative serial', 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.h2VDIQ'],
  ['an octet too many', 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AAEC'],
  ['serial 0', 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AA'],
  ['a serial of 40 octets', `aYhba4dGQEHhs3uEe6CuLN4ByNQ.${'QUFB'.repeat(14)}`],
] as const) {
  test(`no identifier: ${name}`, () => assert.equal(readRenewalId(text), undefined))
}

test('a window lies inside the validity, start before end', () => {
  const notBefore = new Date('2026-01-01T00:00:00Z')
  for (const seconds of [2, 60, 86_400, 90 * 86_400]) {
    const notAfter = new Date(notBefore.getTime() + seconds * 1000 - 1000)
    for (const part of [0, 0.5, 0.99, 1, 2]) {
      const at = new Date(notBefore.getTime() + seconds * 1000 * part)
      const { start, end } = renewalWindow({ notBefore, notAfter }, at)
      assert.ok(start < end && start >= notBefore && end <= notAfter, `${seconds} ${part}`)
    }
    const { start, end } = pastWindow({ notBefore, notAfter })
    assert.ok(start < end && start >= notBefore && end <= notAfter)
  }
})

const { ctx, send } = await openTestApi()
await openTestAuthority(ctx)
const anybody = send(null)

const idOf = ({ pem }: Certificate) => {
  const [der = Buffer.alloc(0)] = readPem(pem ?? '', 'CERTIFICATE')
  const { authorityKeyIdentifier, serial } = readCertificate(der)
  return [authorityKeyIdentifier ?? Buffer.alloc(0), Buffer.from(serial, 'hex')]
    .map((each) => each.toString('base64url'))
    .join('.')
}
const ask = async (certificate: Certificate) => {
  const { body, headers } = await anybody.get(`/renewal-info/${idOf(certificate)}`).expect(200)
  assert.equal(headers['retry-after'], '21600')
  const { start, end } = body.suggestedWindow
  assert.ok(start < end && start >= certificate.notBefore && end <= certificate.notAfter)
  return { start: new Date(start), end: new Date(end) }
}

test('anybody is told when to renew; at once when it was revoked', async () => {
  const made = await issueOne(ctx)
  assert.equal((await ask(made)).start.toISOString(), made.renewal.at)
  await revoke(ctx, made)
  assert.ok((await ask(made)).end < new Date())
})

test('whoever holds a certificate of a key that was changed is told to renew at once', async () => {
  const made = await issueOne(ctx, { profile: 'client' })
  await rotateAuthority(ctx, admin, { authority: 'issuing', request: {} })
  const { id } = await ctx.db.read.authority.findUniqueOrThrow({ where: { name: 'issuing' } })
  await advanceRotation(ctx, id)
  const next = await issueOne(ctx)
  assert.ok((await ask(made)).end < new Date())
  assert.ok((await ask(next)).start > new Date())
  for (const { pem } of [made, next]) {
    const [der = Buffer.alloc(0)] = readPem(pem ?? '', 'CERTIFICATE')
    const leaf = readCertificate(der)
    const { pathname } = new URL(leaf.issuerUrls[0] ?? '')
    const { body } = await anybody.get(pathname).responseType('blob').expect(200)
    assert.deepEqual(verifyIssued(leaf, readCertificate(body)), [])
  }
})

test('a certificate of another key, or of none, is unknown; rubbish is malformed', async () => {
  const made = await issueOne(ctx)
  const [key = '', serial = ''] = idOf(made).split('.')
  const other = `${Buffer.alloc(20, 1).toString('base64url')}.${serial}`
  await anybody.get(`/renewal-info/${other}`).expect(404)
  await anybody.get(`/renewal-info/${key}.QUFB`).expect(404)
  await anybody.get(`/renewal-info/${key}`).expect(422)
  // Below zero: no serial.
  await anybody.get(`/renewal-info/${key}.gA`).expect(404)
  await anybody.get('/pki/issuing/chains.pem').expect(200)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { getShard, getWholeList } from '../../../src/authorities/crl/find.ts'
import { publishLists } from '../../../src/authorities/crl/publish.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { crossSign } from '../../../src/authorities/issuers/crosssign.ts'
import { trustAnchorOf } from '../../../src/authorities/issuers/current.ts'
import { revokeIssuer } from '../../../src/authorities/issuers/revoke.ts'
import { listIssuers } from '../../../src/authorities/issuers/view.ts'
import { statusOf } from '../../../src/authorities/ocsp/status.ts'
import { advanceRotation } from '../../../src/authorities/rotation/advance.ts'
import { rotateAuthority } from '../../../src/authorities/rotation/rotate.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { readPem, toPem } from '../../../src/x509/der/pem.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { opensslSays } from '../../support/openssl.ts'
import { isProblem } from '../../support/problem.ts'
import { issueOne, jobs, keyOf, openTestAuthority } from '../support.ts'

const ctx = await openTestContext()
await openTestAuthority(ctx)
const root = (await getAuthority(ctx, admin, 'root')).pem

const issuersOf = async (name: string) => (await listIssuers(ctx, admin, name)).items
const revoke = (authority: string, id: string) =>
  revokeIssuer(ctx, admin, { authority, id, reason: 'cACompromise' })

/** The list that a certificate names, as published now. */
async function listOf(pem: string): Promise<string> {
  const [url = ''] = readCertificate(readPem(pem, 'CERTIFICATE')[0] ?? Buffer.alloc(0)).crlUrls
  const [, authority = '', key = '', shard = ''] = /pki\/(.+)\/crl\/(.+)\/(\d+)$/.exec(url) ?? []
  const { der } = await getShard(ctx, { authority, key, shard: Number(shard) })
  return toPem('X509 CRL', der)
}

/** What a relying party that knows the root alone and looks at every list says of a leaf. */
async function said({ pem, chainPem }: { pem: string | null; chainPem: string }): Promise<string> {
  // The root is only on a list of everything, as it names none itself.
  const whole = toPem('X509 CRL', (await getWholeList(ctx, 'root')).der)
  const lists = [await listOf(pem ?? ''), await listOf(chainPem), whole]
  return opensslSays(
    ['verify', '-x509_strict', '-crl_check_all', '-CAfile', 'root.pem'].concat([
      '-untrusted',
      'chain.pem',
      '-CRLfile',
      'crl.pem',
      'leaf.pem',
    ]),
    { 'root.pem': root, 'chain.pem': chainPem, 'crl.pem': lists.join(''), 'leaf.pem': pem ?? '' },
  )
}

test('what an authority signed by its old key is refused once the old certificate is revoked above', async () => {
  const before = await issueOne(ctx)
  // For its sake the old key is still trusted when the new one signs.
  await issueOne(ctx, { profile: 'client' })
  const [old] = await issuersOf('issuing')
  assert.ok(old)
  await assert.rejects(revoke('issuing', old.id), isProblem('authority-refused'))
  await rotateAuthority(ctx, admin, { authority: 'issuing', request: {} })
  const [, next] = await issuersOf('issuing')
  await assert.rejects(revoke('issuing', next?.id ?? ''), isProblem('authority-refused'))
  const { id } = await ctx.db.read.authority.findUniqueOrThrow({ where: { name: 'issuing' } })
  await advanceRotation(ctx, id)
  const after = await issueOne(ctx)
  for (const leaf of [before, after]) assert.match(await said(leaf), /leaf\.pem: OK/)
  const [oldAnchor, ...anchors] = await trustAnchorOf(ctx.db.read, 'issuing')
  assert.ok(oldAnchor && anchors.length === 1)
  const revoked = await revoke('issuing', old.id)
  assert.deepEqual(await trustAnchorOf(ctx.db.read, 'issuing'), anchors)
  assert.equal(revoked.revocationReason, 'cACompromise')
  assert.ok(revoked.revokedAt)
  assert.deepEqual(revoked.usages, ['list'])
  const keyId = await keyOf(ctx, 'root')
  assert.ok((await jobs(ctx, 'authority.publish')).includes(`authority.publish/${keyId}`))
  const status = await statusOf(ctx, { keyId, serial: old.serial })
  assert.deepEqual(
    [status.status, 'reason' in status && status.reason],
    ['revoked', 'cACompromise'],
  )
  await publishLists(ctx, keyId)
  assert.match(await said(before), /certificate revoked/)
  assert.match(await said(after), /leaf\.pem: OK/)
})

test('once more changes nothing and is told once', async () => {
  const [old] = await issuersOf('issuing')
  assert.ok(old?.revokedAt)
  assert.deepEqual(await revoke('issuing', old.id), old)
  const told = await ctx.db.read.auditEvent.findMany({
    where: { action: 'authority.issuer-revoked' },
    select: { changes: true },
  })
  assert.deepEqual(
    told.map(({ changes }) => changes),
    [
      {
        serial: old.serial,
        signedBy: 'root',
        reason: 'cACompromise',
        revokedAt: old.revokedAt,
      },
    ],
  )
})

test('a cross-certificate is revoked by itself, and the chain below it goes on without it', async () => {
  const subject = { commonName: 'other root' }
  await createAuthority(ctx, admin, { name: 'other-root', kind: 'root', subject, pathLength: 1 })
  const crossed = await crossSign(ctx, admin, { authority: 'issuing', by: 'other-root' })
  await revoke('issuing', crossed.id)
  const { revokedAt, signedBy } =
    (await issuersOf('issuing')).find(({ id }) => id === crossed.id) ?? {}
  assert.ok(revokedAt)
  assert.equal(signedBy, 'other-root')
  assert.match(await said(await issueOne(ctx)), /leaf\.pem: OK/)
})

test('what no authority here signed, or is not there, is not revoked, nor by who may not', async () => {
  const [own] = await issuersOf('root')
  await assert.rejects(revoke('root', own?.id ?? ''), isProblem('authority-refused'))
  await assert.rejects(revoke('issuing', own?.id ?? ''), isProblem('issuer-unknown'))
  const operator = { ...admin, role: 'operator' } as const
  const asked = { authority: 'root', id: own?.id ?? '', reason: 'superseded' } as const
  await assert.rejects(revokeIssuer(ctx, operator, asked), isProblem('forbidden'))
})

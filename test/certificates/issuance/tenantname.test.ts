import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import type { NewCertificate } from '../../../src/certificates/certificate.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { renewCertificate } from '../../../src/certificates/renewal/renew.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { fieldsOf } from '../../support/problem.ts'

const ctx = await openTestContext()
const subject = { commonName: 'house' }
await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject })
await createAuthority(ctx, admin, {
  name: 'narrow',
  kind: 'root',
  subject,
  nameConstraints: { permitted: { uriHosts: ['.example.com'] } },
})
const tenant = await createTenant(ctx, admin, {
  name: 'example',
  domains: ['example.com'],
  defaultAuthority: 'house',
})
const { id: tenantId } = await ctx.db.read.tenant.findUniqueOrThrow({
  where: { name: tenant.name },
})
const own = `urn:uuid:${tenantId}`
const foreign = 'urn:uuid:0198c2a0-0000-7000-8000-00000000000a'

const issue = (asked: Partial<NewCertificate>) =>
  issueCertificate(ctx, admin, {
    tenant: 'example',
    request: { profile: 'client', ...asked },
    idempotencyKey: undefined,
  })
const named = (pem: string | null) => new X509Certificate(pem ?? '').subjectAltName
const csrWith = (names: string) => {
  const key = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
  const args = ['req', '-new', '-key', 'k.pem', '-subj', '/CN=laptop']
  return openssl(names === '' ? args : [...args, '-addext', `subjectAltName=${names}`], {
    'k.pem': key,
  })
}

test('a client certificate names its tenant, a peer’s too, and a server’s does not', async () => {
  const dnsNames = ['a.example.com']
  const client = await issue({ subject: { commonName: 'laptop' } })
  assert.equal(named(client.pem), `URI:${own}`)
  assert.deepEqual(client.uris, [own])
  const uris = ['https://a.example.com/']
  const peer = await issue({ profile: 'peer', dnsNames, uris })
  assert.deepEqual(peer.uris, [...uris, own])
  const server = await issue({ profile: 'server', dnsNames })
  assert.equal(named(server.pem), 'DNS:a.example.com')
  const strict = openssl(['verify', '-x509_strict', '-partial_chain', '-trusted', 'c', 'c'], {
    c: client.pem ?? '',
  })
  assert.match(strict, /OK/)
})

test('nobody can ask for the name of a tenant, another’s or their own, in no spelling', async () => {
  const spellings = [own, foreign, own.toUpperCase(), `URN:uuid:${tenantId}`, ` ${own}`, 'urn:x:y']
  for (const uri of spellings) {
    const asked = { subject: { commonName: 'laptop' }, uris: [uri] }
    assert.deepEqual(await fieldsOf('certificate-refused', issue(asked)), ['/uris/0'], uri)
  }
  for (const uri of [own, foreign, foreign.toUpperCase()]) {
    const fields = await fieldsOf('certificate-refused', issue({ csr: csrWith(`URI:${uri}`) }))
    assert.deepEqual(fields, ['/uris/0'], uri)
  }
  for (const asked of [{ dnsNames: [own] }, { emailAddresses: [`${own}@example.com`] }]) {
    await assert.rejects(issue({ ...asked, subject: { commonName: 'laptop' } }))
  }
})

test('what is renewed names its tenant once, whoever keeps the key', async () => {
  const renew = (id: string, csr?: string) =>
    renewCertificate(ctx, admin, { tenant: 'example', id, csr, idempotencyKey: undefined })
  const kept = await issue({ csr: csrWith('') })
  assert.deepEqual((await renew(kept.id, csrWith(''))).uris, [own])
  const made = await issue({ subject: { commonName: 'laptop' } })
  assert.deepEqual((await renew(made.id)).uris, [own])
})

test('a certificate from before that names no tenant does so once it is renewed', async () => {
  const { id } = await issue({ subject: { commonName: 'old' } })
  await ctx.db.transaction((tx) => tx.certificate.update({ where: { id }, data: { uris: [] } }))
  const asked = { tenant: 'example', id, csr: undefined, idempotencyKey: undefined }
  const next = await renewCertificate(ctx, admin, asked)
  assert.equal(named(next.pem), `URI:${own}`)
})

test('where URIs are constrained no certificate names its tenant, and it is issued all the same', async () => {
  const made = await issue({ authority: 'narrow', subject: { commonName: 'laptop' } })
  assert.deepEqual(made.uris, [])
})

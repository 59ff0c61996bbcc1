import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { getBundle } from '../../../src/certificates/bundle.ts'
import type { NewCertificate } from '../../../src/certificates/certificate.ts'
import { listAllCertificates, listCertificates } from '../../../src/certificates/find.ts'
import { finishCertificate } from '../../../src/certificates/issuance/finish.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { Problem } from '../../../src/shared/problem.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { keyAlgorithms } from '../../../src/x509/keys/public.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { fieldsOf, isProblem } from '../../support/problem.ts'

const ctx = await openTestContext()
await createAuthority(ctx, admin, {
  name: 'example-root',
  kind: 'root',
  subject: { commonName: 'example.com', organization: 'example Inc.' },
})
await createAuthority(ctx, admin, {
  name: 'example-issuing',
  kind: 'intermediate',
  parent: 'example-root',
  subject: { commonName: 'example issuing' },
})
await createTenant(ctx, admin, {
  name: 'example',
  domains: ['example.com'],
  defaultAuthority: 'example-issuing',
})
await createTenant(ctx, admin, { name: 'other', domains: ['shop.example.com', 'other.test'] })
const root = (await getAuthority(ctx, admin, 'example-root')).pem

const issue = (asked: NewCertificate, idempotencyKey?: string) =>
  issueCertificate(ctx, admin, { tenant: 'example', request: asked, idempotencyKey })

const server: NewCertificate = {
  profile: 'server',
  subject: { commonName: 'httpbin.example.com', organization: 'httpbin organization' },
  dnsNames: ['httpbin.example.com'],
}

test('every key algorithm gives a certificate that openssl verifies strictly and node agrees on', async () => {
  for (const keyAlgorithm of keyAlgorithms) {
    const made = await issue({ ...server, keyAlgorithm, validityDays: 90 })
    openssl(
      [
        'verify',
        '-x509_strict',
        '-purpose',
        'sslserver',
        '-verify_hostname',
        'httpbin.example.com',
      ].concat(['-CAfile', 'root.pem', '-untrusted', 'chain.pem', 'leaf.pem']),
      { 'root.pem': root, 'chain.pem': made.chainPem, 'leaf.pem': made.pem ?? '' },
    )
    const read = new X509Certificate(made.pem ?? '')
    assert.equal(read.serialNumber.toLowerCase(), made.serial)
    assert.equal(read.subjectAltName, 'DNS:httpbin.example.com')
    assert.equal(read.fingerprint256.replaceAll(':', '').toLowerCase(), made.fingerprintSha256)
    assert.equal(read.validFromDate.toISOString(), made.notBefore)
    assert.equal(read.validToDate.toISOString(), made.notAfter)
    const seconds = (read.validToDate.getTime() - read.validFromDate.getTime()) / 1000 + 1
    assert.equal(seconds, 90 * 86_400)
    const text = openssl(
      ['x509', '-in', 'leaf.pem', '-noout', '-serial', '-subject', '-ext'].concat([
        'subjectAltName,keyUsage,extendedKeyUsage',
      ]),
      { 'leaf.pem': made.pem ?? '' },
    )
    assert.match(text, new RegExp(`serial=${made.serial}`, 'i'))
    assert.match(text, /O = httpbin organization/)
    assert.match(text, /TLS Web Server Authentication/)
    assert.doesNotMatch(text, /Certificate Sign/)
  }
})

test('a client certificate is for clients alone', async () => {
  const made = await issue({
    profile: 'client',
    subject: { commonName: 'client.example.com', organization: 'client organization' },
    dnsNames: ['client.example.com'],
  })
  const files = { 'root.pem': root, 'chain.pem': made.chainPem, 'leaf.pem': made.pem ?? '' }
  const verify = (purpose: string) =>
    openssl(
      ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', 'root.pem'].concat([
        '-untrusted',
        'chain.pem',
        'leaf.pem',
      ]),
      files,
    )
  verify('sslclient')
  assert.throws(() => verify('sslserver'))
})

test('serials are random and never the same', async () => {
  const made = await Promise.all(Array.from({ length: 300 }, () => issue(server)))
  assert.equal(new Set(made.map(({ serial }) => serial)).size, 300)
  assert.ok(made.every(({ serial }) => /^[0-7][0-9a-f]{31}$/.test(serial)))
})

test('a CSR keeps the key with the caller, and its names are judged like any other', async () => {
  const csrFor = (names: string) =>
    openssl(
      ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
        .concat(['-keyout', 'k.pem', '-subj', '/CN=api.example.com'])
        .concat(['-addext', `subjectAltName=${names}`]),
    )
  const made = await issue({ profile: 'server', csr: csrFor('DNS:api.example.com') })
  assert.equal(made.keySource, 'caller')
  assert.deepEqual(made.dnsNames, ['api.example.com'])
  const input = { tenant: 'example', id: made.id }
  await assert.rejects(
    getBundle(ctx, admin, { ...input, privateKey: true }),
    isProblem('key-absent'),
  )
  const bundle = await getBundle(ctx, admin, { ...input, privateKey: false })
  assert.match(bundle.body.toString(), /BEGIN CERTIFICATE/)
  await assert.rejects(
    issue({ profile: 'server', csr: csrFor('DNS:api.example.com,DNS:api.other.test') }),
    isProblem('certificate-refused'),
  )
  await assert.rejects(
    issue({ profile: 'server', csr: csrFor('DNS:api.example.com,IP:10.0.0.1') }),
    isProblem('certificate-refused'),
  )
})

test('no name of a CSR is dropped: it is issued, or refused for what it is', async () => {
  const csrFor = (subject: string, names?: string) =>
    openssl(
      ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
        .concat(['-keyout', 'k.pem', '-subj', subject])
        .concat(names === undefined ? [] : ['-addext', `subjectAltName=${names}`]),
    )
  const client = (csr: string) => issue({ profile: 'client', csr })
  const mail = await client(csrFor('/CN=me/emailAddress=me@example.com'))
  assert.deepEqual(mail.emailAddresses, ['me@example.com'])
  const refused = [
    ['/CN=me/emailAddress=me@other.test', '/emailAddresses/0'],
    ['/CN=me/serialNumber=4711', '/csr'],
    ['/CN=me/CN=you', '/csr'],
    ['/CN=me/UID=root', '/csr'],
    ['/CN=me+CN=you', '/csr'],
    ['/CN=me/GN=Alice/SN=Example', '/csr'],
  ] as const
  for (const [subject, field] of refused) {
    const work = client(csrFor(subject))
    assert.deepEqual(await fieldsOf('certificate-refused', work), [field], subject)
  }
  for (const names of ['otherName:1.2.3;UTF8:x', 'RID:1.2.3', 'DNS:a.example.com,dirName:d']) {
    const csr = openssl(
      ['req', '-new', '-newkey', 'ed25519', '-nodes', '-keyout', 'k.pem', '-config', 'c.cnf'],
      {
        'c.cnf': `[req]\ndistinguished_name=n\nreq_extensions=e\nprompt=no\n[n]\nCN=me\n[e]\nsubjectAltName=${names}\n[d]\nCN=you\n`,
      },
    )
    assert.deepEqual(await fieldsOf('certificate-refused', client(csr)), ['/csr'], names)
  }
})

test('what the tenant may not have is refused, all of it at once, and nothing is stored', async () => {
  const before = await ctx.db.read.certificate.count()
  const fieldsOf = async (asked: NewCertificate) => {
    const error: unknown = await issue(asked).catch((thrown: unknown) => thrown)
    assert.ok(error instanceof Problem && error.type === 'certificate-refused', String(error))
    const violations: unknown = error.extra.violations
    return Array.isArray(violations) ? violations.map(({ field }) => field) : []
  }
  const rows: readonly (readonly [NewCertificate, readonly string[]])[] = [
    [{ profile: 'server', dnsNames: ['a.other.test'] }, ['/dnsNames/0']],
    // Below example.com, but shop.example.com is another tenant's.
    [{ profile: 'server', dnsNames: ['pay.shop.example.com'] }, ['/dnsNames/0']],
    [{ profile: 'server', dnsNames: ['a.example.com', 'UPPER_case'] }, ['/dnsNames/1']],
    [{ profile: 'server' }, ['/dnsNames']],
    [{ profile: 'client' }, ['/subject']],
    [{ profile: 'server', ipAddresses: ['10.0.0.1'] }, ['/ipAddresses/0']],
    [{ profile: 'server', dnsNames: ['*.com'] }, ['/dnsNames/0']],
    [
      { profile: 'server', dnsNames: ['a.example.com'], subject: { commonName: 'b.example.com' } },
      ['/subject/commonName'],
    ],
    [{ profile: 'client', subject: { commonName: 'pay.other.test' } }, ['/subject/commonName']],
  ]
  for (const [asked, fields] of rows) assert.deepEqual(await fieldsOf(asked), fields)
  assert.equal(await ctx.db.read.certificate.count(), before)
})

test('an Idempotency-Key gives the same certificate again, also to many at once', async () => {
  const made = await Promise.all(Array.from({ length: 8 }, () => issue(server, 'same')))
  assert.equal(new Set(made.map(({ fingerprintSha256 }) => fingerprintSha256)).size, 1)
  await assert.rejects(
    issue({ ...server, validityDays: 1 }, 'same'),
    isProblem('idempotency-mismatch'),
  )
})

test('a certificate left while being signed is finished with exactly the stored bytes', async () => {
  const made = await issue(server, 'cut short')
  const row = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id: made.id } })
  const der = Buffer.from(row.der ?? '')
  // As if the process had ended between the two commits.
  const tbs = new Uint8Array(der.subarray(4, 4 + 4 + der.readUInt16BE(6)))
  await ctx.db.read.certificate.update({
    where: { id: made.id },
    data: { status: 'signing', der: null, tbs, fingerprintSha256: null },
  })
  const retried = await issue(server, 'cut short')
  assert.equal(retried.id, made.id)
  assert.equal(retried.status, 'active')
  assert.equal(retried.serial, made.serial)
  await finishCertificate(ctx, made.id)
  const again = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id: made.id } })
  assert.equal(again.fingerprintSha256, retried.fingerprintSha256)
})

test('a serial that was there before is refused by the database, and nothing is signed', async () => {
  const fixed = { ...ctx, random: (octets: number) => Buffer.alloc(octets, 7) }
  const again = () =>
    issueCertificate(fixed, admin, {
      tenant: 'example',
      request: server,
      idempotencyKey: undefined,
    })
  await again()
  const before = await ctx.db.read.certificate.count()
  await assert.rejects(again())
  assert.equal(await ctx.db.read.certificate.count(), before)
})

test('lists are soonest end first, by page, and know what expires', async () => {
  const short = await issue({ ...server, validityDays: 1 })
  const soon = await listCertificates(ctx, admin, { tenant: 'example', expiringWithin: 'P2D' })
  assert.deepEqual(
    soon.items.map(({ id }) => id),
    [short.id],
  )
  const seen = new Set<string>()
  let cursor: string | null = null
  let last = ''
  do {
    const page = await listAllCertificates(ctx, admin, {
      limit: 100,
      ...(cursor ? { cursor } : {}),
    })
    for (const { id, notAfter } of page.items) {
      assert.ok(notAfter >= last)
      last = notAfter
      seen.add(id)
    }
    cursor = page.nextCursor
  } while (cursor !== null)
  assert.equal(seen.size, await ctx.db.read.certificate.count())
  await assert.rejects(
    listCertificates(ctx, admin, { tenant: 'example', expiringWithin: '30 days' }),
    isProblem('request-invalid'),
  )
})

test('every certificate is audited once, and no key is stored in the clear', async () => {
  const issued = await ctx.db.read.auditEvent.findMany({ where: { action: 'certificate.issued' } })
  const ids = issued.map(({ subjectId }) => subjectId)
  const rows = await ctx.db.read.certificate.findMany({ select: { id: true } })
  const missing = rows.filter(({ id }) => !ids.includes(id))
  assert.deepEqual(missing, [])
  for (const { sealed } of await ctx.db.read.certificateSecret.findMany({ take: 50 })) {
    assert.equal(Buffer.from(sealed).includes(Buffer.from('06072a8648ce3d0201', 'hex')), false)
  }
})

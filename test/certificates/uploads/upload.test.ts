import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { getBundle } from '../../../src/certificates/bundle.ts'
import { changeCertificate } from '../../../src/certificates/change.ts'
import { getCertificate, listCertificates } from '../../../src/certificates/find.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { openLeafKey } from '../../../src/certificates/issuance/key.ts'
import { renewCertificate } from '../../../src/certificates/renewal/renew.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import { removeUpload } from '../../../src/certificates/uploads/remove.ts'
import type { NewUpload } from '../../../src/certificates/uploads/schema.ts'
import { uploadCertificate } from '../../../src/certificates/uploads/take.ts'
import { rehearsing } from '../../../src/core/context.ts'
import { Problem } from '../../../src/shared/problem.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import {
  basicConstraintsExtension,
  extension,
  keyUsageExtension,
} from '../../../src/x509/certificates/extensions.ts'
import { derNull, sequence } from '../../../src/x509/der/encoding.ts'
import { oids } from '../../../src/x509/der/oids.ts'
import { foreign } from '../../authorities/foreign.ts'
import { issueOne, openTestAuthority } from '../../authorities/support.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl, opensslBytes } from '../../support/openssl.ts'
import { isProblem } from '../../support/problem.ts'
import { leafFor, openElsewhere, sentOf } from './elsewhere.ts'

const ctx = await openTestContext()
await openTestAuthority(ctx)
const { root, between } = await openElsewhere()

function upload(request: NewUpload, tenant = 'example', context = ctx) {
  return uploadCertificate(context, admin, { tenant, request })
}

async function uploaded(names: readonly string[], more: Partial<NewUpload> = {}) {
  const leaf = await leafFor(between, names)
  return (await upload({ ...sentOf(leaf, between, root), ...more })).certificate
}

/** A leaf whose CA signs with SHA-1. */
async function signedWithSha1(): Promise<NewUpload> {
  const { key } = await leafFor(between, ['a.example.com'])
  const files = { 'ca.pem': between.pem, 'ca.key': between.key, 'l.key': key }
  const sign = 'req -x509 -CA ca.pem -CAkey ca.key -sha1 -key l.key -subj /CN=old -days 9'
  const names = ['-addext', 'subjectAltName=DNS:a.example.com', '-out', 'l.pem']
  const certificate = opensslBytes([...sign.split(' '), ...names], files, 'l.pem').toString()
  return { certificate: certificate + between.pem + root.pem, privateKey: key }
}

/** All that an upload is refused with, in one text. */
async function refusal(request: NewUpload, tenant?: string): Promise<string> {
  try {
    await upload(request, tenant)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return JSON.stringify([error.type, error.message, error.extra])
  }
  throw new Error('it was taken')
}

test('an uploaded certificate is listed with its chain, without the root, and told from issued ones', async () => {
  const leaf = await leafFor(between, ['up.example.com', '*.up.example.com'])
  // In any order, the root among them.
  const certificate = root.pem + between.pem + leaf.pem
  const made = await upload({ certificate, privateKey: leaf.key, labels: { env: 'prod' } })
  assert.equal(made.created, true)
  const shown = await getCertificate(ctx, admin, { tenant: 'example', id: made.certificate.id })
  assert.equal(shown.pem, leaf.pem)
  assert.equal(shown.chainPem, between.pem)
  assert.deepEqual(
    [shown.origin, shown.authority, shown.keySource, shown.cause, shown.status, shown.profile],
    ['uploaded', null, 'uploaded', 'uploaded', 'active', 'server'],
  )
  assert.deepEqual(shown.upload, {
    issuer: 'CN=Elsewhere CA 1',
    root: 'CN=Elsewhere Root',
    publicRoot: false,
  })
  assert.deepEqual(shown.dnsNames, ['up.example.com', '*.up.example.com'])
  assert.deepEqual(shown.labels, { env: 'prod' })
  assert.equal(shown.autoRenew, false)
  await issueOne(ctx, { profile: 'server', dnsNames: ['issued.example.com'] })
  const ids = async (query: Parameters<typeof listCertificates>[2]) =>
    (await listCertificates(ctx, admin, query)).items.map(({ id }) => id)
  assert.deepEqual(await ids({ tenant: 'example', origin: 'uploaded' }), [shown.id])
  assert.deepEqual(await ids({ tenant: 'example', name: 'up.example.com' }), [shown.id])
  assert.deepEqual(await ids({ tenant: 'example', serial: shown.serial }), [shown.id])
  assert.deepEqual(await ids({ tenant: 'example', fingerprint: shown.fingerprintSha256 ?? '' }), [
    shown.id,
  ])
  assert.ok((await ids({ tenant: 'example', expiringWithin: 'P100D' })).includes(shown.id))
  assert.ok(!(await ids({ tenant: 'example', origin: 'issued' })).includes(shown.id))
  const key = await openLeafKey(ctx, shown.id)
  const own = new X509Certificate(leaf.pem)
  assert.ok(own.checkPrivateKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' })))
})

test('what was uploaded is audited without its key', async () => {
  const made = await uploaded(['audited.example.com'])
  const events = await ctx.db.read.auditEvent.findMany({ where: { subjectId: made.id } })
  assert.deepEqual(
    events.map(({ action, subjectName }) => [action, subjectName]),
    [['certificate.uploaded', 'audited.example.com']],
  )
  assert.ok(!JSON.stringify(events.map(({ changes }) => changes)).includes('PRIVATE'))
  const told = await ctx.db.read.event.findMany({ where: { subjectId: made.id } })
  assert.deepEqual(
    told.map(({ type }) => type),
    ['certificate.uploaded'],
  )
})

test('the same certificate once more is the one that is there, also of two at once', async () => {
  const leaf = await leafFor(between, ['twice.example.com'])
  const sent = sentOf(leaf, between, root)
  const all = await Promise.all([upload(sent), upload(sent), upload(sent)])
  assert.equal(new Set(all.map(({ certificate }) => certificate.id)).size, 1)
  assert.equal(all.filter(({ created }) => created).length, 1)
})

test('a rehearsal answers the same and stores nothing', async () => {
  const leaf = await leafFor(between, ['rehearsed.example.com'])
  const sent = sentOf(leaf, between, root)
  const { certificate } = await upload(sent, 'example', rehearsing(ctx))
  assert.equal(certificate.origin, 'uploaded')
  assert.equal(certificate.chainPem, between.pem)
  assert.equal(await ctx.db.read.certificate.count({ where: { id: certificate.id } }), 0)
  assert.equal((await upload(sent)).created, true)
})

test('a store and an encrypted key are taken', async () => {
  const leaf = await leafFor(between, ['store.example.com'])
  const files = { 'c.pem': leaf.pem, 'k.pem': leaf.key, 'a.pem': between.pem + root.pem }
  const p12 = opensslBytes(
    'pkcs12 -export -in c.pem -inkey k.pem -certfile a.pem -out s.p12 -passout pass:secret'.split(
      ' ',
    ),
    files,
    's.p12',
  )
  const made = await upload({ pkcs12: p12.toString('base64'), passphrase: 'secret' })
  assert.equal(made.certificate.chainPem, between.pem)
  assert.match(
    await refusal({ pkcs12: p12.toString('base64'), passphrase: 'wrong' }),
    /passphrase/i,
  )
  const other = await leafFor(between, ['encrypted.example.com'])
  const encrypted = opensslBytes(
    'pkcs8 -topk8 -in k.pem -out e.pem -v2 aes256 -passout pass:secret'.split(' '),
    { 'k.pem': other.key },
    'e.pem',
  ).toString()
  const sent = { ...sentOf(other, between, root), privateKey: encrypted }
  assert.match(await refusal(sent), /encrypted: send its passphrase/)
  assert.equal((await upload({ ...sent, passphrase: 'secret' })).created, true)
})

const dated = { days: -0.01 }
const wrong: Readonly<Record<string, readonly [() => Promise<NewUpload>, RegExp]>> = {
  'a missing intermediate, by its name': [
    async () => sentOf(await leafFor(between, ['a.example.com']), root),
    /chain breaks off: \\"CN=Elsewhere CA 1\\"/,
  ],
  'a root that browsers do not know and that was not sent, by its name': [
    async () => sentOf(await leafFor(between, ['a.example.com']), between),
    /chain breaks off: \\"CN=Elsewhere Root\\"/,
  ],
  'no private key': [
    async () => ({ certificate: (await leafFor(between, ['a.example.com'])).pem }),
    /Send its private key.*"field":"\/privateKey"/,
  ],
  'the key of another': [
    async () => ({
      ...sentOf(await leafFor(between, ['a.example.com']), between, root),
      privateKey: (await leafFor(between, ['b.example.com'])).key,
    }),
    /none of the certificates.*privateKey/,
  ],
  'an intermediate of the same name with another key': [
    async () => {
      const twin = await foreign({ name: 'Elsewhere CA 1', issuer: root })
      return sentOf(await leafFor(between, ['a.example.com']), twin, root)
    },
    /CA 1\\" was sent, but it did not sign \\"CN=a\.example\.com/,
  ],
  'one that is signed with SHA-1': [async () => signedWithSha1(), /signed with ECDSA with SHA-1/],
  'a key for RSASSA-PSS alone': [
    async () => {
      const key = generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
      const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
      return {
        ...sentOf(await leafFor(between, ['a.example.com']), between, root),
        privateKey: pem,
      }
    },
    /RSASSA-PSS alone, which gateways do not load/,
  ],
  'a name with a dot at its end': [
    async () => sentOf(await leafFor(between, ['a.example.com.']), between, root),
    /a dot at its end/,
  ],
  'one that has ended': [
    async () => sentOf(await leafFor(between, ['a.example.com'], dated), between, root),
    /It ended at/,
  ],
  'an intermediate that has ended': [
    async () => {
      const old = await foreign({ name: 'Old CA', issuer: root, ...dated })
      return sentOf(await leafFor(old, ['a.example.com']), old, root)
    },
    /Old CA.*: it ended at/,
  ],
  'an intermediate that is no CA': [
    async () => {
      const server = await leafFor(between, ['ca.example.com'])
      return sentOf(await leafFor(server, ['a.example.com']), server, between, root)
    },
    /not an authority \(basicConstraints\)/,
  ],
  'names of others': [
    async () => sentOf(await leafFor(between, ['a.example.com', 'a.other.org']), between, root),
    /a\.other\.org does not lie under the tenant's domains/,
  ],
  'one without a DNS name': [
    async () => sentOf(await leafFor(between, []), between, root),
    /no DNS name/,
  ],
  'one that is not for servers': [
    async () =>
      sentOf(
        await leafFor(between, ['a.example.com'], { purposes: [oids.clientAuth] }),
        between,
        root,
      ),
    /no serverAuth/,
  ],
  'one that signs nothing': [
    async () =>
      sentOf(
        await leafFor(between, ['a.example.com'], { usage: [keyUsageExtension(['keyAgreement'])] }),
        between,
        root,
      ),
    /no digitalSignature/,
  ],
  'must-staple': [
    async () =>
      sentOf(
        await leafFor(between, ['a.example.com'], {
          extensions: [extension(oids.tlsFeature, false, sequence())],
        }),
        between,
        root,
      ),
    /must-staple/,
  ],
  'a critical extension that nobody knows': [
    async () =>
      sentOf(
        await leafFor(between, ['a.example.com'], {
          extensions: [extension('1.3.6.1.4.1.11129.2.4.3', true, derNull)],
        }),
        between,
        root,
      ),
    /1\.3\.6\.1\.4\.1\.11129\.2\.4\.3/,
  ],
  'a CA': [async () => sentOf(between, root), /import that as an authority/],
  'what signed itself': [
    async () => sentOf(await foreign({ name: 'self', basic: basicConstraintsExtension(false) })),
    /signed by itself/,
  ],
  'another in its place that is not here': [
    async () => ({
      ...sentOf(await leafFor(between, ['a.example.com']), between, root),
      replaces: '00000000-0000-7000-8000-000000000000',
    }),
    /certificate-unknown/,
  ],
}
for (const [what, [made, sentence]] of Object.entries(wrong)) {
  test(`refused is ${what}`, async () => {
    assert.match(await refusal(await made()), sentence)
  })
}

test('a signature that is not by the issuer’s key ends the chain, whatever the names say', async () => {
  const twin = await foreign({ name: 'Elsewhere CA 1', issuer: root })
  const leaf = await leafFor(twin, ['forged.example.com'])
  assert.match(await refusal(sentOf(leaf, between, root)), /chain breaks off/)
})

test('of cross-signed ways the one that verifies is served, and what is left out is told', async () => {
  const other = await foreign({ name: 'Other Root' })
  const ended = await foreign({
    ...{ name: 'Elsewhere CA 1', issuer: other, key: between.keys, days: -0.01 },
  })
  const leaf = await leafFor(between, ['cross.example.com'])
  const sent = { certificate: leaf.pem + ended.pem + other.pem + between.pem + root.pem }
  const { certificate } = await upload({ ...sent, privateKey: leaf.key })
  assert.equal(certificate.chainPem, between.pem)
  assert.deepEqual(certificate.leftOut, ['"CN=Elsewhere CA 1", signed by "CN=Other Root"'])
})

test('of two ways to roots of one standing the longer is served', async () => {
  const above = await foreign({ name: 'Above Root' })
  const crossed = await foreign({ name: 'Elsewhere Root', issuer: above, key: root.keys })
  const leaf = await leafFor(between, ['longer.example.com'])
  const all = leaf.pem + root.pem + crossed.pem + above.pem + between.pem
  const { certificate } = await upload({ certificate: all, privateKey: leaf.key })
  assert.equal(certificate.chainPem, between.pem + crossed.pem)
  assert.equal(certificate.upload?.root, 'CN=Above Root')
})

test('authorities that signed one another end no upload', async () => {
  const names = Array.from({ length: 7 }, (_, n) => `Ring ${n}`)
  const ring = await Promise.all(names.map((name) => foreign({ name })))
  const crossed = await Promise.all(
    ring.flatMap((one, n) =>
      ring.flatMap((issuer, m) =>
        n === m || (n + m) % 3 > 0
          ? []
          : [foreign({ name: names[n] ?? '', issuer, key: one.keys })],
      ),
    ),
  )
  const [first] = ring
  assert.ok(first)
  const leaf = await leafFor(first, ['ring.example.com'])
  assert.match(await refusal(sentOf(leaf, ...crossed.slice(0, 15))), /chain breaks off/)
})

test('it is neither renewed nor revoked here, and the refusal says what to do', async () => {
  const { id } = await uploaded(['stays.example.com'])
  const asked = { tenant: 'example', id }
  const says = (error: unknown) =>
    isProblem('certificate-uploaded')(error) && /successor/.test(String(error))
  await assert.rejects(
    renewCertificate(ctx, admin, { ...asked, csr: undefined, idempotencyKey: undefined }),
    says,
  )
  await assert.rejects(revokeCertificate(ctx, admin, { ...asked, reason: 'superseded' }), says)
  await assert.rejects(
    changeCertificate(ctx, admin, { ...asked, patch: { autoRenew: true } }),
    isProblem('request-invalid'),
  )
  const changed = await changeCertificate(ctx, admin, { ...asked, patch: { labels: { a: 'b' } } })
  assert.deepEqual(changed.labels, { a: 'b' })
})

test('its key is not handed out; the certificate and its chain are', async () => {
  const { id, pem, chainPem } = await uploaded(['bundle.example.com'])
  const asked = { tenant: 'example', id }
  const { body } = await getBundle(ctx, admin, { ...asked, privateKey: false })
  assert.equal(body.toString(), `${pem}${chainPem}`)
  await assert.rejects(
    getBundle(ctx, admin, { ...asked, privateKey: true }),
    isProblem('key-withheld'),
  )
})

test('another tenant gets neither the certificate nor its key, until it is gone', async () => {
  const leaf = await leafFor(between, ['shared.example.com'])
  const sent = sentOf(leaf, between, root)
  const { certificate } = await upload(sent)
  await createTenant(ctx, admin, { name: 'second', domains: ['shared.example.com'] })
  const { id } = certificate
  await assert.rejects(
    getCertificate(ctx, admin, { tenant: 'second', id }),
    isProblem('certificate-unknown'),
  )
  await assert.rejects(
    removeUpload(ctx, admin, { tenant: 'second', id }),
    isProblem('certificate-unknown'),
  )
  const refused = await refusal(sent, 'second')
  assert.match(refused, /cannot be certified here/)
  await removeUpload(ctx, admin, { tenant: 'example', id })
  assert.equal((await upload(sent, 'second')).created, true)
})

test('its key is certified for no other tenant while it is here', async () => {
  const leaf = await leafFor(between, ['mine.example.com'])
  await upload(sentOf(leaf, between, root))
  await createTenant(ctx, admin, {
    ...{ name: 'third', domains: ['third.test'], defaultAuthority: 'issuing' },
  })
  const csr = openssl('req -new -key k.pem -subj /CN=a.third.test'.split(' '), {
    'k.pem': leaf.key,
  })
  const request = { profile: 'server' as const, dnsNames: ['a.third.test'], csr }
  await assert.rejects(
    issueCertificate(ctx, admin, { tenant: 'third', request, idempotencyKey: undefined }),
    /cannot be certified here/,
  )
})

test('what is removed is gone with its key, and on the audit trail', async () => {
  const { id } = await uploaded(['removed.example.com'])
  await removeUpload(rehearsing(ctx), admin, { tenant: 'example', id })
  await removeUpload(ctx, admin, { tenant: 'example', id })
  await assert.rejects(
    getCertificate(ctx, admin, { tenant: 'example', id }),
    isProblem('certificate-unknown'),
  )
  const left = { where: { certificateId: id } }
  assert.equal(await ctx.db.read.certificateSecret.count(left), 0)
  assert.equal(await ctx.db.read.certificateFingerprint.count(left), 0)
  const action = 'certificate.removed'
  assert.equal(await ctx.db.read.auditEvent.count({ where: { subjectId: id, action } }), 1)
})

test('what was issued here is neither uploaded nor removed', async () => {
  const issued = await issueOne(ctx, { profile: 'server', dnsNames: ['ours.example.com'] })
  await assert.rejects(
    removeUpload(ctx, admin, { tenant: 'example', id: issued.id }),
    isProblem('certificate-in-use'),
  )
  const key = await openLeafKey(ctx, issued.id)
  const privateKey = `-----BEGIN PRIVATE KEY-----\n${key.toString('base64')}\n-----END PRIVATE KEY-----\n`
  const chain = await ctx.db.read.issuer.findMany({ select: { anchor: true, der: true } })
  const pem = chain
    .flatMap(({ anchor, der }) => [anchor, der])
    .map((der) => new X509Certificate(der).toString())
    .join('')
  const certificate = `${issued.pem}${pem}`
  assert.match(await refusal({ certificate, privateKey }), /issued here/)
})

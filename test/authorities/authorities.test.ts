import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
import { getAuthority, listAuthorities } from '../../src/authorities/find.ts'
import { importAuthority } from '../../src/authorities/import.ts'
import { trustAnchorOf } from '../../src/authorities/issuers/current.ts'
import { toPem } from '../../src/x509/der/pem.ts'
import { admin, openTestContext } from '../support/context.ts'
import { openssl } from '../support/openssl.ts'
import { isProblem } from '../support/problem.ts'

const ctx = await openTestContext()
const subject = { commonName: 'example.com', organization: 'example Inc.' }

test('a root and an intermediate below it verify strictly with openssl', async () => {
  const root = await createAuthority(ctx, admin, { name: 'a-root', kind: 'root', subject })
  const issuing = await createAuthority(ctx, admin, {
    name: 'a-issuing',
    kind: 'intermediate',
    parent: 'a-root',
    subject: { commonName: 'example issuing' },
  })
  const files = { 'root.pem': root.pem, 'sub.pem': issuing.pem }
  openssl(['verify', '-x509_strict', '-CAfile', 'root.pem', 'root.pem'], files)
  openssl(['verify', '-x509_strict', '-CAfile', 'root.pem', 'sub.pem'], files)
  assert.equal(issuing.chainPem, root.pem)
  assert.equal(issuing.parent, 'a-root')
  assert.ok(Date.parse(issuing.notAfter ?? '') <= Date.parse(root.notAfter ?? ''))
  assert.deepEqual(await getAuthority(ctx, admin, 'a-root'), root)
  const names = (await listAuthorities(ctx, admin, {})).items.map(({ name }) => name)
  assert.deepEqual(names, ['a-issuing', 'a-root'])
})

test('an anchor trusts its own authority and none beside it', async () => {
  const [anchor] = await trustAnchorOf(ctx.db.read, 'a-issuing')
  assert.ok(anchor)
  const twin = new X509Certificate(anchor)
  const issuing = new X509Certificate((await getAuthority(ctx, admin, 'a-issuing')).pem)
  assert.equal(twin.subject, issuing.subject)
  assert.equal(twin.issuer, twin.subject)
  assert.ok(twin.verify(issuing.publicKey))
  const pem = toPem('CERTIFICATE', anchor)
  openssl(['verify', '-x509_strict', '-CAfile', 'anchor.pem', 'anchor.pem'], { 'anchor.pem': pem })
})

test('the runbook’s openssl root is imported with its key and issues here', async () => {
  const { pem, key } = opensslRoot('example.com')
  const imported = await importAuthority(ctx, admin, {
    name: 'runbook',
    certificate: pem,
    privateKey: key,
  })
  assert.equal(imported.kind, 'root')
  assert.equal(imported.keyHeld, true)
  assert.deepEqual(imported.subject, { commonName: 'example.com', organization: 'example Inc.' })
  const below = await createAuthority(ctx, admin, {
    name: 'runbook-issuing',
    kind: 'intermediate',
    parent: 'runbook',
    subject: { commonName: 'below the runbook' },
  })
  // Not -x509_strict: it asks keyUsage of every CA, and openssl's own roots have none.
  openssl(['verify', '-CAfile', 'root.pem', 'sub.pem'], {
    'root.pem': pem,
    'sub.pem': below.pem,
  })
  await assert.rejects(
    importAuthority(ctx, admin, { name: 'again', certificate: pem }),
    isProblem('authority-exists'),
  )
})

test('a root without its key is trusted and signs nothing', async () => {
  const { pem } = opensslRoot('keyless')
  const imported = await importAuthority(ctx, admin, { name: 'keyless', certificate: pem })
  assert.equal(imported.keyHeld, false)
  await assert.rejects(
    createAuthority(ctx, admin, {
      name: 'below-keyless',
      kind: 'intermediate',
      parent: 'keyless',
      subject: { commonName: 'x' },
    }),
    isProblem('authority-keyless'),
  )
})

test('what cannot be an authority here is refused, and nothing is stored', async () => {
  const { pem, key } = opensslRoot('one')
  const leaf = openssl(
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
      .concat(['-keyout', 'k.pem', '-subj', '/CN=leaf', '-addext', 'basicConstraints=CA:FALSE'])
      .concat(['-days', '3']),
  )
  const cases = [
    { certificate: 'nonsense' },
    { certificate: leaf },
    { certificate: pem, privateKey: opensslRoot('two').key },
    { certificate: pem, privateKey: 'nonsense' },
    { certificate: pem + opensslRoot('three').pem, privateKey: key },
  ]
  for (const asked of cases) {
    await assert.rejects(
      importAuthority(ctx, admin, { name: 'refused', ...asked }),
      isProblem('authority-refused'),
    )
  }
  await assert.rejects(
    createAuthority(ctx, admin, { name: 'refused', kind: 'intermediate', subject }),
    isProblem('authority-refused'),
  )
  await assert.rejects(getAuthority(ctx, admin, 'refused'), isProblem('authority-unknown'))
})

test('no CA key is stored in the clear', async () => {
  const rows = await ctx.db.read.authoritySecret.findMany()
  assert.ok(rows.length > 0)
  for (const { sealed } of rows) {
    const octets = Buffer.from(sealed)
    // The algorithm identifier that every PKCS#8 EC key begins with.
    assert.equal(octets.includes(Buffer.from('06072a8648ce3d0201', 'hex')), false)
  }
})

/** As in the runbook: `openssl req -x509 -sha256 -nodes -days 365 -newkey rsa:2048`. */
function opensslRoot(commonName: string): { pem: string; key: string } {
  const key = openssl(['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'])
  const pem = openssl(
    ['req', '-x509', '-sha256', '-days', '365', '-key', 'ca.key'].concat([
      '-subj',
      `/O=example Inc./CN=${commonName}`,
    ]),
    { 'ca.key': key },
  )
  return { pem, key }
}

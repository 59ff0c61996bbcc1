import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { getWholeList } from '../../../src/authorities/crl/find.ts'
import { gatewayTrust } from '../../../src/authorities/crl/gateway.ts'
import { publishLists } from '../../../src/authorities/crl/publish.ts'
import { importAuthority } from '../../../src/authorities/import.ts'
import { crossSign } from '../../../src/authorities/issuers/crosssign.ts'
import { trustAnchorOf } from '../../../src/authorities/issuers/current.ts'
import { listIssuers } from '../../../src/authorities/issuers/view.ts'
import { rotateAuthority } from '../../../src/authorities/rotation/rotate.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { Problem } from '../../../src/shared/problem.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import {
  altNamesExtension,
  basicConstraintsExtension,
  constraintsExtension,
  extendedKeyUsageExtension,
  extension,
  keyUsageExtension,
} from '../../../src/x509/certificates/extensions.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { noSubtrees } from '../../../src/x509/constraints/subtrees.ts'
import {
  context,
  contextPrimitive,
  derNull,
  integer,
  sequence,
} from '../../../src/x509/der/encoding.ts'
import { oid, oids } from '../../../src/x509/der/oids.ts'
import { readPem, toPem } from '../../../src/x509/der/pem.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import { emptyName } from '../../../src/x509/names/distinguished.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { fieldsOf, isProblem } from '../../support/problem.ts'
import { type Foreign, foreign, type identifiers, type Said } from '../foreign.ts'
import { issueOne, keyOf, revoke } from '../support.ts'

const ctx = await openTestContext()
await createTenant(ctx, admin, { name: 'example', domains: ['example.com'], namespaces: ['test'] })

async function imported(name: string, made: Foreign, over: object = {}) {
  const asked = { name, certificate: made.pem, privateKey: made.key, ...over }
  return importAuthority(ctx, admin, asked)
}

const der = (pem: string) => readPem(pem, 'CERTIFICATE')[0] ?? Buffer.alloc(0)
const strictly = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile']
const leafSaid = {
  basic: basicConstraintsExtension(false),
  usage: [keyUsageExtension(['digitalSignature'])],
  extensions: [
    extendedKeyUsageExtension([oids.clientAuth]),
    altNamesExtension({ ...noAltNames, dnsNames: ['old.example.com'] }, false),
  ],
} as const

const forms = [
  'sha1',
  'sha256',
  'sha256cut',
  'random',
  'none',
] as const satisfies readonly (keyof typeof identifiers)[]

for (const form of forms)
  test(`what stands for an imported CA keeps its subjectKeyIdentifier (${form}), and old leaves verify`, async () => {
    const top = await foreign({ name: `Top ${form}`, ski: form })
    const middle = await foreign({ name: `Middle ${form}`, ski: form, issuer: top })
    const old = await foreign({ name: 'old', ...leafSaid, issuer: middle, days: 20 })
    await imported(`top-${form}`, top)
    await imported(`middle-${form}`, middle)
    // 1. The trust anchor that MUTUAL hosts are given.
    const [anchor = Buffer.alloc(0)] = await trustAnchorOf(ctx.db.read, `middle-${form}`)
    const twin = readCertificate(anchor)
    assert.deepEqual(twin.subjectKeyIdentifier, middle.ski)
    assert.deepEqual(twin.subjectDer, middle.subject)
    // 2. What another root says of it.
    await createAuthority(ctx, admin, {
      name: `other-${form}`,
      kind: 'root',
      subject: { commonName: `Other ${form}` },
    })
    const crossed = await crossSign(ctx, admin, { authority: `top-${form}`, by: `other-${form}` })
    assert.deepEqual(readCertificate(der(crossed.pem)).subjectKeyIdentifier, top.ski)
    // 3. Leaves from before, and new ones, under all of these.
    const made = await issueOne(ctx, {
      profile: 'client',
      authority: `middle-${form}`,
      dnsNames: ['new.example.com'],
    })
    const other = await ctx.db.read.issuer.findFirstOrThrow({
      where: { authority: { name: `other-${form}` } },
    })
    const files = {
      'anchor.pem': toPem('CERTIFICATE', anchor),
      'top.pem': top.pem,
      'other.pem': toPem('CERTIFICATE', Buffer.from(other.der)),
      'middle.pem': middle.pem,
      'crossed.pem': crossed.pem + middle.pem,
      'old.pem': old.pem,
      'new.pem': made.pem ?? '',
    }
    // A CA without the identifier is never strictly right; what is asked of all else then is the rest.
    const verify = form === 'none' ? strictly.filter((arg) => arg !== '-x509_strict') : strictly
    for (const leaf of ['old.pem', 'new.pem']) {
      openssl([...verify, 'anchor.pem', leaf], files)
      openssl([...verify, 'top.pem', '-untrusted', 'middle.pem', leaf], files)
      openssl([...verify, 'other.pem', '-untrusted', 'crossed.pem', leaf], files)
    }
  })

test('after a rotation of an imported root, its old leaves verify by the new one', async () => {
  const top = await foreign({ name: 'Rotated top', ski: 'sha256' })
  const old = await foreign({ name: 'old', ...leafSaid, issuer: top, days: 20 })
  await imported('rotated', top)
  await rotateAuthority(ctx, admin, { authority: 'rotated', request: {} })
  const { items } = await listIssuers(ctx, admin, 'rotated')
  const read = items.map(({ pem }) => ({ pem, ...readCertificate(der(pem)) }))
  const oldKey = readCertificate(der(top.pem)).spki
  const newRoot = read.find(
    ({ spki, subjectKeyIdentifier: own, authorityKeyIdentifier: by }) =>
      !spki.equals(oldKey) && (by === undefined || own?.equals(by)),
  )
  const oldByNew = read.find((one) => one.spki.equals(oldKey) && one.authorityKeyIdentifier)
  assert.ok(newRoot && oldByNew)
  assert.deepEqual(oldByNew.subjectKeyIdentifier, top.ski)
  openssl([...strictly, 'new.pem', '-untrusted', 'old.pem', 'leaf.pem'], {
    'new.pem': newRoot.pem,
    'old.pem': oldByNew.pem,
    'leaf.pem': old.pem,
  })
})

const strange = (critical: boolean) => extension('1.2.3.4.5', critical, derNull)
const policyConstraints = sequence(contextPrimitive(0, Buffer.from([0])))
const otherName = sequence(context(0, sequence(context(0, oid('1.2.3'), context(0, derNull)))))

/** What no verifier would accept, in the CA or in what it certifies; and what the reason says. */
const refused: readonly (readonly [string, Partial<Said>, RegExp])[] = [
  [
    'an unknown critical extension',
    { extensions: [strange(true)] },
    /critical extensions.*1\.2\.3\.4\.5/,
  ],
  [
    'policyConstraints',
    { extensions: [extension(oids.policyConstraints, true, policyConstraints)] },
    /policyConstraints/,
  ],
  [
    'inhibitAnyPolicy',
    { extensions: [extension(oids.inhibitAnyPolicy, true, integer(0))] },
    /inhibitAnyPolicy/,
  ],
  [
    'inhibitAnyPolicy that is not critical',
    { extensions: [extension(oids.inhibitAnyPolicy, false, integer(0))] },
    /inhibitAnyPolicy/,
  ],
  [
    'a critical policyMappings',
    { extensions: [extension('2.5.29.33', true, sequence())] },
    /2\.5\.29\.33/,
  ],
  [
    'a critical authorityInfoAccess',
    { extensions: [extension(oids.authorityInfoAccess, true, sequence())] },
    /critical extensions/,
  ],
  [
    'purposes that no leaf here has',
    { extensions: [extendedKeyUsageExtension(['1.3.6.1.5.5.7.3.4'])] },
    /neither serverAuth nor clientAuth/,
  ],
  ['an empty subject', { subject: emptyName }, /subject is empty/],
  ['a keyUsage that allows nothing', { usage: [keyUsageExtension([])] }, /keyCertSign/],
  ['a keyUsage without keyCertSign', { usage: [keyUsageExtension(['cRLSign'])] }, /keyCertSign/],
  [
    'constraints on kinds that are not judged',
    { extensions: [extension(oids.nameConstraints, true, otherName)] },
    /otherName/,
  ],
  ['an extension twice', { extensions: [strange(false), strange(false)] }, /appears twice/],
]

for (const [what, said, reason] of refused)
  test(`a CA with ${what} is refused with the reason`, async () => {
    for (const issuer of [undefined, await parent()]) {
      const above = issuer ? { issuer } : {}
      const made = await foreign({ name: `Refused ${what}`, ...said, ...above })
      const error: unknown = await imported('refused', made).catch((thrown: unknown) => thrown)
      assert.ok(error instanceof Problem && error.type === 'authority-refused', String(error))
      assert.match(JSON.stringify([error.message, error.extra]), reason)
    }
  })

let known: Foreign | undefined
async function parent(): Promise<Foreign> {
  if (known) return known
  known = await foreign({ name: 'Known' })
  await imported('known', known)
  return known
}

for (const [what, said, names] of [
  [
    'dnsNames',
    { altNames: { ...noAltNames, dnsNames: ['ca.other.test'] } },
    { dnsNames: ['example.com'] },
  ],
  [
    'an IP address',
    { altNames: { ...noAltNames, ipAddresses: ['192.0.2.1'] } },
    { ipRanges: ['10.0.0.0/8'] },
  ],
  [
    'a mail address',
    { altNames: { ...noAltNames, emailAddresses: ['ca@other.test'] } },
    { emailAddresses: ['example.com'] },
  ],
] as const)
  test(`a CA that names itself by ${what} outside its issuers’ constraints is refused`, async () => {
    const permitted = { ...noSubtrees, ...names }
    const top = await foreign({
      name: `Holding ${what}`,
      extensions: [constraintsExtension({ permitted, excluded: noSubtrees })],
    })
    await imported(`holding-${what.replace(/\W/g, '').toLowerCase()}`, top)
    const below = await foreign({
      name: `Named by ${what}`,
      issuer: top,
      extensions: [altNamesExtension(said.altNames, false)],
    })
    assert.deepEqual(await fieldsOf('authority-refused', imported('outside', below)), [
      '/certificate',
    ])
    const leaf = await foreign({
      name: 'leaf',
      ...leafSaid,
      extensions: [],
      issuer: below,
      days: 9,
    })
    assert.throws(() =>
      openssl(['verify', '-CAfile', 'top.pem', '-untrusted', 'below.pem', 'leaf.pem'], {
        'top.pem': top.pem,
        'below.pem': below.pem,
        'leaf.pem': leaf.pem,
      }),
    )
  })

test('extended key usages of a path limit the profiles', async () => {
  const top = await foreign({
    name: 'Clients only',
    extensions: [extendedKeyUsageExtension([oids.clientAuth])],
  })
  const made = await imported('clients-only', top)
  assert.deepEqual(made.profiles, ['client'])
  const asked = imported('again', top, { profiles: ['client', 'server'] })
  assert.deepEqual(await fieldsOf('authority-refused', asked), ['/profiles'])
  const below = await createAuthority(ctx, admin, {
    name: 'clients-below',
    kind: 'intermediate',
    parent: 'clients-only',
    subject: { commonName: 'Below clients' },
  })
  assert.deepEqual(below.profiles, ['client'])
  await issueOne(ctx, { profile: 'client', authority: 'clients-below' })
  const server = issueOne(ctx, { profile: 'server', authority: 'clients-below' })
  assert.deepEqual(await fieldsOf('certificate-refused', server), ['/profile'])
  const middle = await foreign({
    name: 'Clients middle',
    issuer: top,
    extensions: [extendedKeyUsageExtension([oids.clientAuth])],
  })
  await imported('clients-middle', middle)
  const [anchor = Buffer.alloc(0)] = await trustAnchorOf(ctx.db.read, 'clients-middle')
  assert.deepEqual(readCertificate(anchor).extendedKeyUsage, [oids.clientAuth])
})

test('path length counts along the whole path, on create, import and cross-sign', async () => {
  const top = await foreign({ name: 'Long top', basic: basicConstraintsExtension(true, 1) })
  const middle = await foreign({ name: 'Long middle', issuer: top, days: 200 })
  await imported('long-top', top)
  const read = await imported('long-middle', middle)
  assert.equal(read.pathLength, null)
  const [anchor = Buffer.alloc(0)] = await trustAnchorOf(ctx.db.read, 'long-middle')
  assert.equal(readCertificate(anchor).pathLength, 0)
  const below = createAuthority(ctx, admin, {
    name: 'too-deep',
    kind: 'intermediate',
    parent: 'long-middle',
    subject: { commonName: 'Too deep' },
  })
  assert.deepEqual(await fieldsOf('authority-refused', below), ['/parent'])
  const deep = await foreign({ name: 'Deep', issuer: middle, days: 100 })
  assert.deepEqual(await fieldsOf('authority-refused', imported('deep', deep)), ['/certificate'])
  const leaf = await foreign({ name: 'leaf', ...leafSaid, issuer: deep, days: 9 })
  const files = { 'top.pem': top.pem, 'rest.pem': middle.pem + deep.pem, 'leaf.pem': leaf.pem }
  assert.throws(() =>
    openssl(['verify', '-CAfile', 'top.pem', '-untrusted', 'rest.pem', 'leaf.pem'], files),
  )
  await createAuthority(ctx, admin, {
    name: 'apart',
    kind: 'root',
    subject: { commonName: 'Apart' },
  })
  const crossed = crossSign(ctx, admin, { authority: 'apart', by: 'long-middle' })
  assert.deepEqual(await fieldsOf('authority-refused', crossed), ['/by'])
  const once = await crossSign(ctx, admin, { authority: 'apart', by: 'long-top' })
  assert.equal(readCertificate(der(once.pem)).pathLength, 0)
})

test('a CA that outlives its issuer is refused for that, and not as if nobody had signed it', async () => {
  const top = await foreign({ name: 'Short', days: 30 })
  await imported('short', top)
  const long = imported('outlives', await foreign({ name: 'Outlives', issuer: top, days: 60 }))
  await assert.rejects(long, /ends after its issuer/)
})

test('a CA without cRLSign gives out no list, and says so', async () => {
  const top = await foreign({ name: 'Listless', usage: [keyUsageExtension(['keyCertSign'])] })
  const made = await imported('listless', top)
  assert.equal(made.signsLists, false)
  const middle = await foreign({
    name: 'Listless below',
    issuer: top,
    usage: [keyUsageExtension(['keyCertSign'])],
  })
  await imported('listless-below', middle)
  const [anchor = Buffer.alloc(0)] = await trustAnchorOf(ctx.db.read, 'listless-below')
  assert.deepEqual(readCertificate(anchor).keyUsage, ['keyCertSign'])
  const [issuer] = (await listIssuers(ctx, admin, 'listless')).items
  assert.ok(!issuer?.usages.includes('list'))
  for (const authority of ['listless', 'listless-below']) {
    const client = await issueOne(ctx, { profile: 'client', authority })
    const read = readCertificate(der(client.pem ?? ''))
    assert.deepEqual([read.crlUrls.length, read.ocspUrls.length], [0, 1])
    await assert.rejects(getWholeList(ctx, authority), isProblem('list-unknown'))
    await revoke(ctx, client)
    await publishLists(ctx, await keyOf(ctx, authority))
    await assert.rejects(getWholeList(ctx, authority), isProblem('list-unknown'))
    await assert.rejects(
      gatewayTrust(ctx, { authority, tenantId: null }),
      isProblem('list-unknown'),
    )
    assert.equal(
      await ctx.db.read.revocationList.count({
        where: { key: { issuers: { some: { authority: { name: authority } } } } },
      }),
      0,
    )
  }
  const below = await createAuthority(ctx, admin, {
    name: 'below-listless',
    kind: 'intermediate',
    parent: 'listless',
    subject: { commonName: 'Below listless' },
  })
  assert.deepEqual([below.signsLists, readCertificate(der(below.pem)).crlUrls], [true, []])
})

test('no MUTUAL host lets in clients of a CA that cannot say who is revoked', async () => {
  const top = await foreign({ name: 'Unlisted', usage: [keyUsageExtension(['keyCertSign'])] })
  await imported('unlisted', top, { tenant: 'example' })
  await createAuthority(ctx, admin, {
    name: 'serving',
    kind: 'root',
    subject: { commonName: 'Serving' },
  })
  const host = putHost(ctx, admin, {
    tenant: 'example',
    name: 'mutual.example.com',
    spec: {
      tls: { mode: 'MUTUAL', clientAuthority: 'unlisted' },
      certificate: { authority: 'serving' },
      routes: [{ match: { prefix: '/' }, to: { service: 'httpbin', namespace: 'test', port: 80 } }],
      clusters: ['c'],
    },
  })
  const fields = await fieldsOf('host-refused', host)
  assert.ok(fields.includes('/tls/clientAuthority'), fields.join())
})

test('no authority is called import, created or imported', async () => {
  const name = 'import'
  const subject = { commonName: name }
  const created = createAuthority(ctx, admin, { name, kind: 'root', subject })
  assert.deepEqual(await fieldsOf('authority-refused', created), ['/name'])
  const made = await foreign({ name })
  assert.deepEqual(await fieldsOf('authority-refused', imported(name, made)), ['/name'])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gatewayTrust } from '../../../src/authorities/crl/gateway.ts'
import { publishLists } from '../../../src/authorities/crl/publish.ts'
import { importAuthority } from '../../../src/authorities/import.ts'
import { trustAnchorOf } from '../../../src/authorities/issuers/current.ts'
import { listIssuers } from '../../../src/authorities/issuers/view.ts'
import { answerOcsp } from '../../../src/authorities/ocsp/answer.ts'
import { rotateAuthority } from '../../../src/authorities/rotation/rotate.ts'
import { Problem } from '../../../src/shared/problem.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import {
  basicConstraintsExtension,
  constraintsExtension,
  extendedKeyUsageExtension,
  extension,
} from '../../../src/x509/certificates/extensions.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { noSubtrees } from '../../../src/x509/constraints/subtrees.ts'
import {
  context,
  contextPrimitive,
  derNull,
  sequence,
  setOf,
  tags,
  tlv,
} from '../../../src/x509/der/encoding.ts'
import { oid, oids } from '../../../src/x509/der/oids.ts'
import { readPem, toPem } from '../../../src/x509/der/pem.ts'
import { emptyName, encodeName } from '../../../src/x509/names/distinguished.ts'
import { ia5Name } from '../../../src/x509/names/generalnames.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl, opensslBytes, opensslSays } from '../../support/openssl.ts'
import { type Foreign, foreign, type identifiers } from '../foreign.ts'
import { issueOne, keyOf, revoke } from '../support.ts'

const ctx = await openTestContext()
await createTenant(ctx, admin, { name: 'example', domains: ['example.com'], namespaces: ['test'] })

const der = (pem: string) => readPem(pem, 'CERTIFICATE')[0] ?? Buffer.alloc(0)

function imported(name: string, made: Pick<Foreign, 'pem' | 'key'>) {
  return importAuthority(ctx, admin, { name, certificate: made.pem, privateKey: made.key })
}

/** All that a refusal says. */
async function reasons(asked: Promise<unknown>): Promise<string> {
  const error: unknown = await asked.catch((thrown: unknown) => thrown)
  assert.ok(error instanceof Problem && error.type === 'authority-refused', String(error))
  return JSON.stringify([error.message, error.extra])
}

const authority = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign']

/** A root by openssl, of any key and signature. */
function rootBy(key: readonly string[], signing: readonly string[] = []) {
  const pem = openssl(['genpkey', ...key])
  const asked = ['req', '-x509', '-key', 'k.pem', '-subj', '/CN=Root', '-days', '9', ...signing]
  return { pem: openssl([...asked, ...authority], { 'k.pem': pem }), key: pem }
}

const rsa = (bits: number) => ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${bits}`]
const notSigned = /signature is not by/

const curve = (name: string) => ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${name}`]

for (const [what, key, signing, reason] of [
  ['MD5', rsa(2048), ['-md5'], /not taken here \(MD5 with RSA\)/],
  [
    'RSASSA-PSS by SHA-1',
    rsa(2048),
    ['-sha1', '-sigopt', 'rsa_padding_mode:pss'],
    /RSASSA-PSS by another hash/,
  ],
  ['RSA 1024', rsa(1024), [], /The key is RSA of 1024 bits, none of/],
  ['RSA 2560', rsa(2560), [], /RSA of 2560 bits/],
  ['exponent 3', [...rsa(2048), '-pkeyopt', 'rsa_keygen_pubexp:3'], [], /exponent is not 65537/],
  [
    'a key for PSS alone',
    ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'],
    [],
    /RSA-PSS of 2048 bits/,
  ],
  ['Ed448', ['-algorithm', 'ED448'], [], /The key is ed448, none of/],
  ['a curve of others', curve('brainpoolP256r1'), [], /EC on brainpoolP256r1, none of/],
  ['secp256k1', curve('secp256k1'), [], /EC on secp256k1, none of/],
] as const)
  test(`a root with ${what} is refused for that alone, by its name`, async () => {
    const said = await reasons(imported('weak', rootBy(key, signing)))
    assert.match(said, reason)
    assert.doesNotMatch(said, notSigned)
  })

for (const [name, key, signing] of [
  ['sha1-root', rsa(2048), ['-sha1']],
  ['sha1-ec-root', curve('P-256'), ['-sha1']],
  ['sha224-root', rsa(2048), ['-sha224']],
  ['pss-root', rsa(2048), ['-sha256', '-sigopt', 'rsa_padding_mode:pss']],
  [
    'pss-512-root',
    rsa(2048),
    ['-sha512', '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:20'],
  ],
  ['p521-root', curve('P-521'), ['-sha512']],
  ['p521-sha256-root', curve('P-521'), ['-sha256']],
] as const)
  test(`a root as ${name} is taken, and what is issued below it verifies`, async () => {
    const root = rootBy(key, signing)
    const made = await imported(name, root)
    assert.equal(made.kind, 'root')
    const client = await issueOne(ctx, { profile: 'client', authority: name })
    const files = { 't.pem': root.pem, 'l.pem': client.pem ?? '' }
    openssl(['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 't.pem', 'l.pem'], files)
  })

test('a CA with ECDSA and parameters NULL is taken', async () => {
  const made = await foreign({ name: 'Null', nullParameters: true })
  const root = await imported('null-parameters', made)
  assert.equal(root.keyAlgorithm, 'ECDSA_P256')
  const below = await foreign({ name: 'Null below', nullParameters: true, issuer: made })
  assert.equal((await imported('null-below', below)).parent, 'null-parameters')
})

test('a P-521 root has its key changed to P-384', async () => {
  await imported('p521-rotated', rootBy(curve('P-521'), ['-sha512']))
  await rotateAuthority(ctx, admin, { authority: 'p521-rotated', request: {} })
  const { items } = await listIssuers(ctx, admin, 'p521-rotated')
  assert.deepEqual(
    new Set(items.map((each) => each.keyAlgorithm)),
    new Set(['ECDSA_P521', 'ECDSA_P384']),
  )
})

test('an intermediate signed with SHA-1 is refused for that, and not as if its issuer were unknown', async () => {
  const top = rootBy(rsa(2048))
  await imported('strong', top)
  const key = openssl(['genpkey', ...rsa(2048)])
  const csr = openssl(['req', '-new', '-key', 'k.pem', '-subj', '/CN=Middle'], { 'k.pem': key })
  const signed = ['x509', '-req', '-in', 'q.pem', '-CA', 't.pem', '-CAkey', 't.key', '-days', '3']
  const pem = openssl([...signed, '-sha1', '-extfile', 'ext'], {
    'q.pem': csr,
    't.pem': top.pem,
    't.key': top.key,
    ext: 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n',
  })
  const said = await reasons(imported('sha1', { pem, key }))
  assert.match(said, /algorithm that is not taken here \(SHA-1 with RSA\)/)
  assert.doesNotMatch(said, /No authority here/)
})

const printable = (name: string) =>
  sequence(
    setOf(sequence(oid(oids.commonName), tlv(tags.printableString, Buffer.from(name, 'latin1')))),
  )

test('a CA that names its issuer in other string types is refused for that, as some verifiers do', async () => {
  const top = await foreign({ name: 'Types' })
  await imported('types', top)
  const issuer = { ...top, subject: printable('Types') }
  const middle = await foreign({ name: 'Middle types', issuer })
  assert.match(await reasons(imported('middle-types', middle)), /other octets/)
  const own = await foreign({ name: 'Own types', issuerName: printable('OWN  types') })
  assert.match(await reasons(imported('own-types', own)), /other octets/)
})

test('issuer and serial in authorityKeyIdentifier are held against the issuer, as openssl does', async () => {
  const top = await foreign({ name: 'Serial' })
  const { serial, subjectDer } = readCertificate(der(top.pem))
  await imported('serial', top)
  const key = (stated: string, name: Buffer) =>
    extension(
      oids.authorityKeyIdentifier,
      false,
      sequence(context(1, context(4, name)), contextPrimitive(2, Buffer.from(stated, 'hex'))),
    )
  const rows = [
    ['right-serial', key(serial, subjectDer), true],
    ['wrong-serial', key('01ff', subjectDer), false],
    ['wrong-name', key(serial, encodeName({ commonName: 'Another' })), false],
  ] as const
  for (const [name, authorityKey, good] of rows) {
    const middle = await foreign({ name, issuer: top, authorityKey })
    const verify = () =>
      openssl(['verify', '-CAfile', 't.pem', 'm.pem'], { 't.pem': top.pem, 'm.pem': middle.pem })
    if (good) {
      await imported(name, middle)
      verify()
    } else {
      assert.match(await reasons(imported(name, middle)), /by issuer and serial/)
      assert.throws(verify)
    }
  }
})

const plain = await foreign({ name: 'Plain' })
await imported('plain', plain)
const bad = /nameConstraints|valid DER/
const space = (name: string) => sequence(ia5Name('dns', name))
const constraints = (...parts: readonly Buffer[]) =>
  extension(oids.nameConstraints, true, sequence(...parts))

for (const [what, said] of [
  ['a permitted part without names', constraints(context(0))],
  ['an excluded part without names', constraints(context(0, space('a.test')), context(1))],
  ['two permitted parts', constraints(context(0, space('a.test')), context(0, space('b.test')))],
  [
    'parts in the wrong order',
    constraints(context(1, space('a.test')), context(0, space('b.test'))),
  ],
  ['a part of no known kind', constraints(context(0, space('a.test')), context(2))],
  ['a blank', constraints(context(0, space('a test')))],
  ['a NUL', constraints(context(1, space('a\0.test')))],
  ['a wildcard', constraints(context(1, space('*.a.test')))],
  ['a dot alone', constraints(context(1, space('.')))],
  ['a dot at the end', constraints(context(0, space('a.test.')))],
  ['a mailbox in quotes', constraints(context(1, sequence(ia5Name('email', '"a b"@a.test'))))],
  ['a mailbox of nobody', constraints(context(1, sequence(ia5Name('email', '@a.test'))))],
  ['a URL for a host', constraints(context(1, sequence(ia5Name('uri', 'http://a.test/'))))],
  ['an address for a host', constraints(context(1, sequence(ia5Name('uri', '10.0.0.1'))))],
  ['a directory name of two', constraints(context(0, sequence(context(4, emptyName, emptyName))))],
  ['a directory name that is none', constraints(context(0, sequence(context(4, derNull))))],
  [
    'a directory name of no pairs',
    constraints(context(0, sequence(context(4, sequence(derNull))))),
  ],
] as const)
  test(`nameConstraints with ${what} are refused, on a root and below one`, async () => {
    const made = await foreign({ name: 'Constraints', extensions: [said] })
    assert.match(await reasons(imported('constraints', made)), bad)
    const below = await foreign({ name: 'Constrained', extensions: [said], issuer: plain })
    assert.match(await reasons(imported('constraints', below)), bad)
  })

for (const [what, said, reason] of [
  [
    'a critical subjectAltName that Go does not read',
    { extensions: [extension(oids.subjectAltName, true, sequence(context(4, plain.subject)))] },
    /critical subjectAltName/,
  ],
  [
    'a pathLength that GraphQL has no number for',
    { basic: basicConstraintsExtension(true, 2 ** 31) },
    /pathLength is more than/,
  ],
] as const)
  test(`a CA with ${what} is refused`, async () => {
    assert.match(await reasons(imported('odd', await foreign({ name: 'Odd', ...said }))), reason)
  })

test('a name that is not UTF-8 is refused and not mended', async () => {
  const value = tlv(tags.utf8String, Buffer.from([0x41, 0xff, 0x42]))
  const subject = sequence(setOf(sequence(oid(oids.commonName), value)))
  assert.match(await reasons(imported('octets', await foreign({ name: '', subject }))), /UTF-8/)
})

test('anyExtendedKeyUsage alone lets nothing be issued, since openssl takes nothing from it', async () => {
  const any = extendedKeyUsageExtension([oids.anyExtendedKeyUsage])
  const top = await foreign({ name: 'Any', extensions: [any] })
  const leaf = await foreign({
    name: 'leaf',
    issuer: top,
    basic: Buffer.alloc(0),
    usage: [],
    extensions: [extendedKeyUsageExtension([oids.clientAuth])],
  })
  const verify = ['verify', '-purpose', 'sslclient', '-CAfile', 't.pem', 'l.pem']
  assert.throws(() => openssl(verify, { 't.pem': top.pem, 'l.pem': leaf.pem }), /purpose/)
  assert.match(await reasons(imported('any', top)), /anyExtendedKeyUsage/)
  const both = extendedKeyUsageExtension([oids.anyExtendedKeyUsage, oids.clientAuth])
  const named = await foreign({ name: 'Any and clients', extensions: [both] })
  assert.deepEqual((await imported('any-client', named)).profiles, ['client'])
  const client = await issueOne(ctx, { profile: 'client', authority: 'any-client' })
  openssl(verify, { 't.pem': named.pem, 'l.pem': client.pem ?? '' })
})

/** What openssl makes of an OCSP answer about this leaf. */
async function ocspOf(name: string, leaf: string): Promise<string> {
  const row = await ctx.db.read.issuer.findFirstOrThrow({ where: { authority: { name } } })
  const files = { 'issuer.pem': toPem('CERTIFICATE', Buffer.from(row.der)), 'leaf.pem': leaf }
  const asked = ['ocsp', '-no_nonce', '-issuer', 'issuer.pem', '-cert', 'leaf.pem']
  const request = opensslBytes([...asked, '-reqout', 'out'], files, 'out')
  const { der: answer } = await answerOcsp(ctx, { authority: name, request })
  const judged = ['ocsp', '-respin', 'r.der', '-issuer', 'issuer.pem', '-cert', 'leaf.pem']
  return opensslSays([...judged, '-CAfile', 'issuer.pem'], { ...files, 'r.der': answer })
}

for (const [what, said] of [
  [
    'that permits directory names',
    {
      extensions: [
        constraintsExtension({
          permitted: {
            ...noSubtrees,
            directoryNames: [encodeName({ organization: 'Example' })],
          },
          excluded: noSubtrees,
        }),
      ],
    },
  ],
  [
    'whose name has control characters',
    {
      subject: sequence(
        setOf(sequence(oid(oids.commonName), tlv(tags.utf8String, Buffer.from('A\tB')))),
      ),
    },
  ],
  [
    'whose name has characters of four octets',
    {
      subject: sequence(
        setOf(
          sequence(oid(oids.commonName), tlv(tags.utf8String, Buffer.from(`a${'𝔸'.repeat(40)}`))),
        ),
      ),
    },
  ],
  ['without a commonName', { subject: encodeName({ organization: 'No common name' }) }],
  ['for clients alone', { extensions: [extendedKeyUsageExtension([oids.clientAuth])] }],
] as const)
  test(`an imported CA ${what} answers by OCSP, and openssl takes the answer`, async () => {
    const name = `ocsp-${what.replace(/\W+/g, '-')}`.slice(0, 40)
    await imported(name, await foreign({ name, ...said }))
    const leaf = await issueOne(ctx, { profile: 'client', authority: name })
    const told = await ocspOf(name, leaf.pem ?? '')
    assert.match(told, /leaf.pem: good[\s\S]*Response verify OK/)
  })

test('through levels of imported CAs, an anchor with its list lets in who is not revoked', async () => {
  for (const ski of ['sha1', 'random'] as const satisfies readonly (keyof typeof identifiers)[]) {
    const top = await foreign({ name: `Levels ${ski}`, ski })
    const middle = await foreign({ name: `Levels middle ${ski}`, ski, issuer: top, days: 200 })
    const low = await foreign({ name: `Levels low ${ski}`, ski, issuer: middle, days: 100 })
    const old = await foreign({
      name: 'old',
      issuer: low,
      days: 9,
      basic: Buffer.alloc(0),
      usage: [],
      extensions: [extendedKeyUsageExtension([oids.clientAuth])],
    })
    const name = `levels-low-${ski}`
    await imported(`levels-${ski}`, top)
    await imported(`levels-middle-${ski}`, middle)
    await imported(name, low)
    const [good, bad] = [
      await issueOne(ctx, { profile: 'client', authority: name }),
      await issueOne(ctx, { profile: 'client', authority: name }),
    ]
    await revoke(ctx, bad, 'keyCompromise')
    await publishLists(ctx, await keyOf(ctx, name))
    const anchors = await trustAnchorOf(ctx.db.read, name)
    const files = {
      'ca.crt': anchors.map((one) => toPem('CERTIFICATE', one)).join(''),
      'ca.crl': (await gatewayTrust(ctx, { authority: name, tenantId: null })).crl ?? '',
      'rest.pem': low.pem + middle.pem,
      'good.pem': good.pem ?? '',
      'bad.pem': bad.pem ?? '',
      'old.pem': old.pem,
    }
    const verify = ['verify', '-x509_strict', '-purpose', 'sslclient', '-crl_check_all']
    const trust = [...verify, '-CAfile', 'ca.crt', '-CRLfile', 'ca.crl', '-untrusted', 'rest.pem']
    openssl([...trust, 'good.pem'], files)
    openssl([...trust, 'old.pem'], files)
    assert.throws(() => openssl([...trust, 'bad.pem'], files), /certificate revoked/)
  }
})

test('old leaves that name issuer and serial do not verify by a self-signed form, and new ones do', async () => {
  const top = await foreign({ name: 'Named top' })
  const middle = await foreign({ name: 'Named middle', issuer: top })
  await imported('named-top', top)
  await imported('named-middle', middle)
  const { serial, issuerDer } = readCertificate(der(middle.pem))
  const named = [context(1, context(4, issuerDer)), contextPrimitive(2, Buffer.from(serial, 'hex'))]
  const old = await foreign({
    name: 'old',
    issuer: middle,
    basic: Buffer.alloc(0),
    usage: [],
    authorityKey: extension(oids.authorityKeyIdentifier, false, sequence(...named)),
  })
  const made = await issueOne(ctx, { profile: 'client', authority: 'named-middle' })
  const anchors = await trustAnchorOf(ctx.db.read, 'named-middle')
  const files = {
    'anchor.pem': anchors.map((one) => toPem('CERTIFICATE', one)).join(''),
    'top.pem': top.pem,
    'middle.pem': middle.pem,
    'old.pem': old.pem,
    'new.pem': made.pem ?? '',
  }
  openssl(['verify', '-CAfile', 'top.pem', '-untrusted', 'middle.pem', 'old.pem'], files)
  openssl(['verify', '-CAfile', 'anchor.pem', 'new.pem'], files)
  assert.throws(() => openssl(['verify', '-CAfile', 'anchor.pem', 'old.pem'], files))
})

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  accessExtension,
  altNamesExtension,
  authorityKeyExtension,
  basicConstraintsExtension,
  constraintsExtension,
  crlUrlExtension,
  extendedKeyUsageExtension,
  extension,
  type KeyUsage,
  keyUsageExtension,
  ocspNoCheckExtension,
  subjectKeyExtension,
} from '../../../src/x509/certificates/extensions.ts'
import { extensionsOf } from '../../../src/x509/certificates/facts.ts'
import {
  type CertificateProfile,
  profiles,
  type Template,
  toBeSigned,
} from '../../../src/x509/certificates/template.ts'
import { noSubtrees } from '../../../src/x509/constraints/subtrees.ts'
import {
  context,
  contextPrimitive,
  derNull,
  integer,
  octetString,
  readDer,
  sequence,
  setOf,
  tlv,
} from '../../../src/x509/der/encoding.ts'
import { encodedOf } from '../../../src/x509/der/fields.ts'
import { oid, oids } from '../../../src/x509/der/oids.ts'
import { generateKey } from '../../../src/x509/keys/generate.ts'
import { keyIdentifier, spkiOf } from '../../../src/x509/keys/public.ts'
import { signatureAlgorithmOf } from '../../../src/x509/keys/sign.ts'
import type { LintContext } from '../../../src/x509/lints/rule.ts'
import { lint, lints } from '../../../src/x509/lints/run.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import { emptyName, encodeName } from '../../../src/x509/names/distinguished.ts'
import { authority, period, templateFor } from '../support.ts'

const permitted = { ...noSubtrees, dnsNames: ['example'] }
const nameConstraints = { permitted, excluded: noSubtrees }
const root = await authority('ECDSA_P256', { pathLength: 1, validity: period(2000) })
const middle = await authority(
  'ECDSA_P384',
  { pathLength: 0, nameConstraints, validity: period(1000) },
  root,
)
const keys = await generateKey('ECDSA_P256')
const rsa = await generateKey('RSA_2048')
const crlUrl = 'http://pki.example/1.crl'
const urls = { crlUrl, ocspUrl: 'http://pki.example/ocsp', issuerUrl: 'http://pki.example/ca.crt' }
const altNames = { ...noAltNames, dnsNames: ['a.example', '*.a.example'] }

const over: Readonly<Record<CertificateProfile, Partial<Template>>> = {
  server: { subject: { commonName: 'a.example' }, altNames, ...urls },
  client: { subject: { commonName: 'Alice' }, ...urls },
  peer: { subject: {}, altNames, ...urls },
  ocsp: { subject: { commonName: 'Responder' } },
  intermediate: { subject: { commonName: 'Below' }, pathLength: 0, nameConstraints, ...urls },
  root: { subject: { commonName: 'Root' }, validity: period(3650) },
}

function good(profile: CertificateProfile, pair = keys): Buffer {
  const above = profile === 'intermediate' ? root : profile === 'root' ? undefined : middle
  return toBeSigned(templateFor(pair, { profile, ...over[profile] }, above))
}

function contextOf(profile: CertificateProfile): LintContext {
  const allowed = { now: new Date(), crlUrl }
  if (profile === 'root') return { profile, allowed }
  const issuer = profile === 'intermediate' ? root.certificate : middle.certificate
  return { profile, issuer, allowed }
}

type Edit = {
  /** Fields of the TBSCertificate by position, 0 being the version. */
  readonly fields?: Readonly<Record<number, Buffer>>
  /** Extensions by object identifier: another encoding, or undefined to leave it out. */
  readonly extensions?: Readonly<Record<string, Buffer | undefined>>
  readonly context?: Partial<LintContext>
}

function edited(tbs: Buffer, { fields = {}, extensions = {} }: Edit): Buffer {
  const parts = readDer(tbs).children
  const present = extensionsOf(parts[7]?.children[0])
  const kept = present.filter(({ oid: type }) => !(type in extensions)).map(({ der }) => der)
  const added = Object.values(extensions).filter((der) => der !== undefined)
  const rest = parts.slice(0, 7).map((part, i) => fields[i] ?? encodedOf(part))
  return sequence(...rest, context(3, sequence(...kept, ...added)))
}

function names(tbs: Buffer, asked: LintContext): readonly string[] {
  return lint(tbs, asked).map(({ name }) => name)
}

for (const profile of profiles)
  for (const [kind, pair] of [
    ['EC', keys],
    ['RSA', rsa],
  ] as const)
    test(`a ${profile} certificate of ours with an ${kind} key has no findings`, () =>
      assert.deepEqual(lint(good(profile, pair), contextOf(profile)), []))

const utc = (text: string) => tlv(0x17, Buffer.from(text))
const general = (text: string) => tlv(0x18, Buffer.from(text))
const attribute = (type: string, tag: number, text: string) =>
  setOf(sequence(oid(type), tlv(tag, Buffer.from(text))))
const explicitFalse = Buffer.from('010100', 'hex')
const leafIdentifier = keyIdentifier(spkiOf(keys.publicKey))
const without = { permitted: noSubtrees, excluded: permitted }

const rows: readonly (readonly [
  rule: string,
  why: string,
  profile: CertificateProfile,
  edit: Edit,
])[] = [
  ['serial-positive', 'zero', 'server', { fields: { 1: integer(0) } }],
  [
    'serial-at-most-20-octets',
    'high bit',
    'server',
    { fields: { 1: integer(Buffer.alloc(20, 0xff)) } },
  ],
  [
    'serial-at-most-20-octets',
    '21 octets',
    'root',
    { fields: { 1: integer(Buffer.alloc(21, 1)) } },
  ],
  ['serial-entropy', 'eight octets', 'server', { fields: { 1: integer(Buffer.alloc(8, 1)) } }],
  [
    'time-form',
    'GeneralizedTime before 2050',
    'root',
    { fields: { 4: sequence(general('20300101000000Z'), general('20310101000000Z')) } },
  ],
  [
    'time-order',
    'ends first',
    'root',
    { fields: { 4: sequence(utc('310101000000Z'), utc('300101000000Z')) } },
  ],
  [
    'time-length',
    'one second too long',
    'server',
    { context: { allowed: { lifetimeSeconds: 90 * 86_400 + 3599 } } },
  ],
  [
    'time-length',
    'a root of 26 years',
    'root',
    { fields: { 4: sequence(utc('200101000000Z'), utc('460201000000Z')) } },
  ],
  [
    'time-backdate',
    'begins in the future',
    'server',
    { context: { allowed: { now: new Date(Date.now() - 7_200_000) } } },
  ],
  [
    'time-backdate',
    'begins too long ago',
    'server',
    { context: { allowed: { now: new Date(), backdateSeconds: 60 } } },
  ],
  [
    'time-within-issuer',
    'outlives its issuer',
    'server',
    { fields: { 4: sequence(utc('300101000000Z'), utc('491231235959Z')) } },
  ],
  [
    'signature-algorithm',
    'another digest',
    'server',
    { fields: { 2: signatureAlgorithmOf('ECDSA_P256') } },
  ],
  ['issuer-name', 'another name', 'server', { fields: { 3: encodeName({ commonName: 'X' }) } }],
  ['issuer-name', 'not self', 'root', { fields: { 3: encodeName({ commonName: 'X' }) } }],
  [
    'subject-bounds',
    '65 characters',
    'server',
    { fields: { 5: sequence(attribute(oids.commonName, 0x0c, 'a'.repeat(65))) } },
  ],
  [
    'subject-form',
    'BMPString',
    'client',
    { fields: { 5: sequence(attribute(oids.commonName, 0x1e, '\0a')) } },
  ],
  [
    'subject-form',
    'a foreign attribute',
    'client',
    { fields: { 5: sequence(attribute('1.2.3', 0x0c, 'a')) } },
  ],
  ['authority-has-subject', 'empty', 'intermediate', { fields: { 5: emptyName } }],
  [
    'key-allowed',
    'policy wants RSA',
    'server',
    { context: { allowed: { keyAlgorithms: ['RSA_2048'] } } },
  ],
  ['key-is-not-the-issuers', 'its own', 'server', { fields: { 6: spkiOf(middle.keys.publicKey) } }],
  [
    'extensions-known',
    'a foreign one',
    'server',
    { extensions: { '1.2.3': extension('1.2.3', false, derNull) } },
  ],
  [
    'extensions-canonical',
    'critical FALSE written out',
    'server',
    {
      extensions: {
        [oids.subjectKeyIdentifier]: sequence(
          oid(oids.subjectKeyIdentifier),
          explicitFalse,
          octetString(octetString(leafIdentifier)),
        ),
      },
    },
  ],
  ['subject-key', 'missing', 'root', { extensions: { [oids.subjectKeyIdentifier]: undefined } }],
  [
    'subject-key-from-key',
    'random',
    'server',
    { extensions: { [oids.subjectKeyIdentifier]: subjectKeyExtension(randomBytes(20)) } },
  ],
  [
    'authority-key',
    'missing',
    'server',
    { extensions: { [oids.authorityKeyIdentifier]: undefined } },
  ],
  [
    'authority-key',
    'with issuer and serial',
    'intermediate',
    {
      extensions: {
        [oids.authorityKeyIdentifier]: extension(
          oids.authorityKeyIdentifier,
          false,
          sequence(
            contextPrimitive(0, root.certificate.subjectKeyIdentifier ?? Buffer.alloc(0)),
            contextPrimitive(2, Buffer.from([1])),
          ),
        ),
      },
    },
  ],
  ['names-present', 'none', 'server', { extensions: { [oids.subjectAltName]: undefined } }],
  ['someone-named', 'nobody', 'client', { fields: { 5: emptyName } }],
  [
    'names-critical-iff-no-subject',
    'critical beside a subject',
    'server',
    { extensions: { [oids.subjectAltName]: altNamesExtension(altNames, true) } },
  ],
  [
    'names-critical-iff-no-subject',
    'not critical without',
    'peer',
    { extensions: { [oids.subjectAltName]: altNamesExtension(altNames, false) } },
  ],
  [
    'names-valid',
    'an underscore',
    'server',
    {
      extensions: {
        [oids.subjectAltName]: altNamesExtension({ ...altNames, dnsNames: ['a_b.example'] }, false),
      },
    },
  ],
  [
    'names-of-known-kinds',
    'registeredID',
    'server',
    {
      extensions: {
        [oids.subjectAltName]: extension(
          oids.subjectAltName,
          false,
          sequence(contextPrimitive(8, Buffer.from([42]))),
        ),
      },
    },
  ],
  [
    'names-once',
    'twice',
    'server',
    {
      extensions: {
        [oids.subjectAltName]: altNamesExtension(
          { ...altNames, dnsNames: ['a.example', 'a.example'] },
          false,
        ),
      },
    },
  ],
  [
    'common-name-among-names',
    'another',
    'server',
    { fields: { 5: encodeName({ commonName: 'b.example' }) } },
  ],
  [
    'names-within-constraints',
    'outside',
    'server',
    {
      extensions: {
        [oids.subjectAltName]: altNamesExtension({ ...altNames, dnsNames: ['a.test'] }, false),
      },
    },
  ],
  [
    'names-within-constraints',
    'excluded further up',
    'server',
    { context: { allowed: { constraints: [without] } } },
  ],
  ['key-usage-critical', 'missing', 'server', { extensions: { [oids.keyUsage]: undefined } }],
  [
    'key-usage-fits',
    'certificate signing',
    'server',
    { extensions: { [oids.keyUsage]: keyUsageExtension(['digitalSignature', 'keyCertSign']) } },
  ],
  [
    'key-usage-fits',
    'an EC key enciphers',
    'server',
    { extensions: { [oids.keyUsage]: keyUsageExtension(['digitalSignature', 'keyEncipherment']) } },
  ],
  [
    'key-usage-fits',
    'nothing',
    'client',
    { extensions: { [oids.keyUsage]: keyUsageExtension([]) } },
  ],
  [
    'purposes-fit',
    'any',
    'server',
    {
      extensions: {
        [oids.extendedKeyUsage]: extendedKeyUsageExtension([oids.anyExtendedKeyUsage]),
      },
    },
  ],
  [
    'purposes-fit',
    'a client that serves',
    'client',
    {
      extensions: {
        [oids.extendedKeyUsage]: extendedKeyUsageExtension([oids.clientAuth, oids.serverAuth]),
      },
    },
  ],
  ['purposes-fit', 'missing', 'ocsp', { extensions: { [oids.extendedKeyUsage]: undefined } }],
  [
    'no-authority',
    'an authority',
    'server',
    { extensions: { [oids.basicConstraints]: basicConstraintsExtension(true) } },
  ],
  [
    'no-authority',
    'FALSE written out',
    'server',
    {
      extensions: {
        [oids.basicConstraints]: extension(oids.basicConstraints, true, sequence(explicitFalse)),
      },
    },
  ],
  [
    'no-constraints-on-leaf',
    'constrained',
    'server',
    { extensions: { [oids.nameConstraints]: constraintsExtension(nameConstraints) } },
  ],
  [
    'no-check-for-responders-only',
    'on a server',
    'server',
    { extensions: { [oids.ocspNoCheck]: ocspNoCheckExtension } },
  ],
  [
    'no-check-for-responders-only',
    'missing',
    'ocsp',
    { extensions: { [oids.ocspNoCheck]: undefined } },
  ],
  [
    'authority-constraints-critical',
    'no authority',
    'root',
    { extensions: { [oids.basicConstraints]: basicConstraintsExtension(false) } },
  ],
  [
    'authority-key-usage',
    'no lists',
    'root',
    { extensions: { [oids.keyUsage]: keyUsageExtension(['keyCertSign']) } },
  ],
  [
    'authority-key-usage',
    'too much',
    'root',
    {
      extensions: {
        [oids.keyUsage]: keyUsageExtension(['keyCertSign', 'cRLSign', 'keyEncipherment']),
      },
    },
  ],
  [
    'path-length',
    'as long as the issuer’s',
    'intermediate',
    { extensions: { [oids.basicConstraints]: basicConstraintsExtension(true, 1) } },
  ],
  [
    'path-length',
    'unstated below a limit',
    'intermediate',
    { extensions: { [oids.basicConstraints]: basicConstraintsExtension(true) } },
  ],
  ['path-length', 'below 0', 'intermediate', { context: { issuer: middle.certificate } }],
  [
    'root-stands-alone',
    'with the key of another',
    'root',
    {
      extensions: { [oids.authorityKeyIdentifier]: authorityKeyExtension(Buffer.alloc(20, 1)) },
    },
  ],
  [
    'authority-purposes',
    'with purposes',
    'root',
    { extensions: { [oids.extendedKeyUsage]: extendedKeyUsageExtension([oids.serverAuth]) } },
  ],
  [
    'authority-purposes',
    'without those of the one before',
    'root',
    { context: { succeeds: { ...root.certificate, extendedKeyUsage: [oids.serverAuth] } } },
  ],
  [
    'subject-key',
    'not that of what it stands for',
    'root',
    { context: { standsFor: root.certificate } },
  ],
  [
    'subject-bounds',
    'another name than before',
    'root',
    { context: { succeeds: middle.certificate } },
  ],
  [
    'authority-key-usage',
    'more than that of what it stands for',
    'root',
    { context: { standsFor: { ...root.certificate, keyUsage: ['keyCertSign'] } } },
  ],
  [
    'purposes-of-issuer',
    'not among its issuer’s',
    'server',
    { context: { issuer: { ...middle.certificate, extendedKeyUsage: [oids.clientAuth] } } },
  ],
  [
    'path-length',
    'beyond the room of the path',
    'intermediate',
    { context: { allowed: { room: 0 } } },
  ],
  [
    'constraints-critical',
    'not critical',
    'intermediate',
    {
      extensions: {
        [oids.nameConstraints]: extension(
          oids.nameConstraints,
          false,
          sequence(context(0, sequence(contextPrimitive(2, Buffer.from('example'))))),
        ),
      },
    },
  ],
  [
    'urls-plain',
    'https',
    'server',
    { extensions: { [oids.crlDistributionPoints]: crlUrlExtension('https://pki.example/1.crl') } },
  ],
  [
    'urls-not-empty',
    'no access',
    'server',
    {
      extensions: {
        [oids.authorityInfoAccess]: accessExtension({ ocsp: undefined, issuer: undefined }),
      },
    },
  ],
  [
    'crl-url-is-the-shards',
    'another shard',
    'server',
    { extensions: { [oids.crlDistributionPoints]: crlUrlExtension('http://pki.example/2.crl') } },
  ],
]

for (const [rule, why, profile, edit] of rows)
  test(`${rule} finds a ${profile} certificate wrong: ${why}`, () => {
    const tbs = edited(good(profile), edit)
    const found = names(tbs, { ...contextOf(profile), ...edit.context })
    assert.ok(found.includes(rule), found.join() || 'no findings')
  })

test('issuer-is-authority finds an issuer that is a leaf', async () => {
  const issuer = { ...middle.certificate, ca: false }
  assert.ok(
    names(good('server'), { ...contextOf('server'), issuer }).includes('issuer-is-authority'),
  )
})

test('issuer-is-authority lets an issuer without keyUsage sign, and none whose keyUsage forbids it', () => {
  const finds = (keyUsage: readonly KeyUsage[]) => {
    const issuer = { ...middle.certificate, keyUsage }
    return names(good('server'), { ...contextOf('server'), issuer }).includes('issuer-is-authority')
  }
  assert.deepEqual([finds([]), finds(['keyCertSign']), finds(['cRLSign'])], [false, false, true])
})

test('version-3 finds a certificate of version 1', () => {
  const fields = readDer(good('server')).children.slice(1, 7).map(encodedOf)
  assert.ok(names(sequence(...fields), contextOf('server')).includes('version-3'))
})

test('every rule has a failing case here', () => {
  const covered = new Set([...rows.map(([rule]) => rule), 'issuer-is-authority', 'version-3'])
  assert.deepEqual(
    lints.map(({ name }) => name).filter((name) => !covered.has(name)),
    [],
  )
})

test('rules have names of their own', () => {
  assert.equal(new Set(lints.map(({ name }) => name)).size, lints.length)
})

for (const [why, edit] of [
  ['an extension twice', { '1.2.3': Buffer.concat([ocspNoCheckExtension, ocspNoCheckExtension]) }],
  [
    'an empty list of names',
    { [oids.subjectAltName]: extension(oids.subjectAltName, false, sequence()) },
  ],
  [
    'an empty list of purposes',
    { [oids.extendedKeyUsage]: extension(oids.extendedKeyUsage, false, sequence()) },
  ],
] as const)
  test(`${why} cannot even be read`, () => {
    assert.deepEqual(names(edited(good('server'), { extensions: edit }), contextOf('server')), [
      'readable',
    ])
  })

test('a mixed period of UTCTime and GeneralizedTime is in form', () => {
  const validity = {
    notBefore: new Date('2049-12-31T23:59:59Z'),
    notAfter: new Date('2050-01-01T00:00:00Z'),
  }
  const tbs = toBeSigned(templateFor(keys, { profile: 'root', validity }))
  assert.deepEqual(lint(tbs, { profile: 'root', allowed: {} }), [])
})

test('whatever bytes are linted, the answer is findings', () => {
  const tbs = good('server')
  fc.assert(
    fc.property(fc.nat(tbs.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = Buffer.from(tbs)
      damaged.writeUInt8(damaged.readUInt8(at) ^ flip, at)
      assert.ok(Array.isArray(lint(damaged, contextOf('server'))))
    }),
    { numRuns: 2000 },
  )
})

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { before, test } from 'node:test'
import fc from 'fast-check'
import {
  fingerprintSha256,
  type ParsedCertificate,
  readCertificate,
  readTbs,
} from '../../../src/x509/certificates/read.ts'
import {
  type CertificateProfile,
  type Template,
  toBeSigned,
} from '../../../src/x509/certificates/template.ts'
import { noSubtrees } from '../../../src/x509/constraints/subtrees.ts'
import { readDer, sequence } from '../../../src/x509/der/encoding.ts'
import { X509Error } from '../../../src/x509/der/errors.ts'
import { oids } from '../../../src/x509/der/oids.ts'
import { readPem } from '../../../src/x509/der/pem.ts'
import { generateKey } from '../../../src/x509/keys/generate.ts'
import { type KeyAlgorithm, keyAlgorithms } from '../../../src/x509/keys/public.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import { formatName } from '../../../src/x509/names/distinguished.ts'
import {
  type Authority,
  authority,
  issued,
  pemOf,
  put,
  run,
  scratch,
  templateFor,
  without,
} from '../support.ts'

const directory = scratch()
const urls = {
  crlUrl: 'http://pki.example/crl/1.crl',
  ocspUrl: 'http://pki.example/ocsp',
  issuerUrl: 'http://pki.example/ca/1.crt',
}
const names = {
  dnsNames: ['shop.example', '*.shop.example'],
  ipAddresses: ['192.0.2.1', '2001:db8::1'],
  emailAddresses: ['ops@shop.example'],
  uris: ['spiffe://cluster.local/ns/a/sa/b'],
}

let root: Authority
let middle: Authority
let leaf: ParsedCertificate

async function leafOf(algorithm: KeyAlgorithm, over: Partial<Template> = {}, issuer = middle) {
  const keys = await generateKey(algorithm)
  const template = templateFor(keys, { altNames: names, ...urls, ...over }, issuer)
  return issued(template, issuer.signer)
}

before(async () => {
  root = await authority('ECDSA_P384')
  middle = await authority('ECDSA_P256', { pathLength: 0 }, root)
  leaf = await leafOf('ECDSA_P256')
})

function verifiesWithOpenssl(chain: readonly ParsedCertificate[], purpose: string): string {
  const [first, ...rest] = chain.map(pemOf)
  const files = [
    put(directory, 'root.pem', rest.at(-1) ?? ''),
    put(directory, 'between.pem', rest.slice(0, -1).join('')),
    put(directory, 'leaf.pem', first ?? ''),
  ] as const
  const between = rest.length > 1 ? ['-untrusted', files[1]] : []
  const args = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', files[0], ...between]
  return run('openssl', [...args, files[2]]).text
}

for (const algorithm of keyAlgorithms)
  for (const [profile, purpose] of [
    ['server', 'sslserver'],
    ['client', 'sslclient'],
    ['peer', 'sslserver'],
  ] as const)
    if (algorithm !== 'RSA_4096' || profile === 'server')
      test(`openssl and node accept a ${profile} certificate with an ${algorithm} key`, async () => {
        const made = await leafOf(algorithm, { profile })
        assert.match(
          verifiesWithOpenssl([made, middle.certificate, root.certificate], purpose),
          /: OK$/m,
        )
        const second = new X509Certificate(made.der)
        assert.ok(second.verify(middle.keys.publicKey))
        assert.ok(second.checkIssued(new X509Certificate(middle.certificate.der)))
        assert.equal(second.serialNumber.toLowerCase(), made.serial)
      })

for (const algorithm of keyAlgorithms)
  test(`openssl accepts what an ${algorithm} root issues`, async () => {
    const own = await authority(algorithm)
    const made = await leafOf('ECDSA_P256', {}, own)
    assert.match(verifiesWithOpenssl([made, own.certificate], 'sslserver'), /: OK$/m)
  })

test('every field is read back as it was asked for', () => {
  assert.equal(leaf.version, 3)
  assert.deepEqual(leaf.altNames, names)
  assert.deepEqual(leaf.keyUsage, ['digitalSignature'])
  assert.deepEqual(leaf.extendedKeyUsage, [oids.serverAuth])
  assert.equal(leaf.ca, false)
  assert.equal(leaf.pathLength, undefined)
  assert.deepEqual(leaf.authorityKeyIdentifier, middle.certificate.subjectKeyIdentifier)
  assert.deepEqual(leaf.crlUrls, [urls.crlUrl])
  assert.deepEqual(leaf.ocspUrls, [urls.ocspUrl])
  assert.deepEqual(leaf.issuerUrls, [urls.issuerUrl])
  assert.deepEqual(leaf.unknownCritical, [])
  assert.equal(leaf.keyAlgorithm, 'ECDSA_P256')
  assert.equal(formatName(leaf.subject), 'CN=Test')
  assert.equal(leaf.signatureAlgorithm, oids.ecdsaSha256)
  assert.equal(middle.certificate.pathLength, 0)
  assert.deepEqual(middle.certificate.keyUsage, ['keyCertSign', 'cRLSign'])
})

test('node reads the same names, times and fingerprint', () => {
  const second = new X509Certificate(leaf.der)
  assert.equal(fingerprintSha256(leaf.der), second.fingerprint256.replaceAll(':', '').toLowerCase())
  assert.equal(second.validFromDate.getTime(), leaf.validity.notBefore.getTime())
  assert.equal(second.validToDate.getTime(), leaf.validity.notAfter.getTime())
  assert.equal(
    second.subjectAltName,
    'DNS:shop.example, DNS:*.shop.example, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, email:ops@shop.example, URI:spiffe://cluster.local/ns/a/sa/b',
  )
})

test('an RSA server key may also encipher, an RSA client key may not', async () => {
  const server = await leafOf('RSA_2048')
  const client = await leafOf('RSA_2048', { profile: 'client' })
  assert.deepEqual(server.keyUsage, ['digitalSignature', 'keyEncipherment'])
  assert.deepEqual(client.keyUsage, ['digitalSignature'])
})

test('names are critical if and only if the subject is empty', async () => {
  const bare = await leafOf('ECDSA_P256', { subject: {} })
  const critical = (one: ParsedCertificate) =>
    one.extensions.find(({ oid }) => oid === oids.subjectAltName)?.critical
  assert.deepEqual([critical(bare), critical(leaf)], [true, false])
  assert.match(
    verifiesWithOpenssl([bare, middle.certificate, root.certificate], 'sslserver'),
    /: OK$/m,
  )
})

test('an OCSP responder is marked so that nobody asks about itself', async () => {
  const responder = await leafOf('ECDSA_P256', { profile: 'ocsp', altNames: noAltNames })
  assert.deepEqual(responder.extendedKeyUsage, [oids.ocspSigning])
  assert.ok(responder.extensions.some(({ oid }) => oid === oids.ocspNoCheck))
  assert.deepEqual(responder.crlUrls, [])
})

test('name constraints of an authority are honoured by openssl', async () => {
  const nameConstraints = {
    permitted: { ...noSubtrees, dnsNames: ['shop.example'], ipRanges: ['192.0.2.0/24'] },
    excluded: { ...noSubtrees, dnsNames: ['secret.shop.example'], ipRanges: ['::/0'] },
  }
  const bound = await authority('ECDSA_P256', { nameConstraints, pathLength: 0 }, root)
  assert.deepEqual(bound.certificate.nameConstraints, nameConstraints)
  const verdict = async (dnsNames: string[]) => {
    const made = await leafOf('ECDSA_P256', { altNames: { ...noAltNames, dnsNames } }, bound)
    return verifiesWithOpenssl([made, bound.certificate, root.certificate], 'sslserver')
  }
  assert.match(await verdict(['a.shop.example']), /: OK$/m)
  assert.match(await verdict(['a.secret.shop.example']), /excluded subtree violation/)
  assert.match(await verdict(['other.example']), /permitted subtree violation/)
})

test('a raw subject is copied byte for byte', async () => {
  const crossed = await leafOf('ECDSA_P256', { subject: root.certificate.subjectDer })
  assert.deepEqual(crossed.subjectDer, root.certificate.subjectDer)
})

test('equal templates give equal bytes', async () => {
  const keys = await generateKey('ED25519')
  const template = templateFor(keys, {}, middle)
  assert.deepEqual(toBeSigned(template), toBeSigned({ ...template }))
  assert.equal(readTbs(toBeSigned(template)).serial, template.serial)
})

for (const [why, over] of [
  ['a serial in capitals', { serial: 'AB' }],
  ['a serial of 21 octets', { serial: 'ab'.repeat(21) }],
  [
    'a period that ends before it begins',
    { validity: { notBefore: new Date(2000), notAfter: new Date(1000) } },
  ],
  ['a path length on a leaf', { pathLength: 0 }],
  ['an unknown kind of key', { spki: sequence(sequence(), Buffer.from('03020000', 'hex')) }],
] as const)
  test(`${why} cannot be put into a certificate`, async () => {
    const keys = await generateKey('ECDSA_P256')
    assert.throws(() => toBeSigned(templateFor(keys, over, middle)), X509Error)
  })

for (const [notBefore, notAfter] of [
  ['2049-12-31T23:59:59Z', '2050-01-01T00:00:00Z'],
  ['2030-02-28T00:00:00Z', '2032-02-29T23:59:59Z'],
] as const)
  test(`the period ${notBefore} to ${notAfter} is the same to node`, async () => {
    const validity = { notBefore: new Date(notBefore), notAfter: new Date(notAfter) }
    const second = new X509Certificate((await leafOf('ECDSA_P256', { validity })).der)
    assert.equal(second.validFromDate.getTime(), validity.notBefore.getTime())
    assert.equal(second.validToDate.getTime(), validity.notAfter.getTime())
  })

for (const [what, args] of [
  ['an RSA root by openssl req -x509', ['-newkey', 'rsa:2048', '-subj', '/C=DE/O=X/CN=Root']],
  ['an Ed25519 root', ['-newkey', 'ed25519', '-subj', '/DC=test/DC=corp/CN=Root']],
  [
    'a leaf with foreign extensions',
    [
      ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-521', '-subj', '/CN=a/CN=b'],
      ...['-addext', 'subjectAltName=DNS:a.example,otherName:1.2.3;UTF8:x,RID:1.2.3,dirName:d'],
      ...['-addext', 'certificatePolicies=1.2.3.4', '-addext', '1.2.3.4=critical,ASN1:NULL'],
      ...['-config', 'foreign.cnf'],
    ],
  ],
] as const)
  test(`${what} is read`, () => {
    put(directory, 'foreign.cnf', '[req]\ndistinguished_name=d\n[d]\nCN=x\n')
    const rest = args.map((arg) => (arg === 'foreign.cnf' ? `${directory}/foreign.cnf` : arg))
    const made = run('openssl', ['req', '-x509', '-nodes', '-keyout', '/dev/null', ...rest])
    const [der] = readPem(made.out.toString(), 'CERTIFICATE')
    assert.ok(der, made.text)
    const read = readCertificate(der)
    const second = new X509Certificate(der)
    assert.equal(read.serial, second.serialNumber.toLowerCase())
    assert.equal(read.spki.equals(second.publicKey.export({ type: 'spki', format: 'der' })), true)
    assert.deepEqual(read.unknownCritical, what.includes('foreign') ? ['1.2.3.4'] : [])
  })

test('a version 1 certificate is read', () => {
  const key = put(directory, 'v1.key', run('openssl', ['genrsa', '2048']).out)
  const csr = run('openssl', ['req', '-new', '-key', key, '-subj', '/CN=old']).out
  const made = run('openssl', ['x509', '-req', '-signkey', key, '-days', '1'], csr)
  const [der] = readPem(made.out.toString(), 'CERTIFICATE')
  assert.ok(der)
  const read = readCertificate(der)
  assert.equal(read.version, 1)
  assert.deepEqual(read.extensions, [])
})

test('certtool reads a leaf without complaint', { skip: without('certtool') }, () => {
  const read = run('certtool', [
    '--certificate-info',
    '--infile',
    put(directory, 'c.pem', pemOf(leaf)),
  ])
  assert.ok(read.ok, read.text)
  assert.match(read.text, /DNSname: shop\.example/)
  assert.match(read.text, /Certificate is not a CA|Certificate Authority \(CA\): FALSE/)
})

test('keytool reads a leaf', { skip: without('keytool') }, () => {
  const read = run('keytool', ['-printcert', '-file', put(directory, 'k.pem', pemOf(leaf))])
  assert.match(read.text, /DNSName: shop\.example/)
})

test('every profile parses with asn1parse', async () => {
  for (const profile of ['server', 'client', 'peer', 'ocsp'] satisfies CertificateProfile[]) {
    const made = await leafOf('ED25519', { profile })
    assert.ok(run('openssl', ['asn1parse', '-inform', 'DER'], made.der).ok)
  }
})

test('a certificate damaged anywhere is read or refused, never anything else', () => {
  fc.assert(
    fc.property(
      fc.nat(leaf.der.length - 1),
      fc.integer({ min: 0, max: 255 }),
      fc.nat(leaf.der.length),
      (at, value, length) => {
        const damaged = Buffer.from(leaf.der)
        damaged[at] = value
        for (const bytes of [damaged, damaged.subarray(0, length)])
          try {
            readCertificate(bytes)
          } catch (error) {
            assert.ok(error instanceof X509Error, String(error))
          }
      },
    ),
    { numRuns: 4000 },
  )
})

test('inner and outer signature algorithms must agree', () => {
  const [tbs, , signature] = readDer(leaf.der).children
  assert.ok(tbs && signature)
  const part = (one: typeof tbs) => one.der.subarray(one.start, one.end)
  const other = root.certificate.signatureAlgorithmDer
  assert.throws(() => readCertificate(sequence(part(tbs), other, part(signature))), {
    code: 'der-malformed',
  })
})

import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { X509Error } from '../../../src/x509/der/errors.ts'
import { spkiOf } from '../../../src/x509/keys/public.ts'
import { openPkcs12 } from '../../../src/x509/stores/read.ts'
import { type Authority, authority, pemOf, put, run, scratch, without } from '../support.ts'

// PKCS#12 stores as the tools write them that are met, each read by us: its key and both its certificates.

const folder = scratch()
const passphrase = 'pass word & $1'
const at = (name: string) => join(folder, name)
let root: Authority
let leaf: Authority

before(async () => {
  root = await authority('ECDSA_P256')
  leaf = await authority('ECDSA_P256', {}, root)
  put(folder, 'key.pem', leaf.keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  put(folder, 'leaf.pem', pemOf(leaf.certificate))
  put(folder, 'root.pem', pemOf(root.certificate))
  put(folder, 'chain.pem', pemOf(leaf.certificate) + pemOf(root.certificate))
  put(folder, 'pass', passphrase)
})

function ran(program: string, args: readonly string[]): void {
  const told = run(program, args)
  assert.ok(told.ok, `${program} ${args.join(' ')}\n${told.text}`)
}

/** A store by openssl, exported with these options. */
function byOpenssl(name: string, options: readonly string[], secret = passphrase): Buffer {
  ran('openssl', [
    ...['pkcs12', '-export', '-inkey', at('key.pem'), '-in', at('leaf.pem')],
    ...['-certfile', at('root.pem'), '-name', 'länge', '-out', at(name)],
    ...['-passout', `pass:${secret}`, ...options],
  ])
  return readFileSync(at(name))
}

function whole(octets: Buffer, secret = passphrase): void {
  const { certificates, keys } = openPkcs12(octets, secret)
  const found = certificates.map((der) => der.toString('hex')).toSorted()
  const expected = [leaf, root].map(({ certificate: { der } }) => der.toString('hex')).toSorted()
  assert.deepEqual(found, expected)
  assert.equal(keys.length, 1)
  const [key = Buffer.alloc(0)] = keys
  const read = createPrivateKey({ key, format: 'der', type: 'pkcs8' })
  assert.deepEqual(spkiOf(read), spkiOf(leaf.keys.publicKey))
}

/** What opens nothing is refused by a sentence that says why. */
function refused(work: () => unknown, reason: RegExp): void {
  assert.throws(work, (error) => error instanceof X509Error && reason.test(error.message))
}

for (const [what, options] of [
  ['as openssl 3 writes it', []],
  ['with AES-128', ['-keypbe', 'AES-128-CBC', '-certpbe', 'AES-128-CBC']],
  ['with AES-192 and a MAC by SHA-512', ['-certpbe', 'AES-192-CBC', '-macalg', 'sha512']],
  ['with PBES2 and 3DES', ['-keypbe', 'DES-EDE3-CBC', '-certpbe', 'DES-EDE3-CBC']],
  ['as openssl 1 wrote it: RC2 of 40 bits and 3DES', ['-legacy']],
  ['as Windows writes it: 3DES and SHA-1', ['-descert', '-legacy', '-macalg', 'sha1']],
  ['with RC2 of 128 bits', ['-legacy', '-certpbe', 'PBE-SHA1-RC2-128']],
  ['with 3DES of two keys', ['-legacy', '-certpbe', 'PBE-SHA1-2DES', '-keypbe', 'PBE-SHA1-2DES']],
  ['with a MAC by MD5', ['-legacy', '-macalg', 'md5']],
  ['without a MAC', ['-nomac']],
  ['with nothing encrypted', ['-keypbe', 'NONE', '-certpbe', 'NONE']],
  ['with many iterations', ['-iter', '200000']],
] as const)
  test(`a store by openssl ${what} is read, and only by its passphrase`, () => {
    const octets = byOpenssl('openssl.p12', options)
    whole(octets)
    if (!/nothing/.test(what)) refused(() => openPkcs12(octets, 'wrong'), /does not open/)
  })

test('a store without a passphrase is read, in both of its spellings', () => {
  whole(byOpenssl('empty.p12', [], ''), '')
  whole(byOpenssl('empty.p12', ['-legacy'], ''), '')
})

test('a passphrase beyond ASCII is read', () => {
  whole(byOpenssl('umlaut.p12', ['-legacy'], 'pässwört €'), 'pässwört €')
  whole(byOpenssl('umlaut.p12', [], 'pässwört €'), 'pässwört €')
})

for (const [what, options, reason] of [
  ['RC4', ['-legacy', '-certpbe', 'PBE-SHA1-RC4-128'], /RC4 of 128 bits is not read here/],
  ['too many iterations', ['-iter', '700000'], /700000 iterations; from 1 to 600000/],
] as const)
  test(`a store by openssl with ${what} is refused by its name`, () => {
    refused(() => openPkcs12(byOpenssl('refused.p12', options), passphrase), reason)
  })

for (const [what, options] of [
  ['Java 17', []],
  ['Java of before (keystore.pkcs12.legacy)', ['-J-Dkeystore.pkcs12.legacy']],
] as const)
  test(`a store by ${what} is read`, { skip: without('keytool') }, () => {
    byOpenssl('source.p12', [])
    const name = `java${options.length}.p12`
    ran('keytool', [
      ...['-importkeystore', '-noprompt', '-srcstoretype', 'PKCS12', '-deststoretype', 'PKCS12'],
      ...['-srckeystore', at('source.p12'), '-destkeystore', at(name)],
      ...['-srcstorepass:file', at('pass'), '-deststorepass:file', at('pass'), ...options],
    ])
    const octets = readFileSync(at(name))
    whole(octets)
    refused(() => openPkcs12(octets, 'wrong'), /does not open/)
  })

test('a trust store by Java is read: certificates alone', { skip: without('keytool') }, () => {
  ran('keytool', [
    ...['-importcert', '-noprompt', '-storetype', 'PKCS12', '-alias', 'root'],
    ...['-file', at('root.pem'), '-keystore', at('trust.p12'), '-storepass:file', at('pass')],
  ])
  const { certificates, keys } = openPkcs12(readFileSync(at('trust.p12')), passphrase)
  assert.deepEqual(certificates, [root.certificate.der])
  assert.equal(keys.length, 0)
})

test('a Java keystore that is no PKCS#12 is refused by its name', {
  skip: without('keytool'),
}, () => {
  for (const [type, reason] of [
    ['JKS', /Java keystore \(JKS\).*keytool -importkeystore/],
    ['JCEKS', /Java keystore \(JCEKS\)/],
  ] as const) {
    ran('keytool', [
      ...['-importcert', '-noprompt', '-storetype', type, '-alias', 'root'],
      ...['-file', at('root.pem'), '-keystore', at(type), '-storepass:file', at('pass')],
    ])
    refused(() => openPkcs12(readFileSync(at(type)), passphrase), reason)
  }
})

for (const [what, options] of [
  ['as it writes them', []],
  ['with RC2 of 40 bits', ['-C', 'PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC']],
] as const)
  test(`a store by NSS ${what} is read: BER of indefinite lengths`, {
    skip: without('pk12util'),
  }, () => {
    const database = join(folder, 'nss')
    if (!existsSync(database)) {
      ran('mkdir', [database])
      ran('certutil', ['-N', '-d', `sql:${database}`, '--empty-password'])
      const from = ['-i', at('source.p12'), '-w', at('pass'), '-d', `sql:${database}`]
      byOpenssl('source.p12', ['-name', 'leaf'])
      ran('pk12util', from)
    }
    ran('pk12util', [
      ...['-o', at('nss.p12'), '-n', 'leaf', '-d', `sql:${database}`, '-w', at('pass')],
      ...options,
    ])
    const octets = readFileSync(at('nss.p12'))
    const { keys, certificates } = openPkcs12(octets, passphrase)
    assert.equal(keys.length, 1)
    assert.ok(certificates.some((der) => der.equals(leaf.certificate.der)))
    refused(() => openPkcs12(octets, 'wrong'), /does not open/)
  })

// It derives its keys in 600,000 iterations.
for (const cipher of ['aes-256', '3des-pkcs12'] as const)
  test(`a store by GnuTLS with ${cipher} is read`, { skip: without('certtool') }, () => {
    ran('certtool', [
      ...['--to-p12', '--load-privkey', at('key.pem'), '--load-certificate', at('chain.pem')],
      ...['--p12-name', 'x', '--outder', '--password=password', '--pkcs-cipher', cipher],
      ...['--outfile', at('gnutls.p12')],
    ])
    whole(readFileSync(at('gnutls.p12')), 'password')
  })

test('what is no store is refused', () => {
  refused(() => openPkcs12(Buffer.from('-----BEGIN X-----'), ''), /PEM in the place of/)
  refused(() => openPkcs12(Buffer.alloc(200_000), ''), /at most/)
  refused(() => openPkcs12(Buffer.from('hello'), ''), /DER/)
  refused(() => openPkcs12(root.certificate.der, ''), /DER/)
  refused(() => openPkcs12(Buffer.alloc(1000, 0x30), ''), /DER/)
  refused(() => openPkcs12(Buffer.concat(Array(5000).fill(Buffer.from('3080', 'hex'))), ''), /DER/)
})

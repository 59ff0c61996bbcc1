import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openPkcs12 } from '../../../src/x509/stores/read.ts'
import { type Compatibility, toPkcs12, toTrustStore } from '../../../src/x509/stores/write.ts'
import { type Authority, authority, put, run, scratch, without } from '../support.ts'

// What is written here opens in every tool that is met, modern and legacy.

const folder = scratch()
const password = 'password'
const compatibilities = ['modern', 'legacy'] as const
let root: Authority
let leaf: Authority

before(async () => {
  root = await authority('ECDSA_P256')
  leaf = await authority('RSA_2048', {}, root)
  put(folder, 'pass', password)
  for (const compatibility of compatibilities) {
    const store = await toPkcs12({
      ...{ privateKey: leaf.keys.privateKey, certificate: leaf.certificate.der },
      ...{ chain: [root.certificate.der], password, friendlyName: 'leaf' },
      ...{ random: randomBytes(80), compatibility },
    })
    put(folder, `${compatibility}.p12`, store)
  }
})

const at = (name: string) => join(folder, name)
const goFolder = fileURLToPath(new URL('./go', import.meta.url))

/** Builds the program that opens a store by go-pkcs12; the reason why it cannot be, or false. */
function withoutGo(): string | false {
  const absent = without('go')
  if (absent) return absent
  const env = ['-C', goFolder, 'build', '-mod=readonly', '-o', at('opens'), '.']
  const { ok } = run('env', ['GOPROXY=off', 'GOFLAGS=', 'go', ...env])
  return ok ? false : 'go-pkcs12 is not in the module cache: go mod download in test/x509/stores/go'
}

type Reader = {
  readonly name: string
  readonly skip: string | false
  /** The program and its arguments for a store. */
  readonly asked: (path: string, compatibility: Compatibility) => readonly string[]
  /** What it says when it has opened it. */
  readonly said: RegExp
}

const readers: readonly Reader[] = [
  {
    name: 'OpenSSL 3',
    skip: false,
    asked: (path, compatibility) => [
      ...['openssl', 'pkcs12', '-in', path, '-passin', `pass:${password}`, '-nodes', '-info'],
      ...(compatibility === 'legacy' ? ['-legacy'] : []),
    ],
    said: /BEGIN PRIVATE KEY/,
  },
  {
    name: 'Java 17 (keytool)',
    skip: without('keytool'),
    asked: (path) => [
      ...['keytool', '-list', '-v', '-storetype', 'PKCS12', '-keystore', path],
      ...['-storepass:file', at('pass')],
    ],
    said: /PrivateKeyEntry\s+Certificate chain length: 2/,
  },
  {
    name: 'NSS (pk12util)',
    skip: without('pk12util'),
    asked: (path) => ['pk12util', '-l', path, '-W', password],
    said: /Friendly Name: leaf/,
  },
  {
    name: 'GnuTLS (certtool)',
    skip: without('certtool'),
    asked: (path) => [
      ...['certtool', '--p12-info', '--inder', '--infile', path, `--password=${password}`],
    ],
    said: /BEGIN .*PRIVATE KEY/,
  },
  {
    name: 'Go (go-pkcs12)',
    skip: withoutGo(),
    asked: (path) => [at('opens'), path, password],
    said: /rsa\.PrivateKey Test intermediate RSA_2048 1/,
  },
]

for (const compatibility of compatibilities)
  for (const { name, skip, asked, said } of readers)
    test(`${name} opens a ${compatibility} store`, { skip }, () => {
      const [program = '', ...args] = asked(at(`${compatibility}.p12`), compatibility)
      const told = run(program, args)
      assert.ok(told.ok, told.text)
      assert.match(told.text, said)
    })

test('a legacy store is of 3DES and SHA-1 alone, and a modern one has neither', () => {
  const info = (name: string, ...more: readonly string[]) =>
    run('openssl', [
      'pkcs12',
      '-in',
      at(name),
      '-passin',
      `pass:${password}`,
      '-noout',
      '-info',
      ...more,
    ]).text
  const legacy = info('legacy.p12', '-legacy')
  assert.match(legacy, /MAC: sha1, Iteration 2048/)
  assert.equal(legacy.match(/pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048/g)?.length, 2)
  assert.doesNotMatch(legacy, /PBES2/)
  assert.doesNotMatch(info('modern.p12'), /sha1|TripleDES/)
})

test('what is written here is read here', () => {
  for (const compatibility of compatibilities) {
    const { certificates, keys } = openPkcs12(readFileSync(at(`${compatibility}.p12`)), password)
    assert.deepEqual(certificates, [leaf.certificate.der, root.certificate.der])
    assert.equal(keys.length, 1)
  }
})

test('a legacy trust store is trusted by keytool', { skip: without('keytool') }, async () => {
  const certificates = [{ der: root.certificate.der, friendlyName: 'root' }]
  const compatibility = 'legacy'
  const store = await toTrustStore({
    certificates,
    password,
    random: randomBytes(80),
    compatibility,
  })
  const path = put(folder, 'trust.p12', store)
  const told = run('keytool', ['-list', '-keystore', path, '-storepass', password]).text
  assert.match(told, /trustedCertEntry/)
})

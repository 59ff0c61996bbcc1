import assert from 'node:assert/strict'
import { createPrivateKey, randomBytes } from 'node:crypto'
import { before, test } from 'node:test'
import { readPem } from '../../../src/x509/der/pem.ts'
import { generateKey } from '../../../src/x509/keys/generate.ts'
import { type KeyAlgorithm, spkiOf } from '../../../src/x509/keys/public.ts'
import { noAltNames } from '../../../src/x509/names/altnames.ts'
import { toPkcs12, toTrustStore } from '../../../src/x509/stores/write.ts'
import {
  type Authority,
  authority,
  issued,
  put,
  run,
  scratch,
  templateFor,
  without,
} from '../support.ts'

const directory = scratch()
const password = 'pass word & $1'
let root: Authority
let middle: Authority

before(async () => {
  root = await authority('ECDSA_P256')
  middle = await authority('ECDSA_P256', {}, root)
})

async function made(algorithm: KeyAlgorithm, secret = password) {
  const keys = await generateKey(algorithm)
  const altNames = { ...noAltNames, dnsNames: ['shop.example'] }
  const leaf = await issued(templateFor(keys, { altNames }, middle), middle.signer)
  const store = await toPkcs12({
    privateKey: keys.privateKey,
    certificate: leaf.der,
    chain: [middle.certificate.der, root.certificate.der],
    password: secret,
    friendlyName: 'shop.example',
    random: randomBytes(80),
  })
  return { keys, leaf, path: put(directory, `${algorithm}.p12`, store) }
}

function openssl(path: string, secret: string, ...args: readonly string[]) {
  return run('openssl', ['pkcs12', '-in', path, '-passin', `pass:${secret}`, ...args])
}

for (const algorithm of ['ECDSA_P256', 'ECDSA_P384', 'RSA_2048', 'ED25519'] as const) {
  test(`openssl opens a store with an ${algorithm} key, and only with its password`, async () => {
    const { keys, leaf, path } = await made(algorithm)
    const told = openssl(path, password, '-nodes')
    assert.ok(told.ok, told.text)
    const text = told.out.toString()
    assert.deepEqual(readPem(text, 'CERTIFICATE'), [
      leaf.der,
      middle.certificate.der,
      root.certificate.der,
    ])
    const key = createPrivateKey(text.slice(text.indexOf('-----BEGIN PRIVATE KEY')))
    assert.deepEqual(spkiOf(key), spkiOf(keys.publicKey))
    assert.match(text, /friendlyName: shop\.example/)
    assert.ok(!openssl(path, 'wrong', '-nodes').ok)
  })

  test(`keytool opens a store with an ${algorithm} key`, { skip: without('keytool') }, async () => {
    const { path } = await made(algorithm)
    const told = run('keytool', [
      ...['-list', '-v', '-storetype', 'PKCS12', '-keystore', path],
      ...['-storepass:file', put(directory, 'pass', password)],
    ])
    assert.match(told.text, /PrivateKeyEntry/, told.text)
    assert.match(told.text, /Alias name: shop\.example/)
    assert.match(told.text, /Certificate chain length: 3/)
  })
}

test('a store is sealed by modern means', async () => {
  const { path } = await made('ECDSA_P256')
  const { text } = openssl(path, password, '-info', '-noout')
  assert.match(text, /MAC: sha256, Iteration 10000/)
  assert.equal(
    text.match(/PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256/g)?.length,
    2,
  )
})

test('a trust store is read by openssl, and trusted by keytool', {
  skip: without('keytool'),
}, async () => {
  const store = await toTrustStore({
    certificates: [
      { der: root.certificate.der, friendlyName: 'root-1' },
      { der: middle.certificate.der, friendlyName: 'root-2' },
    ],
    password: 'changeit',
    random: randomBytes(80),
  })
  const path = put(directory, 'trust.p12', store)
  assert.equal(readPem(openssl(path, 'changeit', '-nokeys').text, 'CERTIFICATE').length, 2)
  const told = run('keytool', ['-list', '-keystore', path, '-storepass', 'changeit']).text
  assert.equal(told.match(/trustedCertEntry/g)?.length, 2, told)
})

test('a password Java cannot take, or too little randomness, is refused', async () => {
  const refused = { code: 'store-refused' }
  await assert.rejects(made('ECDSA_P256', 'pässword'), refused)
  await assert.rejects(made('ECDSA_P256', ''), refused)
  const input = { certificates: [], password: 'x', random: randomBytes(79) }
  await assert.rejects(toTrustStore(input), refused)
})

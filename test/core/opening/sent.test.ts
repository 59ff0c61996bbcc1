import assert from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { openSealed } from '../../../src/core/opening/open.ts'
import { readSent, type Sent } from '../../../src/core/opening/sent.ts'
import { Problem } from '../../../src/shared/problem.ts'
import { spkiOf } from '../../../src/x509/keys/public.ts'
import { openTestContext } from '../../support/context.ts'
import { type Authority, authority, pemOf, put, run, scratch } from '../../x509/support.ts'

// Certificates and keys as files have them, in every honest spelling, each read to the same certificate and key.

const ctx = await openTestContext()
const folder = scratch()
const at = (name: string) => join(folder, name)
const passphrase = 'pass word & $1'
const reading = { party: 'platform', type: 'authority-refused' } as const
let rsa: Authority
let ec: Authority
let top: Authority

before(async () => {
  top = await authority('ECDSA_P256')
  ec = await authority('ECDSA_P256', {}, top)
  rsa = await authority('RSA_2048', {}, top)
  for (const [name, { keys }] of [
    ['ec', ec],
    ['rsa', rsa],
  ] as const)
    put(folder, `${name}.pem`, keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  put(folder, 'ec.crt', pemOf(ec.certificate))
})

const read = (sent: Sent) => readSent(ctx, sent, reading)

/** All that a refusal says. */
async function reasons(sent: Sent): Promise<string> {
  const error: unknown = await read(sent).catch((thrown: unknown) => thrown)
  assert.ok(error instanceof Problem && error.type === reading.type, String(error))
  return JSON.stringify([error.message, error.extra])
}

/** What openssl writes. */
function written(...args: readonly string[]): string {
  const told = run('openssl', args)
  assert.ok(told.ok, told.text)
  return told.out.toString()
}

const lines = (text: string) => text.trimEnd().split('\n')
const base64 = (text: string) => lines(text).slice(1, -1).join('')

const spellings: readonly (readonly [string, (pem: string) => string])[] = [
  ['as openssl writes it', (pem) => pem],
  ['with CRLF', (pem) => pem.replaceAll('\n', '\r\n')],
  ['with CR alone', (pem) => pem.replaceAll('\n', '\r')],
  ['with a byte order mark', (pem) => `\ufeff${pem}`],
  ['with a byte order mark and CRLF', (pem) => `\ufeff${pem.replaceAll('\n', '\r\n')}`],
  ['indented, as in YAML', (pem) => pem.replace(/^/gm, '    ')],
  ['indented by tabs', (pem) => pem.replace(/^/gm, '\t')],
  ['with blanks at the ends of lines', (pem) => pem.replaceAll('\n', '  \n')],
  ['with empty lines', (pem) => pem.replaceAll('\n', '\n\n')],
  ['without a newline at its end', (pem) => pem.trimEnd()],
  ['in lines of 76', (pem) => wrapped(pem, 76)],
  ['in one line of base64', (pem) => wrapped(pem, 1 << 20)],
  ['as X509 CERTIFICATE', (pem) => pem.replaceAll('CERTIFICATE', 'X509 CERTIFICATE')],
  ['with its text before it', () => written('x509', '-in', at('ec.crt'), '-text')],
  [
    'as TRUSTED CERTIFICATE',
    () => written('x509', '-in', at('ec.crt'), '-trustout', '-addtrust', 'serverAuth'),
  ],
  ['with bag attributes', () => bagged()],
  ['twice', (pem) => pem + pem],
  ['with comments in other alphabets', (pem) => `# Zertifikat für Äpfel – «наш»\n${pem}`],
]

function wrapped(pem: string, width: number): string {
  const body = base64(pem).replace(new RegExp(`(.{${width}})`, 'g'), '$1\n')
  return `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`
}

function bagged(): string {
  const store = ['-inkey', at('ec.pem'), '-in', at('ec.crt'), '-passout', 'pass:x']
  written('pkcs12', '-export', ...store, '-name', 'a', '-out', at('bag.p12'))
  return written('pkcs12', '-in', at('bag.p12'), '-passin', 'pass:x', '-nodes')
}

for (const [what, spelt] of spellings)
  test(`a certificate ${what} is read`, async () => {
    const { certificates } = await read({ certificate: spelt(pemOf(ec.certificate)) })
    assert.deepEqual(
      certificates.map(({ der }) => der),
      [ec.certificate.der],
    )
  })

test('a key beside its certificate is read with it, as bag attributes have it', async () => {
  const { privateKey } = await read({ certificate: bagged() })
  same(privateKey, ec)
})

test('a chain in one file is read in whatever order', async () => {
  const pems = [ec, top].map(({ certificate }) => pemOf(certificate))
  for (const certificate of [pems.join(''), pems.toReversed().join('\n\n')])
    assert.equal((await read({ certificate })).certificates.length, 2)
})

function same(key: KeyObject | undefined, { keys }: Authority): void {
  assert.ok(key)
  assert.deepEqual(spkiOf(key), spkiOf(keys.publicKey))
}

const keys: readonly (readonly [string, 'rsa' | 'ec', readonly string[]])[] = [
  ['PKCS#8', 'rsa', ['pkey']],
  ['PKCS#1', 'rsa', ['rsa', '-traditional']],
  ['SEC 1', 'ec', ['ec']],
  ['PKCS#8 with the curve spelt out', 'ec', ['ec', '-param_enc', 'explicit']],
  ['PKCS#8 with a compressed point', 'ec', ['ec', '-conv_form', 'compressed']],
]

for (const [what, kind, args] of keys)
  test(`a private key in ${what} is read`, async () => {
    const privateKey = written(...args, '-in', at(`${kind}.pem`))
    const certificate = pemOf({ rsa, ec }[kind].certificate)
    const found = await read({ certificate, privateKey: privateKey.replaceAll('\n', '\r\n') })
    same(found.privateKey, { rsa, ec }[kind])
  })

test('a private key in SEC 1 behind its parameters is read', async () => {
  const parameters = written('ecparam', '-name', 'prime256v1')
  const privateKey = `${parameters}${written('ec', '-in', at('ec.pem'))}`
  same((await read({ certificate: pemOf(ec.certificate), privateKey })).privateKey, ec)
})

const encrypted: readonly (readonly [string, 'rsa' | 'ec', readonly string[]])[] = [
  ['PBES2 with AES-256', 'ec', ['pkcs8', '-topk8', '-v2', 'aes-256-cbc']],
  [
    'PBES2 with 3DES and SHA-1',
    'rsa',
    ['pkcs8', '-topk8', '-v2', 'des3', '-v2prf', 'hmacWithSHA1'],
  ],
  ['scrypt', 'ec', ['pkcs8', '-topk8', '-scrypt']],
  ['PBE-SHA1-3DES', 'rsa', ['pkcs8', '-topk8', '-v1', 'PBE-SHA1-3DES']],
  [
    'PBE-MD5-DES',
    'ec',
    ['pkcs8', '-topk8', '-v1', 'PBE-MD5-DES', '-provider', 'legacy', '-provider', 'default'],
  ],
  [
    'PBE-SHA1-RC2-40',
    'ec',
    ['pkcs8', '-topk8', '-v1', 'PBE-SHA1-RC2-40', '-provider', 'legacy', '-provider', 'default'],
  ],
  ['PKCS#1 under DEK-Info AES-256', 'rsa', ['rsa', '-traditional', '-aes256']],
  ['PKCS#1 under DEK-Info 3DES', 'rsa', ['rsa', '-traditional', '-des3']],
  [
    'PKCS#1 under DEK-Info DES',
    'rsa',
    ['rsa', '-traditional', '-des', '-provider', 'legacy', '-provider', 'default'],
  ],
  ['SEC 1 under DEK-Info AES-128', 'ec', ['ec', '-aes128']],
]

for (const [what, kind, args] of encrypted)
  test(`a private key encrypted by ${what} is read, and only by its passphrase`, async () => {
    const privateKey = written(...args, '-in', at(`${kind}.pem`), '-passout', `pass:${passphrase}`)
    assert.match(privateKey, /ENCRYPTED/)
    const sent = { certificate: pemOf({ rsa, ec }[kind].certificate), privateKey }
    same((await read({ ...sent, passphrase })).privateKey, { rsa, ec }[kind])
    for (const wrong of ['wrong', '']) {
      const said = await reasons({ ...sent, passphrase: wrong })
      assert.match(said, /passphrase does not open|cannot be read/)
      assert.match(said, /"field":"\/privateKey"/)
    }
    assert.match(await reasons(sent), /encrypted: send its passphrase/)
  })

test('a PKCS#12 store is read in base64, with line breaks or as URLs have it', async () => {
  bagged()
  const store = readFileSync(at('bag.p12'))
  for (const pkcs12 of [
    store.toString('base64'),
    store.toString('base64url'),
    store.toString('base64').replace(/(.{76})/g, '$1\r\n'),
  ]) {
    const found = await read({ pkcs12, passphrase: 'x' })
    same(found.privateKey, ec)
    assert.deepEqual(found.certificates[0]?.der, ec.certificate.der)
  }
  const said = await reasons({ pkcs12: store.toString('base64'), passphrase: 'secret-4711' })
  assert.match(said, /"field":"\/pkcs12"/)
  assert.doesNotMatch(said, /secret-4711/)
})

test('several stores wait for one another, and each is opened', async () => {
  bagged()
  const pkcs12 = readFileSync(at('bag.p12')).toString('base64')
  const many = await Promise.all([1, 2, 3].map(() => read({ pkcs12, passphrase: 'x' })))
  for (const { privateKey } of many) same(privateKey, ec)
})

test('what takes too long is ended, and who comes next is served', async () => {
  const made = ['-inkey', at('ec.pem'), '-in', at('ec.crt'), '-passout', 'pass:x']
  written('pkcs12', '-export', ...made, '-iter', '600000', '-out', at('slow.p12'))
  const sealed = { store: readFileSync(at('slow.p12')).toString('base64'), passphrase: 'x' }
  await assert.rejects(openSealed(ctx, 'platform', sealed, 20), {
    code: 'store-refused',
    message: /longer than 0.02 s/,
  })
  bagged()
  const pkcs12 = readFileSync(at('bag.p12')).toString('base64')
  same((await read({ pkcs12, passphrase: 'x' })).privateKey, ec)
})

test('what ends the thread is refused, and said in the log without what was sent', async () => {
  const lines: string[] = []
  const log = { ...ctx.log, warn: (facts: object) => void lines.push(JSON.stringify(facts)) }
  const block = { label: 'ENCRYPTED PRIVATE KEY', headers: '', base64: 'MAA=' }
  // What the thread was not made for: its schema throws in it.
  const wrong = { block, passphrase: 'secret-4711', store: 'x' }
  await assert.rejects(openSealed({ ...ctx, log }, 'platform', wrong), { code: 'store-refused' })
  assert.equal(lines.length, 1)
  assert.doesNotMatch(lines.join(''), /secret-4711|MAA=/)
})

for (const [what, sent, reason] of [
  [
    'more certificates than a chain has',
    async () => {
      const many = await Promise.all(Array.from({ length: 17 }, () => authority('ECDSA_P256')))
      return { certificate: many.map(({ certificate }) => pemOf(certificate)).join('') }
    },
    /17 certificates in it/,
  ],
  ['neither', () => ({}), /one of the two/],
  ['both', () => ({ certificate: 'x', pkcs12: 'x' }), /one of the two/],
  ['a store and a key', () => ({ pkcs12: 'x', privateKey: 'x' }), /the store has the key/],
  ['no base64', () => ({ pkcs12: 'ä' }), /in base64/],
  ['no certificate', () => ({ certificate: 'hello' }), /no certificate/],
  ['a request', () => ({ certificate: requestPem() }), /certificate request/],
  [
    'PKCS#7',
    () => ({ certificate: written('crl2pkcs7', '-nocrl', '-certfile', at('ec.crt')) }),
    /PKCS#7/,
  ],
  [
    'a public key',
    () => ({ certificate: written('pkey', '-in', at('ec.pem'), '-pubout') }),
    /public key/,
  ],
  [
    'an OpenSSH key',
    () => ({ certificate: pemOf(ec.certificate), privateKey: pem('OPENSSH PRIVATE KEY') }),
    /OPENSSH PRIVATE KEY.*openssl pkey/,
  ],
  [
    'a DSA key',
    () => ({ certificate: pemOf(ec.certificate), privateKey: pem('DSA PRIVATE KEY') }),
    /DSA PRIVATE KEY/,
  ],
  ['no key', () => ({ certificate: pemOf(ec.certificate), privateKey: 'x' }), /no private key/],
  [
    'two keys',
    () => ({ certificate: bagged(), privateKey: readFileSync(at('rsa.pem'), 'utf8') }),
    /several private keys/,
  ],
  [
    'a broken key',
    () => ({ certificate: pemOf(ec.certificate), privateKey: pem('PRIVATE KEY') }),
    /cannot be read/,
  ],
] as const)
  test(`${what} is refused with the reason`, async () =>
    assert.match(await reasons(await sent()), reason))

function pem(label: string): string {
  return `-----BEGIN ${label}-----\nMAAwAA==\n-----END ${label}-----\n`
}

function requestPem(): string {
  return written('req', '-new', '-key', at('ec.pem'), '-subj', '/CN=a')
}

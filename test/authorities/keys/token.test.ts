import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { importAuthority } from '../../../src/authorities/import.ts'
import { formatKeyUri, readKeyUri } from '../../../src/authorities/keys/uri.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { type Context, openContext } from '../../../src/core/context.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestDatabase, testConfig } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { fieldsOf, isProblem } from '../../support/problem.ts'

test('a key’s URI comes back as it was written, and names nothing but a key', () => {
  const named = { token: 'our token;=%', object: 'root/ä', id: Buffer.of(1, 0xfe) }
  const uri = formatKeyUri(named)
  assert.match(
    uri,
    /^pkcs11:token=our%20token%3B%3D%25;object=root%2F%C3%A4;id=%01%FE;type=private$/,
  )
  assert.deepEqual(readKeyUri(uri), named)
  for (const wrong of [
    'https://x',
    'pkcs11:',
    'pkcs11:token=x',
    'pkcs11:object=x?pin-value=1234',
    'pkcs11:object=x;type=public',
    'pkcs11:object=%zz',
    'pkcs11:object=a=b',
    'pkcs11:object=x;pin-value=1234',
  ]) {
    assert.equal(typeof readKeyUri(wrong), 'string', wrong)
  }
})

const softhsm = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
].find((path) => spawnSync('test', ['-e', path]).status === 0)
const library = await import('pkcs11js').then(
  () => true,
  () => false,
)
const absent = !softhsm ? 'SoftHSM is not on this machine' : 'pkcs11js is not installed'
const skip = softhsm && library ? false : absent
const note = skip ? ` (skipped: ${skip})` : ''

const pin = '98765432'

/** A fresh token, and a context whose settings name it. */
async function openToken(): Promise<Context> {
  const folder = mkdtempSync(join(tmpdir(), 'gatesmith-token-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'tokens'))
  const conf = join(folder, 'softhsm2.conf')
  writeFileSync(
    conf,
    `directories.tokendir = ${join(folder, 'tokens')}\nobjectstore.backend = file\n`,
  )
  process.env.SOFTHSM2_CONF = conf
  const init = ['--init-token', '--free', '--label', 'gatesmith', '--so-pin', '1234', '--pin', pin]
  execFileSync('softhsm2-util', init, { stdio: 'pipe' })
  return contextFor({ module: softhsm ?? '', token: 'gatesmith', pin })
}

const url = skip ? '' : await openTestDatabase()
const sealingKey = testConfig(url).sealingKey

function contextFor(pkcs11: { module: string; token: string; pin: string }): Context {
  const quiet = () => undefined
  const log = { info: quiet, warn: quiet, error: console.error }
  const ctx = openContext({ ...testConfig(url), sealingKey, pkcs11 }, log)
  after(() => ctx.db.close())
  return ctx
}

const ctx = skip ? undefined : await openToken()

function token(): Context {
  if (!ctx) throw new Error('skipped')
  return ctx
}

const issue = (context: Context, authority: string) =>
  issueCertificate(context, admin, {
    tenant: 'example',
    request: { profile: 'server', dnsNames: ['a.example.com'], authority },
    idempotencyKey: undefined,
  })

for (const keyAlgorithm of ['ECDSA_P256', 'ECDSA_P384', 'RSA_2048'] as const)
  test(`a root whose ${keyAlgorithm} key lives in a token issues, and openssl agrees${note}`, {
    skip,
  }, async () => {
    const label = `root ${keyAlgorithm}`
    const name = `root-${keyAlgorithm.toLowerCase().replace('_', '-')}`
    const root = await createAuthority(token(), admin, {
      name,
      kind: 'root',
      subject: { commonName: label },
      keyAlgorithm,
      key: { pkcs11: { label } },
    })
    assert.equal(root.keyStore, 'pkcs11')
    assert.equal(root.keyAlgorithm, keyAlgorithm)
    const below = await createAuthority(token(), admin, {
      name: `${name}-issuing`,
      kind: 'intermediate',
      parent: name,
      subject: { commonName: `${label} issuing` },
    })
    assert.equal(below.keyStore, 'sealed')
    await createTenant(token(), admin, { name: 'example', domains: ['example.com'] }).catch(
      () => undefined,
    )
    for (const authority of [name, `${name}-issuing`]) {
      const leaf = await issue(token(), authority)
      const files = { 'root.pem': root.pem, 'chain.pem': leaf.chainPem, 'leaf.pem': leaf.pem ?? '' }
      const chain = leaf.chainPem === '' ? [] : ['-untrusted', 'chain.pem']
      openssl(['verify', '-x509_strict', '-CAfile', 'root.pem', ...chain, 'leaf.pem'], files)
    }
    const row = await token().db.read.authorityKey.findFirstOrThrow({
      where: { issuers: { some: { authority: { name } } } },
      include: { secret: true },
    })
    assert.equal(row.secret, null)
    assert.equal(row.store, 'pkcs11')
    assert.doesNotMatch(row.uri ?? '', new RegExp(pin))
  })

test(`many at once are signed by one token, each by a good signature${note}`, {
  skip,
}, async () => {
  const made = await Promise.all(
    Array.from({ length: 50 }, () => issue(token(), 'root-ecdsa-p256')),
  )
  assert.equal(new Set(made.map(({ serial }) => serial)).size, 50)
})

test(`another process finds the key by its URI${note}`, { skip }, async () => {
  const other = contextFor({ module: softhsm ?? '', token: 'gatesmith', pin })
  assert.equal((await issue(other, 'root-ecdsa-p256')).status, 'active')
})

test(`a CA whose key is in the token is imported by its certificate and the key’s URI${note}`, {
  skip,
}, async () => {
  const made = await createAuthority(token(), admin, {
    name: 'moved',
    kind: 'root',
    subject: { commonName: 'Moved' },
    key: { pkcs11: { label: 'moved' } },
  })
  const { uri } = await token().db.read.authorityKey.findFirstOrThrow({
    where: { issuers: { some: { authority: { name: 'moved' } } } },
  })
  const elsewhere = openContext(
    {
      ...testConfig(await openTestDatabase()),
      pkcs11: { module: softhsm ?? '', token: 'gatesmith', pin },
    },
    token().log,
  )
  after(() => elsewhere.db.close())
  const imported = await importAuthority(elsewhere, admin, {
    name: 'moved',
    certificate: made.pem,
    key: { pkcs11: { uri: uri ?? '' } },
  })
  assert.equal(imported.keyStore, 'pkcs11')
  const other = formatKeyUri({ object: 'root ECDSA_P256' })
  const wrong = { name: 'wrong', certificate: made.pem, key: { pkcs11: { uri: other } } }
  assert.deepEqual(await fieldsOf('authority-refused', importAuthority(elsewhere, admin, wrong)), [
    '/key',
  ])
})

test(`what a token does not have, or may not have, is refused${note}`, { skip }, async () => {
  const make = (over: object) =>
    createAuthority(token(), admin, {
      name: 'refused',
      kind: 'root',
      subject: { commonName: 'Refused' },
      ...over,
    })
  const refused = [
    { key: { pkcs11: { uri: 'pkcs11:object=nobody' } } },
    { key: { pkcs11: { uri: 'pkcs11:object=x?pin-value=1' } } },
    { key: { pkcs11: { label: 'ed' } }, keyAlgorithm: 'ED25519' },
    { key: { pkcs11: { label: 'root ECDSA_P256' } }, keyAlgorithm: 'RSA_2048' },
  ]
  for (const over of refused) await assert.rejects(make(over), isProblem('authority-refused'))
  await assert.rejects(
    make({ key: { pkcs11: { label: 'root ECDSA_P256' } } }),
    isProblem('authority-exists'),
  )
})

test(`a token that cannot be used is a matter of the moment, and its PIN is told to nobody${note}`, {
  skip,
}, async () => {
  const key = { pkcs11: { label: 'x' } }
  const asked = { name: 'x', kind: 'root', subject: { commonName: 'X' }, key } as const
  for (const wrong of [
    { module: softhsm ?? '', token: 'nobody', pin },
    { module: '/nowhere/module.so', token: 'gatesmith', pin },
  ]) {
    await assert.rejects(createAuthority(contextFor(wrong), admin, asked), (error: unknown) => {
      assert.ok(isProblem('unavailable')(error))
      assert.doesNotMatch(String(error), new RegExp(pin))
      return true
    })
  }
})

test('without a token in the settings a key cannot be asked for there', async () => {
  const { openTestContext } = await import('../../support/context.ts')
  const plain = await openTestContext()
  const key = { pkcs11: { label: 'x' } }
  await assert.rejects(
    createAuthority(plain, admin, { name: 'x', kind: 'root', subject: { commonName: 'X' }, key }),
    isProblem('authority-refused'),
  )
})

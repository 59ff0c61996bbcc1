import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { getWholeList } from '../../../src/authorities/crl/find.ts'
import { publishLists } from '../../../src/authorities/crl/publish.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { importAuthority } from '../../../src/authorities/import.ts'
import { trustAnchorOf } from '../../../src/authorities/issuers/current.ts'
import { listIssuers } from '../../../src/authorities/issuers/view.ts'
import { rotateAuthority } from '../../../src/authorities/rotation/rotate.ts'
import { getTrustBundle } from '../../../src/authorities/trust/bundle.ts'
import { getCertificate } from '../../../src/certificates/find.ts'
import { Problem } from '../../../src/shared/problem.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { readPem, toPem } from '../../../src/x509/der/pem.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl, opensslBytes } from '../../support/openssl.ts'
import { fieldsOf, isProblem } from '../../support/problem.ts'
import { type Foreign, foreign } from '../foreign.ts'
import { issueOne, keyOf, revoke } from '../support.ts'

const ctx = await openTestContext()
await createTenant(ctx, admin, { name: 'example', domains: ['example.com'], namespaces: ['test'] })

const imported = (request: Parameters<typeof importAuthority>[2]) =>
  importAuthority(ctx, admin, request)
const der = (pem: string) => readPem(pem, 'CERTIFICATE')[0] ?? Buffer.alloc(0)
const verify = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', 't.pem']

/** All that a refusal says. */
async function reasons(asked: Promise<unknown>): Promise<string> {
  const error: unknown = await asked.catch((thrown: unknown) => thrown)
  assert.ok(error instanceof Problem, String(error))
  return JSON.stringify([error.type, error.message, error.extra])
}

/** A root, an authority below it, and one below that. */
async function line(name: string) {
  const top = await foreign({ name: `${name} top` })
  const middle = await foreign({ name: `${name} middle`, issuer: top, days: 250 })
  const low = await foreign({ name: `${name} low`, issuer: middle, days: 200 })
  return { top, middle, low }
}

const storeOf = (made: Foreign, above: readonly Foreign[], options: readonly string[] = []) =>
  opensslBytes(
    [
      ...['pkcs12', '-export', '-inkey', 'k', '-in', 'c', '-out', 'out', '-passout', 'pass:secret'],
      ...(above.length > 0 ? ['-certfile', 'a'] : []),
      ...options,
    ],
    { k: made.key, c: made.pem, a: above.map(({ pem }) => pem).join('') },
    'out',
  ).toString('base64')

for (const [what, sent] of [
  [
    'in one file, root first',
    ({ top, middle, low }: Awaited<ReturnType<typeof line>>) => ({
      certificate: top.pem + middle.pem + low.pem,
      privateKey: low.key,
    }),
  ],
  [
    'in one file with its key, mixed',
    ({ top, middle, low }: Awaited<ReturnType<typeof line>>) => ({
      certificate: middle.pem + low.key + low.pem + top.pem,
    }),
  ],
  [
    'in a PKCS#12 store',
    ({ top, middle, low }: Awaited<ReturnType<typeof line>>) => ({
      pkcs12: storeOf(low, [top, middle]),
      passphrase: 'secret',
    }),
  ],
  [
    'in a PKCS#12 store as Windows exports it',
    ({ top, middle, low }: Awaited<ReturnType<typeof line>>) => ({
      pkcs12: storeOf(low, [middle, top], ['-descert', '-legacy', '-macalg', 'sha1']),
      passphrase: 'secret',
    }),
  ],
] as const)
  test(`a CA with those above it ${what} is taken over whole`, async () => {
    const name = what.replace(/\W+/g, '-').toLowerCase().replace(/-$/, '')
    const made = await line(what)
    const low = await imported({ name, ...sent(made) })
    assert.deepEqual([low.kind, low.parent, low.keyHeld], ['intermediate', `${name}-above-1`, true])
    const middle = await getAuthority(ctx, admin, `${name}-above-1`)
    assert.deepEqual([middle.parent, middle.keyHeld], [`${name}-root`, false])
    assert.equal(await getTrustBundle(ctx, name), made.top.pem)
    const client = await issueOne(ctx, { profile: 'client', authority: name })
    const files = { 't.pem': made.top.pem, 'c.pem': client.chainPem, 'l.pem': client.pem ?? '' }
    openssl([...verify, '-untrusted', 'c.pem', 'l.pem'], files)
  })

test('of those above it only what is not known is added', async () => {
  const { top, middle, low } = await line('Known')
  await imported({ name: 'known-top', certificate: top.pem })
  const made = await imported({ name: 'known-low', certificate: low.pem + middle.pem + top.pem })
  const above = await getAuthority(ctx, admin, made.parent ?? '')
  assert.deepEqual([made.parent, above.parent], ['known-low-above-1', 'known-top'])
  await imported({ name: 'known-again', certificate: (await line('Other')).top.pem })
})

test('nothing is stored when one of those above it cannot be used', async () => {
  const top = await foreign({ name: 'Expired top', days: 1 })
  const middle = await foreign({ name: 'Long middle', issuer: top, days: 30 })
  const said = await reasons(imported({ name: 'half', certificate: middle.pem + top.pem }))
  assert.match(said, /ends after its issuer/)
  await assert.rejects(getAuthority(ctx, admin, 'half-root'), isProblem('authority-unknown'))
})

test('what does not belong together is refused by its name', async () => {
  const { top, middle } = await line('Apart')
  const other = await foreign({ name: 'Stranger' })
  const two = await reasons(imported({ name: 'x', certificate: top.pem + other.pem }))
  assert.match(two, /not several: .*CN=Apart top.*CN=Stranger/)
  const more = imported({
    name: 'x',
    certificate: middle.pem + top.pem + other.pem,
    privateKey: middle.key,
  })
  assert.match(await reasons(more), /CN=Stranger.*leave it out/)
  const key = imported({ name: 'x', certificate: top.pem, privateKey: other.key })
  assert.deepEqual(await fieldsOf('authority-refused', key), ['/privateKey'])
})

test('a passphrase that is wrong is refused at the store, and said nowhere', async () => {
  const made = await foreign({ name: 'Sealed' })
  const pkcs12 = storeOf(made, [])
  const said = await reasons(imported({ name: 'x', pkcs12, passphrase: 'open-sesame' }))
  assert.match(said, /"field":"\/pkcs12"/)
  assert.doesNotMatch(said, /open-sesame/)
})

test('a renewed root takes the place of the one before, and what was issued verifies by it', async () => {
  const old = await foreign({ name: 'Renewed', days: 100 })
  await imported({ name: 'renewed', certificate: old.pem, privateKey: old.key })
  await createAuthority(ctx, admin, {
    ...{ name: 'renewed-below', kind: 'intermediate', parent: 'renewed' },
    subject: { commonName: 'Below renewed' },
  })
  const client = await issueOne(ctx, { profile: 'client', authority: 'renewed' })
  const below = await issueOne(ctx, { profile: 'client', authority: 'renewed-below' })
  const next = await foreign({ name: 'Renewed', days: 900, key: old.keys })
  const made = await imported({ name: 'renewed', certificate: next.pem })
  assert.equal(made.pem, next.pem)
  assert.ok(made.keyHeld)
  // 1. The new one is trusted and signs, the old one neither.
  assert.deepEqual(await trustAnchorOf(ctx.db.read, 'renewed'), [der(next.pem)])
  assert.equal(await getTrustBundle(ctx, 'renewed-below'), next.pem)
  const { items } = await listIssuers(ctx, admin, 'renewed')
  assert.deepEqual(
    items.map(({ usages }) => usages),
    [['list'], ['issue', 'trust', 'list']],
  )
  // 2. What was issued verifies by it, and is not renewed for it.
  const fresh = await issueOne(ctx, { profile: 'client', authority: 'renewed', validityDays: 300 })
  const chainPem = (await getCertificate(ctx, admin, { tenant: 'example', id: below.id })).chainPem
  for (const leaf of [client, below, fresh])
    openssl([...verify, '-untrusted', 'c.pem', 'l.pem'], {
      ...{ 't.pem': next.pem, 'c.pem': chainPem, 'l.pem': leaf.pem ?? '' },
    })
  // 3. Its list is one, of what either signed.
  await revoke(ctx, client)
  await revoke(ctx, fresh)
  await publishLists(ctx, await keyOf(ctx, 'renewed'))
  const list = (await getWholeList(ctx, 'renewed')).der
  const text = openssl(
    ['crl', '-inform', 'DER', '-in', 'l', '-noout', '-text', '-CAfile', 't.pem'],
    {
      ...{ l: list, 't.pem': next.pem },
    },
  )
  for (const { serial } of [client, fresh]) assert.match(text, new RegExp(serial, 'i'))
  // 4. It is told.
  const event = await ctx.db.read.auditEvent.findFirstOrThrow({
    where: { action: 'authority.renewed', subjectName: 'renewed' },
  })
  assert.match(JSON.stringify(event.changes), new RegExp(readCertificate(der(next.pem)).serial))
})

test('a renewed intermediate takes the place of the one before', async () => {
  const top = await foreign({ name: 'Top of renewed' })
  const old = await foreign({ name: 'Renewed middle', issuer: top, days: 50 })
  await imported({ name: 'renewed-middle', certificate: old.pem + top.pem, privateKey: old.key })
  const client = await issueOne(ctx, {
    profile: 'client',
    authority: 'renewed-middle',
    validityDays: 9,
  })
  const next = await foreign({ name: 'Renewed middle', issuer: top, days: 250, key: old.keys })
  await imported({ name: 'renewed-middle', certificate: next.pem })
  const [anchor = Buffer.alloc(0), ...more] = await trustAnchorOf(ctx.db.read, 'renewed-middle')
  assert.equal(more.length, 0)
  assert.deepEqual(readCertificate(anchor).validity, readCertificate(der(next.pem)).validity)
  openssl([...verify, 'l.pem'], {
    't.pem': toPem('CERTIFICATE', anchor),
    'l.pem': client.pem ?? '',
  })
})

test('what is not a renewal is refused with the reason', async () => {
  const old = await foreign({ name: 'Kept', days: 100 })
  const request = { name: 'kept', certificate: old.pem, privateKey: old.key }
  await imported(request)
  assert.match(await reasons(imported(request)), /authority-exists.*this very certificate/)
  const renewed = (said: object) => foreign({ name: 'Kept', days: 200, key: old.keys, ...said })
  const next = await renewed({})
  const elsewhere = imported({ name: 'kept-2', certificate: next.pem })
  assert.match(await reasons(elsewhere), /authority-exists.*\\"kept\\"/)
  const settings = imported({ name: 'kept', certificate: next.pem, maxValidityDays: 9 })
  assert.deepEqual(await fieldsOf('authority-refused', settings), ['/maxValidityDays'])
  for (const [said, reason] of [
    [{ name: 'Another' }, /subject is not that/],
    [{ ski: 'random' }, /subjectKeyIdentifier is not that/],
    [{ days: 50 }, /ends before the one/],
  ] as const) {
    const wrong = await renewed(said)
    assert.match(await reasons(imported({ name: 'kept', certificate: wrong.pem })), reason)
  }
  await rotateAuthority(ctx, admin, { authority: 'kept', request: {} })
  const late = imported({ name: 'kept', certificate: next.pem })
  await assert.rejects(late, isProblem('rotation-underway'))
})

test('a self-issued rollover certificate is an intermediate below the key that signed it', async () => {
  const old = await foreign({ name: 'Rollover', days: 100 })
  const newWithOld = await foreign({ name: 'Rollover', issuer: old, days: 90 })
  assert.match(
    await reasons(imported({ name: 'rollover-new', certificate: newWithOld.pem })),
    /not by its own key, and no authority of its name/,
  )
  await imported({ name: 'rollover-old', certificate: old.pem })
  const made = await imported({
    ...{ name: 'rollover-new', certificate: newWithOld.pem, privateKey: newWithOld.key },
  })
  assert.deepEqual([made.kind, made.parent], ['intermediate', 'rollover-old'])
  const client = await issueOne(ctx, { profile: 'client', authority: 'rollover-new' })
  openssl([...verify, '-untrusted', 'c.pem', 'l.pem'], {
    ...{ 't.pem': old.pem, 'c.pem': client.chainPem, 'l.pem': client.pem ?? '' },
  })
})

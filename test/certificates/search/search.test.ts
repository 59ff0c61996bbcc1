import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import type { NewCertificate } from '../../../src/certificates/certificate.ts'
import { listAllCertificates, listCertificates } from '../../../src/certificates/find.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import { expiries } from '../../../src/certificates/search/expiries.ts'
import type { CertificateFilter } from '../../../src/certificates/search/filter.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { isProblem } from '../../support/problem.ts'

const ctx = await openTestContext()
for (const name of ['first', 'second']) {
  await createAuthority(ctx, admin, { name, kind: 'root', subject: { commonName: name } })
}
for (const name of ['one', 'two']) {
  await createTenant(ctx, admin, { name, domains: [`${name}.test`], defaultAuthority: 'first' })
}

function issue(tenant: string, asked: NewCertificate) {
  return issueCertificate(ctx, admin, { tenant, request: asked, idempotencyKey: undefined })
}

const www = await issue('one', {
  profile: 'server',
  dnsNames: ['www.one.test'],
  validityDays: 5,
  labels: { env: 'prod', 'shop.test/team': '' },
})
const deep = await issue('one', {
  profile: 'peer',
  dnsNames: ['a.b.one.test', 'c.one.test'],
  authority: 'second',
  validityDays: 20,
  keyAlgorithm: 'ECDSA_P384',
})
const wildcard = await issue('one', {
  profile: 'server',
  dnsNames: ['*.one.test'],
  validityDays: 60,
})
const client = await issue('two', {
  profile: 'client',
  subject: { commonName: 'client' },
  validityDays: 70,
  autoRenew: true,
  labels: { env: 'test' },
})
const revoked = await issue('two', {
  profile: 'server',
  dnsNames: ['www.two.test'],
  validityDays: 80,
})
await revokeCertificate(ctx, admin, {
  tenant: 'two',
  id: revoked.id,
  reason: 'superseded',
})
await ctx.db.statement(`update certificate set "renewFailures" = 2 where "id" = $1::uuid`, [
  client.id,
])
const all = [www, deep, wildcard, client, revoked]

const idsOf = (items: readonly { readonly id: string }[]) => items.map(({ id }) => id)
const find = async (filter: CertificateFilter) =>
  idsOf((await listAllCertificates(ctx, admin, filter)).items)

const spaced = (hex: string) => hex.match(/../g)?.join(':').toUpperCase() ?? ''
const print = www.fingerprintSha256 ?? ''

const cases: readonly (readonly [string, CertificateFilter, readonly { id: string }[]])[] = [
  ['nothing: all, soonest end first', {}, all],
  ['active ones', { status: 'active' }, [www, deep, wildcard, client]],
  ['revoked ones', { status: 'revoked' }, [revoked]],
  ['expired ones', { status: 'expired' }, []],
  ['what ends within a period', { expiringWithin: 'P30D' }, [www, deep]],
  ['that their renewal fails', { renewal: 'failing' }, [client]],
  ['that nothing renews them', { renewal: 'off' }, [www, deep, wildcard]],
  ['that nothing renews them in time', { expiringWithin: 'P30D', renewal: 'off' }, [www, deep]],
  ['what ends from a moment on', { notAfterFrom: client.notAfter }, [client, revoked]],
  ['what ends before a moment', { notAfterTo: deep.notAfter }, [www]],
  ['a profile', { profile: 'server' }, [www, wildcard, revoked]],
  ['an authority', { authority: 'second' }, [deep]],
  ['no such authority', { authority: 'third' }, []],
  ['a name', { name: 'WWW.one.test' }, [www]],
  ['a name among others of a certificate', { name: 'c.one.test' }, [deep]],
  ['all names under a domain, at any depth', { name: '*.one.test' }, [www, deep, wildcard]],
  ['all names under a subdomain', { name: '*.b.one.test' }, [deep]],
  ['no more than whole labels', { name: '*.ne.test' }, []],
  ['the wildcard itself', { dnsName: '*.one.test' }, [wildcard]],
  ['no domain under its own wildcard', { name: 'one.test' }, []],
  ['a serial', { serial: www.serial }, [www]],
  ['a serial as openssl prints it', { serial: spaced(www.serial) }, [www]],
  ['a serial with 0x and zeros', { serial: `0x00${www.serial}` }, [www]],
  ['a fingerprint', { fingerprint: print }, [www]],
  ['a fingerprint as openssl prints it', { fingerprint: spaced(print) }, [www]],
  ['a key algorithm', { keyAlgorithm: 'ECDSA_P384' }, [deep]],
  ['two of these at once', { profile: 'server', name: '*.one.test' }, [www, wildcard]],
  ['a label, whatever it says', { label: 'env' }, [www, client]],
  ['a label and what it says', { label: 'env=prod' }, [www]],
  ['several labels', { label: 'env=prod, shop.test/team' }, [www]],
  ['a label that is empty', { label: 'shop.test/team=' }, [www]],
  ['no label', { label: 'prod' }, []],
  ['no host', { host: 'www.one.test' }, []],
  ['no cluster', { cluster: 'nowhere' }, []],
  ['latest end first', { sort: '-notAfter' }, all.toReversed()],
  ['in the order in which they were made', { sort: 'createdAt' }, all],
  ['newest first', { sort: '-createdAt' }, all.toReversed()],
]
for (const [what, filter, expected] of cases) {
  test(`certificates are found by ${what}`, async () => {
    assert.deepEqual(await find(filter), idsOf(expected))
  })
}

test('a public key finds its certificates', async () => {
  const { spkiSha256 } = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id: deep.id },
    select: { spkiSha256: true },
  })
  assert.deepEqual(await find({ publicKey: spaced(spkiSha256) }), [deep.id])
})

test('every order is the same page by page', async () => {
  for (const sort of ['notAfter', '-notAfter', 'createdAt', '-createdAt'] as const) {
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page = await listAllCertificates(ctx, admin, {
        sort,
        limit: 2,
        ...(cursor === null ? {} : { cursor }),
      })
      seen.push(...idsOf(page.items))
      cursor = page.nextCursor
    } while (cursor !== null)
    assert.deepEqual(seen, await find({ sort }))
  }
})

test('a cursor of another order is refused', async () => {
  const { nextCursor } = await listAllCertificates(ctx, admin, { limit: 1 })
  const asked = { sort: 'createdAt', cursor: nextCursor ?? '' } as const
  await assert.rejects(find(asked), isProblem('cursor-refused'))
})

test('a tenant is told of its own, whatever is asked for', async () => {
  const own = (filter: CertificateFilter) =>
    listCertificates(ctx, admin, { tenant: 'two', ...filter })
  assert.deepEqual(idsOf((await own({})).items), idsOf([client, revoked]))
  assert.deepEqual((await own({ serial: www.serial })).items, [])
  assert.deepEqual((await own({ fingerprint: print })).items, [])
  assert.deepEqual((await own({ name: '*.one.test' })).items, [])
})

test('how many there are is told when it is asked for', async () => {
  const page = await listAllCertificates(ctx, admin, { limit: 1, count: true })
  assert.deepEqual(page.total, { value: all.length, exact: true })
  assert.equal((await listAllCertificates(ctx, admin, {})).total, undefined)
})

test('what is no serial or digest is refused and says which', async () => {
  await assert.rejects(find({ serial: ':: ::' }), isProblem('request-invalid'))
  await assert.rejects(find({ fingerprint: 'abcd' }), isProblem('request-invalid'))
  for (const label of ['env=a=b', '=prod', 'env=-', 'a,,b', 'a,b,c,d,e,f,g,h,i', `env='; --`]) {
    await assert.rejects(find({ label }), isProblem('request-invalid'))
  }
})

test('the histogram counts what ends on which day, and what renews by itself', async () => {
  const days = await expiries(ctx, admin, { within: 'P90D' })
  const dayOf = (moment: string) => `${moment.slice(0, 10)}T00:00:00.000Z`
  assert.deepEqual(
    days.map(({ from, count, renewing }) => [from, count, renewing]),
    [www, deep, wildcard, client].map(({ notAfter, autoRenew }) => [
      dayOf(notAfter),
      1,
      autoRenew ? 1 : 0,
    ]),
  )
  const weeks = await expiries(ctx, admin, { within: 'P90D', by: 'week', name: '*.one.test' })
  assert.equal(
    weeks.reduce((sum, { count }) => sum + count, 0),
    3,
  )
  for (const { from } of weeks) assert.equal(new Date(from).getUTCDay(), 1)
  assert.equal((await expiries(ctx, admin, { within: 'P90D', tenant: 'two' })).length, 1)
  await assert.rejects(expiries(ctx, admin, { within: 'P9999D' }), isProblem('request-invalid'))
})

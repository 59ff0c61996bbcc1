import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changeAuthority } from '../../../src/authorities/change.ts'
import { type Clients, gatewayTrust, refusalList } from '../../../src/authorities/crl/gateway.ts'
import { publishLists } from '../../../src/authorities/crl/publish.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { rotateAuthority } from '../../../src/authorities/rotation/rotate.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import { sql } from '../../../src/core/database/db.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { readCrl } from '../../../src/x509/crl/list.ts'
import { readPem, toPem } from '../../../src/x509/der/pem.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openssl } from '../../support/openssl.ts'
import { isProblem } from '../../support/problem.ts'
import { issueOne, keyOf, openTestAuthority, revoke } from '../support.ts'

const ctx = await openTestContext()
await openTestAuthority(ctx, 3)
await createTenant(ctx, admin, {
  name: 'rival',
  domains: ['rival.test'],
  defaultAuthority: 'issuing',
})
const publish = async () => publishLists(ctx, await keyOf(ctx, 'issuing'))
const idOf = async (name: string) =>
  (await ctx.db.read.tenant.findUniqueOrThrow({ where: { name } })).id
const own: Clients = { authority: 'issuing', tenantId: await idOf('example') }
const rival: Clients = { authority: 'issuing', tenantId: await idOf('rival') }
const all: Clients = { authority: 'issuing', tenantId: null }

const client = () => issueOne(ctx, { profile: 'client', dnsNames: ['c.example.com'] })
const rivals = () =>
  issueCertificate(ctx, admin, {
    tenant: 'rival',
    request: { profile: 'client', subject: { commonName: 'r' } },
    idempotencyKey: undefined,
  })
const lists = ({ crl = '' }: { readonly crl?: string }) =>
  Promise.all((crl === '' ? [] : readPem(crl, 'X509 CRL')).map((der) => readCrl(der)))

/** As a gateway: the anchor alone, and a list wanted for every CA of the chain. */
function check({ trust, crl = '' }: { trust: string; crl?: string }, leaf: { pem: string | null }) {
  return openssl(
    ['verify', '-crl_check_all', '-purpose', 'sslclient', '-CAfile', 'anchor.pem'].concat([
      ...['-CRLfile', 'crl.pem'],
      'leaf.pem',
    ]),
    { 'anchor.pem': trust, 'crl.pem': crl, 'leaf.pem': leaf.pem ?? '' },
  )
}

test('gateways get lists only once a client is revoked, each tenant’s its own', async () => {
  const [good, gone, theirs] = [await client(), await client(), await rivals()]
  assert.equal((await gatewayTrust(ctx, all)).crl, undefined)
  await revoke(ctx, await issueOne(ctx))
  await publish()
  assert.equal((await gatewayTrust(ctx, all)).crl, undefined, 'a server is none')
  await revoke(ctx, gone)
  await publish()
  assert.equal(
    (await gatewayTrust(ctx, rival)).crl,
    undefined,
    'another tenant’s is none of theirs',
  )
  for (const whose of [own, all]) {
    const given = await gatewayTrust(ctx, whose)
    assert.match(check(given, good), /leaf\.pem: OK/)
    assert.throws(() => check(given, gone), /certificate revoked/)
  }
  const [ofAuthorities, ofTenant, ...more] = await lists(await gatewayTrust(ctx, own))
  assert.equal(more.length, 0)
  assert.equal(ofAuthorities?.only, 'authorities')
  assert.deepEqual(
    ofTenant?.entries.map(({ serial }) => serial),
    [gone.serial],
    'no server, and nobody else',
  )
  // What others revoke makes it no longer.
  await revokeCertificate(ctx, admin, { tenant: 'rival', id: theirs.id, reason: 'unspecified' })
  await publish()
  const after = await lists(await gatewayTrust(ctx, own))
  assert.deepEqual(after.at(-1)?.entries.length, 1)
  await assert.rejects(
    gatewayTrust(ctx, { ...all, authority: 'nobody' }),
    isProblem('authority-unknown'),
  )
})

test('clients that were issued to before tenants had lists are found on those that they name', async () => {
  const { crlShard } = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'example' } })
  const take = (shard: number) =>
    ctx.db.statement(`update tenant set "crlShard" = $1 where name = 'example'`, [shard])
  await ctx.db.statement(`alter table tenant drop constraint "tenant_crlShard_check"`, [])
  await take(2)
  const [good, gone] = [await client(), await client()]
  await take(crlShard)
  await revoke(ctx, gone)
  await publish()
  const given = await gatewayTrust(ctx, own)
  assert.equal((await lists(given)).length, 3)
  for (const each of [good, await client()]) assert.match(check(given, each), /leaf\.pem: OK/)
  assert.throws(() => check(given, gone), /certificate revoked/)
})

test('a refusal list refuses every client, and says the same whoever makes it', async () => {
  const { trust } = await gatewayTrust(ctx, all)
  const [anchor = Buffer.alloc(0)] = readPem(trust, 'CERTIFICATE')
  const refusal = await refusalList(anchor)
  assert.deepEqual(refusal, await refusalList(anchor))
  const good = await client()
  assert.match(check(await gatewayTrust(ctx, own), good), /OK/)
  assert.throws(() => check({ trust, crl: toPem('X509 CRL', refusal) }, good), /CRL has expired/)
})

/** As if so many of the tenant's clients had been revoked by the one who asks. */
async function revokeMany(tenant: string, from: number, count: number): Promise<void> {
  await ctx.db.statement(
    `insert into certificate ("id", "tenantId", "authorityId", "issuerId", "profile", "status", "serial",
      "subject", "keyAlgorithm", "spkiSha256", "keySource", "notBefore", "notAfter", "cause", "createdAt",
      "crlShard", "revokedAt", "revocationReason", "der", "fingerprintSha256")
    select gen_random_uuid(), tenant.id, authority.id, issuer.id, 'client', 'revoked',
      '4' || lpad(to_hex(each), 31, '0'), '{}', 'ECDSA_P256', 'x', 'server', now(), now() + interval '30 days',
      'requested', now(), tenant."crlShard", now() - interval '1 minute', 'superseded', '\\x00', 'x'
    from generate_series($2::int, $2::int + $3::int - 1) as each, tenant, authority
    join issuer on issuer."authorityId" = authority.id and issuer.issues
    where tenant.name = $1 and authority.name = 'issuing'`,
    [tenant, from, count],
  )
  await ctx.db.statement(
    `update revocation_list set revision = revision + 1 where shard = 0
      or shard = (select "crlShard" from tenant where name = $1)`,
    [tenant],
  )
  await publish()
}

const actions = async () =>
  (
    await ctx.db.read.$queryRaw<readonly { action: string }[]>(sql`
      select action from audit_event where action like 'authority.list-%' order by seq`)
  ).map(({ action }) => action)
const fullLists = async () => (await getAuthority(ctx, admin, 'issuing')).fullLists

/** As if a MUTUAL host of the tenant let in clients of `issuing`. */
async function hold(tenant: string): Promise<void> {
  await ctx.db.statement(
    `with one as (
      insert into cluster ("id", "name", "server", "ingressNamespace", "ingressSelector", "ingressAddress", "status", "createdAt", "updatedAt")
      values (gen_random_uuid(), 'one', 'https://one.test', 'i', '{}', '127.0.0.1:1', 'Ready', now(), now()) returning id
    ), host as (
      insert into host ("id", "tenantId", "name", "spec", "generation", "createdAt", "updatedAt")
      select gen_random_uuid(), id, 'm.example.com',
        '{"tls": {"mode": "MUTUAL", "clientAuthority": "issuing", "clients": "tenant"}}', 1, now(), now()
      from tenant where name = $1 returning *
    )
    insert into placement ("id", "tenantId", "hostId", "clusterId", "name", "wanted", "status", "since")
    select gen_random_uuid(), host."tenantId", host.id, one.id, host.name, true, 'Pending', now() from host, one`,
    [tenant],
  )
}

test('a list that outgrows its Secret is told of well before, and then refuses, or keeps the last that fitted', async () => {
  await hold('example')
  const good = await client()
  await revokeMany('example', 0, 12_000)
  assert.deepEqual(await actions(), ['authority.list-near'])
  const [near, ...others] = await fullLists()
  assert.equal(others.length, 0)
  assert.deepEqual([near?.state, near?.tenant], ['near', 'example'])
  assert.match(near?.message ?? '', /12\d\d\d revoked clients of "issuing" .* fill 7\d %.*Rotate/)
  assert.match(check(await gatewayTrust(ctx, own), good), /OK/)
  const fitted = await gatewayTrust(ctx, own)
  await revokeMany('example', 12_000, 6_000)
  assert.deepEqual(await actions(), ['authority.list-near', 'authority.list-over'])
  const refusing = await gatewayTrust(ctx, own)
  assert.deepEqual(refusing.lists.keys, ['refused'])
  assert.ok((refusing.crl ?? '').length < 2000)
  assert.throws(() => check(refusing, good), /CRL has expired/)
  // Nobody else has to do with it.
  const theirs = await rivals()
  await revokeCertificate(ctx, admin, { tenant: 'rival', id: theirs.id, reason: 'superseded' })
  await publish()
  assert.match(check(await gatewayTrust(ctx, rival), await rivals()), /OK/)
  await changeAuthority(ctx, admin, { name: 'issuing', patch: { listOverflow: 'tell' } })
  const telling = await gatewayTrust(ctx, own)
  assert.deepEqual(telling.lists.keys, ['earlier'])
  assert.equal(telling.crl, fitted.crl)
  assert.match(check(telling, good), /OK/)
  // It stays the last one that fitted, however often the list is made anew, and until it ends.
  await revokeMany('example', 18_000, 1)
  assert.equal((await gatewayTrust(ctx, own)).crl, fitted.crl)
  const later = { ...ctx, now: () => new Date(Date.now() + 8 * 86_400_000) }
  assert.deepEqual((await gatewayTrust(later, own)).lists.keys, ['refused'])
  // A new key begins with an empty list; what of the old one has no room refuses its clients alone.
  await changeAuthority(ctx, admin, { name: 'issuing', patch: { listOverflow: 'refuse' } })
  await rotateAuthority(ctx, admin, { authority: 'issuing', request: {} })
  const rotating = await gatewayTrust(ctx, own)
  assert.deepEqual(rotating.lists.keys, ['refused', 'whole'])
  // As the end of those certificates comes, the list fits again.
  await ctx.db.statement(
    `update certificate set "notAfter" = now() - interval '3 hours' where "spkiSha256" = 'x'`,
    [],
  )
  await revokeMany('example', 18_001, 1)
  assert.deepEqual(await actions(), [
    'authority.list-near',
    'authority.list-over',
    'authority.list-fits',
  ])
  assert.deepEqual(await fullLists(), [])
})

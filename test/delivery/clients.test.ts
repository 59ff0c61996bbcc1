import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
import { getAuthority } from '../../src/authorities/find.ts'
import { importAuthority } from '../../src/authorities/import.ts'
import { crossSign } from '../../src/authorities/issuers/crosssign.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { openLeafKey } from '../../src/certificates/issuance/key.ts'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { objectName } from '../../src/delivery/istio/names.ts'
import { planHost } from '../../src/delivery/preview/hostplan.ts'
import { shakeHands } from '../../src/delivery/proof/handshake.ts'
import type { HostSpec } from '../../src/hosts/host.ts'
import { resyncPlacements } from '../../src/jobs/resync.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { toPem } from '../../src/x509/der/pem.ts'
import { jobs } from '../authorities/support.ts'
import { admin } from '../support/context.ts'
import { openssl } from '../support/openssl.ts'
import { fieldsOf, isProblem } from '../support/problem.ts'
import { httpbin, openStage, placementOf, put, read, work } from './support.ts'

const { ctx, kube, address } = await openStage()
await createTenant(ctx, admin, {
  name: 'rival',
  domains: ['rival.test'],
  defaultAuthority: 'house',
})
const tenant = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'shop' } })
const uri = `urn:uuid:${tenant.id}`

async function client(
  of: string,
  authority = 'house',
  keyAlgorithm: 'ECDSA_P256' | 'RSA_2048' | 'ED25519' = 'ECDSA_P256',
) {
  const subject = { commonName: 'laptop' }
  const asked = { profile: 'client', subject, authority, keyAlgorithm } as const
  const { id, pem } = await issueCertificate(ctx, admin, {
    tenant: of,
    request: asked,
    idempotencyKey: undefined,
  })
  return { cert: pem ?? '', key: toPem('PRIVATE KEY', await openLeafKey(ctx, id)) }
}

async function isServed(name: string, shown: { cert: string; key: string }): Promise<boolean> {
  const { status } = await shakeHands({ address, name, path: '/status/418', client: shown })
  return status === 418
}

async function serve(name: string, tls: NonNullable<HostSpec['tls']>) {
  await put(ctx, name, { tls: { mode: 'MUTUAL', ...tls } })
  const host = await work(ctx, name)
  assert.deepEqual(
    host.status.clusters.map(({ status, message }) => [status, message]),
    [['Synced', null]],
  )
  return host
}

async function subjectAltNames(name: string): Promise<string | undefined> {
  const found = await kube.get({
    ...kinds.istioGateway,
    namespace: 'istio-system',
    name: objectName(name),
  })
  return /"subjectAltNames":(\[[^\]]*\])/.exec(JSON.stringify(found))?.[1]
}

test('under a shared authority a host lets in its own tenant’s clients and no other’s', async () => {
  const name = 'own.shop.test'
  const { tls, status } = await serve(name, {})
  assert.deepEqual([tls.clientAuthority, tls.clients], ['house', 'tenant'])
  assert.deepEqual(status.clients, { authority: 'house', tenant: 'shop', subjectAltName: uri })
  assert.deepEqual(status.warnings, [])
  assert.equal(await subjectAltNames(name), JSON.stringify([uri]))
  assert.equal(await isServed(name, await client('shop')), true)
  assert.equal(await isServed(name, await client('rival')), false)
})

test('who asks for more in so many words gets it, and is told who that is', async () => {
  const name = 'wide.shop.test'
  const { status } = await serve(name, { clients: 'authority' })
  assert.deepEqual(status.clients, { authority: 'house', tenant: null, subjectAltName: null })
  assert.match(status.warnings.join(), /certificate of "house".*whichever tenant/)
  for (const each of ['shop', 'rival']) assert.ok(await isServed(name, await client(each)), each)
  const narrowed = await serve(name, {})
  assert.equal(narrowed.status.clients?.tenant, 'shop')
  assert.equal(await isServed(name, await client('rival')), false)
})

test('an authority of the tenant’s own needs no more, until another may issue below it', async () => {
  const subject = { commonName: 'own' }
  await createAuthority(ctx, admin, { name: 'shop-ca', kind: 'root', subject, tenant: 'shop' })
  const name = 'alone.shop.test'
  const { status } = await serve(name, { clientAuthority: 'shop-ca' })
  assert.deepEqual(status.clients, { authority: 'shop-ca', tenant: 'shop', subjectAltName: null })
  assert.equal(await subjectAltNames(name), undefined)
  assert.ok(await isServed(name, await client('shop', 'shop-ca')))
  await ctx.db.statement(
    `select graphile_worker.remove_job(key) from graphile_worker.jobs where key is not null`,
    [],
  )
  const below = { kind: 'intermediate', parent: 'shop-ca', subject } as const
  await createAuthority(ctx, admin, { ...below, name: 'shop-below' })
  const { row } = await placementOf(ctx, name)
  const keys = await jobs(ctx, 'placement.push')
  assert.ok(keys.includes(`placement.push/${row.id}/${row.clusterId}`), keys.join())
  const shared = await work(ctx, name)
  assert.equal(shared.status.clients?.subjectAltName, uri)
  assert.equal(await subjectAltNames(name), JSON.stringify([uri]))
})

test('an authority that others’ was cross-signed by tells its tenant’s clients from theirs', async () => {
  const name = 'crossed.shop.test'
  const subject = { commonName: 'crossing' }
  await createAuthority(ctx, admin, { name: 'crossing', kind: 'root', subject, tenant: 'shop' })
  const { status } = await serve(name, { clientAuthority: 'crossing' })
  assert.equal(status.clients?.subjectAltName, null)
  await ctx.db.statement(
    `select graphile_worker.remove_job(key) from graphile_worker.jobs where key is not null`,
    [],
  )
  const { pem } = await crossSign(ctx, admin, { authority: 'house', by: 'crossing' })
  const rival = await client('rival')
  const crossed = { ...rival, cert: `${rival.cert}${pem}` }
  assert.equal(await isServed(name, crossed), true, 'it leads there')
  const { row } = await placementOf(ctx, name)
  const keys = await jobs(ctx, 'placement.push')
  assert.ok(keys.includes(`placement.push/${row.id}/${row.clusterId}`), keys.join())
  const told = await work(ctx, name)
  assert.deepEqual(told.status.clients, {
    authority: 'crossing',
    tenant: 'shop',
    subjectAltName: uri,
  })
  assert.equal(await isServed(name, crossed), false)
  assert.ok(await isServed(name, await client('shop', 'crossing')))
})

test('clients that cannot say whose they are take so many words', async () => {
  const key = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
  const args = ['req', '-x509', '-key', 'k.pem', '-subj', '/CN=elsewhere', '-days', '30']
  const certificate = openssl(args, { 'k.pem': key })
  await importAuthority(ctx, admin, { name: 'elsewhere', certificate })
  const nameConstraints = { permitted: { uriHosts: ['.shop.test'] } }
  const subject = { commonName: 'narrow' }
  await createAuthority(ctx, admin, { name: 'narrow', kind: 'root', subject, nameConstraints })
  for (const clientAuthority of ['elsewhere', 'narrow']) {
    const tls = { mode: 'MUTUAL', clientAuthority } as const
    const name = `${clientAuthority}.shop.test`
    assert.deepEqual(await fieldsOf('host-refused', put(ctx, name, { tls })), ['/tls/clients'])
    const { host } = await put(ctx, name, { tls: { ...tls, clients: 'authority' } })
    assert.equal(host.status.clients?.tenant, null)
  }
  assert.equal((await getAuthority(ctx, admin, 'elsewhere')).keyHeld, false)
})

test('an authority whose key is elsewhere, below a shared one, could name any tenant', async () => {
  await createAuthority(ctx, admin, { name: 'hub', kind: 'root', subject: { commonName: 'hub' } })
  const tls = { mode: 'MUTUAL', clientAuthority: 'hub' } as const
  const name = 'hub.shop.test'
  const { host } = await put(ctx, name, { tls })
  assert.deepEqual([host.status.clients?.tenant, host.status.warnings], ['shop', []])
  // As if it had been imported without its key.
  const below = { name: 'partner', kind: 'intermediate', parent: 'hub' } as const
  await createAuthority(ctx, admin, { ...below, subject: { commonName: 'partner' } })
  await ctx.db.statement(
    `update authority_key set store = 'absent' where id in (select "keyId" from issuer
      join authority on authority.id = issuer."authorityId" where name = $1)`,
    ['partner'],
  )
  const { status } = await read(ctx, name)
  assert.equal(status.clients?.tenant, null)
  assert.match(status.warnings.join(), /issued elsewhere/)
  const again = put(ctx, 'more.shop.test', { tls })
  assert.deepEqual(await fieldsOf('host-refused', again), ['/tls/clients'])
  // As if everything of it had ended, and it had been removed.
  await ctx.db.statement(`update authority set "removedAt" = now() where name = $1`, ['partner'])
  assert.equal((await read(ctx, name)).status.clients?.tenant, 'shop')
})

test('a client with an Ed25519 key is refused, as by Envoy, and the host of its tenant says so', async () => {
  const subject = { commonName: 'modern' }
  await createAuthority(ctx, admin, { name: 'modern', kind: 'root', subject })
  const below = { name: 'modern-below', kind: 'intermediate', parent: 'modern', subject } as const
  await createAuthority(ctx, admin, below)
  const name = 'modern.shop.test'
  const tls = { clientAuthority: 'modern' }
  const warned = async () => (await serve(name, tls)).status.clusters[0]?.warnings ?? []
  assert.ok(await isServed((await serve(name, tls)).name, await client('shop', 'modern')))
  assert.ok(await isServed(name, await client('shop', 'modern', 'RSA_2048')))
  await client('rival', 'modern', 'ED25519')
  assert.deepEqual(await warned(), [], 'of others nothing is said')
  for (const authority of ['modern', 'modern-below']) {
    assert.equal(await isServed(name, await client('shop', authority, 'ED25519')), false)
  }
  const [warning, ...more] = await warned()
  assert.deepEqual(more, [])
  assert.match(warning ?? '', /serial [0-9a-f]+ and 1 more has an Ed25519 key, and is refused/)
})

test('under a wildcard no client is trusted to have been asked before the wildcard asks', async () => {
  const [wide, narrow] = ['*.w.shop.test', 'a.w.shop.test']
  await put(ctx, wide)
  await work(ctx, wide)
  await put(ctx, wide, { tls: { mode: 'MUTUAL' } })
  const early = put(ctx, narrow, { tls: { mode: 'MUTUAL' } })
  await assert.rejects(early, isProblem('host-conflict'))
  await serve(wide, {})
  await serve(narrow, {})
})

test('a plan says what would become of the Gateway', async () => {
  const name = 'own.shop.test'
  await serve(name, {})
  const spec: HostSpec = {
    tls: { mode: 'MUTUAL', clients: 'authority' },
    routes: [{ to: httpbin }],
    clusters: ['sandbox'],
  }
  const { clusters } = await planHost(ctx, admin, { tenant: 'shop', name, asked: { spec } })
  const gateway = clusters[0]?.changes.find(({ kind }) => kind === 'Gateway')
  assert.equal(gateway?.action, 'update')
})

test('hosts of before let in their own tenant only once they are migrated, and are pushed', async () => {
  const name = 'before.shop.test'
  await serve(name, { clients: 'authority' })
  const [old, before] = [await client('rival'), await read(ctx, name)]
  assert.ok(await isServed(name, old))
  const script = await readFile(
    new URL(
      '../../prisma/migrations/20261126014100_clients_of_tenants/migration.sql',
      import.meta.url,
    ),
    'utf8',
  )
  await ctx.db.statement(`update host set spec = spec #- '{tls,clients}' where name = $1`, [name])
  for (const statement of script.split(/;\n/).filter((each) => each.trim() !== '')) {
    await ctx.db.statement(statement, [])
  }
  const migrated = await read(ctx, name)
  assert.equal(migrated.tls.clients, 'tenant')
  assert.equal(migrated.generation, before.generation + 1)
  assert.equal(migrated.status.clusters[0]?.status, 'Pending')
  assert.ok((await resyncPlacements(ctx)) > 0)
  await work(ctx, name)
  assert.equal(await isServed(name, old), false)
  assert.ok(await isServed(name, await client('shop')))
  const keyless = await read(ctx, 'elsewhere.shop.test')
  assert.equal(keyless.tls.clients, 'authority')
})

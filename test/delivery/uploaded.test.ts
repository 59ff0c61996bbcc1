import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blockKey, unblockKey } from '../../src/authorities/keys/blocked.ts'
import { getCertificate } from '../../src/certificates/find.ts'
import { renewCertificate } from '../../src/certificates/renewal/renew.ts'
import { revokeBlocked, sweepBlocked } from '../../src/certificates/revocation/blocked.ts'
import { removeUpload } from '../../src/certificates/uploads/remove.ts'
import { uploadCertificate } from '../../src/certificates/uploads/take.ts'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { objectName } from '../../src/delivery/istio/names.ts'
import { probeHost } from '../../src/delivery/proof/probe.ts'
import { putDelivery } from '../../src/delivery/secrets/put.ts'
import { Problem } from '../../src/shared/problem.ts'
import { type Foreign, foreign } from '../authorities/foreign.ts'
import { leafFor, openElsewhere, sentOf } from '../certificates/uploads/elsewhere.ts'
import { admin } from '../support/context.ts'
import { fieldsOf, isProblem } from '../support/problem.ts'
import { openStage, put, read, work } from './support.ts'

const { ctx, kube } = await openStage()
const { root, between } = await openElsewhere()

async function upload(leaf: Foreign, replaces?: string) {
  const request = {
    ...sentOf(leaf, between, root),
    ...(replaces === undefined ? {} : { replaces }),
  }
  return (await uploadCertificate(ctx, admin, { tenant: 'shop', request })).certificate
}

async function uploaded(names: readonly string[], replaces?: string) {
  return upload(await leafFor(between, names), replaces)
}

async function probe(name: string) {
  const { results } = await probeHost(ctx, admin, { tenant: 'shop', name, asked: {} })
  const [first] = results
  assert.ok(first)
  return first
}

test('a SIMPLE host serves an uploaded certificate, with its chain and without its root', async () => {
  const name = 'simple.shop.test'
  const certificate = await uploaded([name])
  await put(ctx, name, { certificate: { uploaded: certificate.id } })
  const host = await work(ctx, name)
  const [placement] = host.status.clusters
  assert.deepEqual([placement?.status, placement?.message], ['Synced', null])
  assert.deepEqual(host.certificate, { uploaded: certificate.id })
  assert.equal(host.status.certificate?.id, certificate.id)
  assert.match(placement?.warnings.join() ?? '', /root that browsers do not know/)
  const { tls, asExpected } = await probe(name)
  assert.equal(tls?.served.fingerprintSha256, certificate.fingerprintSha256)
  assert.deepEqual([tls?.trusted, tls?.served.chainLength, asExpected], [true, 2, true])
})

test('nothing is issued for it, and nothing renews it', async () => {
  const name = 'alone.shop.test'
  const certificate = await uploaded([name])
  await put(ctx, name, { certificate: { uploaded: certificate.id } })
  await work(ctx, name)
  await work(ctx, name)
  const made = { where: { tenant: { name: 'shop' }, dnsNames: { has: name } } }
  assert.equal(await ctx.db.read.certificate.count(made), 1)
  await assert.rejects(
    renewCertificate(ctx, admin, {
      ...{ tenant: 'shop', id: certificate.id, csr: undefined, idempotencyKey: undefined },
    }),
    isProblem('certificate-uploaded'),
  )
})

test('a MUTUAL host lets in clients of a private authority beside it', async () => {
  const name = 'mutual.shop.test'
  const certificate = await uploaded([name])
  await put(ctx, name, {
    tls: { mode: 'MUTUAL', clientAuthority: 'house' },
    certificate: { uploaded: certificate.id },
  })
  const host = await work(ctx, name)
  assert.deepEqual(
    host.status.clusters.map(({ status, message }) => [status, message]),
    [['Synced', null]],
  )
  assert.equal(host.status.clients?.authority, 'house')
  const { checks, asExpected } = await probe(name)
  assert.ok(asExpected, JSON.stringify(checks))
})

test('a PASSTHROUGH host hands its workload the uploaded certificate', async () => {
  const name = 'through.shop.test'
  const certificate = await uploaded([name])
  await put(ctx, name, {
    tls: { mode: 'PASSTHROUGH' },
    certificate: { uploaded: certificate.id, secretName: 'through-tls' },
    routes: [{ to: { service: 'nginx', namespace: 'test', port: 443 } }],
  })
  await work(ctx, name)
  const found = await kube.get({ ...kinds.secret, namespace: 'test', name: 'through-tls' })
  const { data } = Object(found)
  const chain = Buffer.from(String(data['tls.crt']), 'base64').toString()
  assert.equal(chain, `${certificate.pem}${certificate.chainPem}`)
})

test('aliases are covered too, or the host is refused', async () => {
  const name = 'named.shop.test'
  const certificate = await uploaded(['*.shop.test'])
  const aliases = ['other.shop.test']
  await put(ctx, name, { aliases, certificate: { uploaded: certificate.id } })
  const host = await work(ctx, name)
  assert.equal(host.status.clusters[0]?.status, 'Synced')
  const fields = await fieldsOf(
    'host-refused',
    put(ctx, 'a.b.shop.test', { certificate: { uploaded: certificate.id } }),
  )
  assert.deepEqual(fields, ['/certificate/uploaded'])
})

test('what its CA has decided is not said again', async () => {
  const name = 'said.shop.test'
  const { id } = await uploaded([name])
  const certificate = {
    ...{ uploaded: id, authority: 'house', keyAlgorithm: 'RSA_2048' as const },
    ...{ validityDays: 10, organization: 'shop' },
  }
  const fields = await fieldsOf('host-refused', put(ctx, name, { certificate }))
  assert.deepEqual(
    fields.toSorted(),
    ['authority', 'keyAlgorithm', 'organization', 'validityDays'].map(
      (field) => `/certificate/${field}`,
    ),
  )
})

test('an issued certificate, another tenant’s and none are not uploaded ones', async () => {
  const name = 'unknown.shop.test'
  await put(ctx, name)
  const { status } = await work(ctx, name)
  for (const uploaded of [status.certificate?.id ?? '', '00000000-0000-7000-8000-000000000000']) {
    const refused = put(ctx, name, { certificate: { uploaded } })
    assert.deepEqual(await fieldsOf('host-refused', refused), ['/certificate/uploaded'])
  }
})

test('a successor takes the place: hosts that name the one before serve the new one', async () => {
  const name = 'moved.shop.test'
  const first = await uploaded([name])
  await put(ctx, name, { certificate: { uploaded: first.id } })
  await work(ctx, name)
  const second = await uploaded([name], first.id)
  assert.equal(second.replaces, first.id)
  const due = await ctx.db.read.$queryRawUnsafe<readonly unknown[]>(
    `select 1 from graphile_worker.jobs where task_identifier = 'host.certify'`,
  )
  assert.ok(due.length > 0)
  const moved = await work(ctx, name)
  assert.equal(moved.status.certificate?.id, second.id)
  assert.deepEqual(moved.certificate, { uploaded: first.id })
  assert.equal(moved.status.clusters[0]?.status, 'Synced')
  assert.equal((await probe(name)).tls?.served.serial, second.serial)
  // And the next one, which takes its place in turn.
  const third = await uploaded([name], second.id)
  assert.equal((await work(ctx, name)).status.certificate?.id, third.id)
  // One place is taken once.
  await assert.rejects(uploaded([name], first.id), isProblem('certificate-replaced'))
})

test('a successor that could not serve the hosts of the one before is refused', async () => {
  const name = 'narrow.shop.test'
  const first = await uploaded([name])
  await put(ctx, name, { certificate: { uploaded: first.id } })
  await work(ctx, name)
  await assert.rejects(
    uploaded(['another.shop.test'], first.id),
    (error) =>
      error instanceof Problem &&
      error.type === 'certificate-refused' &&
      /The host narrow\.shop\.test: .* is not for narrow\.shop\.test/.test(error.message),
  )
  assert.equal((await read(ctx, name)).status.certificate?.id, first.id)
})

test('it is removed only when no host names it or has it', async () => {
  const name = 'held.shop.test'
  const first = await uploaded([name])
  await put(ctx, name, { certificate: { uploaded: first.id } })
  const remove = (id: string) => removeUpload(ctx, admin, { tenant: 'shop', id })
  await assert.rejects(remove(first.id), isProblem('certificate-in-use'))
  await work(ctx, name)
  const second = await uploaded([name], first.id)
  await work(ctx, name)
  // The host names the first, and has the second.
  await assert.rejects(remove(first.id), isProblem('certificate-in-use'))
  await assert.rejects(remove(second.id), isProblem('certificate-in-use'))
  await put(ctx, name, { certificate: { uploaded: second.id } })
  await work(ctx, name)
  await remove(first.id)
  assert.equal((await read(ctx, name)).status.certificate?.id, second.id)
})

test('a host goes over to an uploaded certificate and back, without losing its name', async () => {
  const name = 'over.shop.test'
  await put(ctx, name)
  const issued = await work(ctx, name)
  const certificate = await uploaded([name])
  await put(ctx, name, { certificate: { uploaded: certificate.id } })
  const over = await work(ctx, name)
  assert.equal(over.status.certificate?.id, certificate.id)
  assert.equal(over.status.clusters[0]?.status, 'Synced')
  const before = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id: issued.status.certificate?.id ?? '' },
  })
  assert.equal(before.autoRenew, false)
  await put(ctx, name)
  const back = await work(ctx, name)
  const now = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id: back.status.certificate?.id ?? '' },
  })
  assert.deepEqual([now.uploaded, now.replacesId], ['', null])
  assert.equal(back.status.clusters[0]?.status, 'Synced')
})

test('one that has ended is said on its host, which goes on serving it', async () => {
  const name = 'ended.shop.test'
  const certificate = await upload(await leafFor(between, [name], { days: 0.0001 }))
  await put(ctx, name, { certificate: { uploaded: certificate.id } })
  await work(ctx, name)
  const later = { ...ctx, now: () => new Date(Date.now() + 60_000) }
  const host = await work(later, name)
  const [placement] = host.status.clusters
  assert.notEqual(placement?.status, 'Synced')
  assert.match(placement?.message ?? '', /ended at/)
  assert.equal(host.status.certificate?.id, certificate.id)
  await assert.rejects(
    put(later, name, { certificate: { uploaded: certificate.id }, http: 'off' }),
    isProblem('host-refused'),
  )
  const own = { ...kinds.secret, namespace: 'istio-system', name: objectName(name) }
  assert.ok(await kube.get(own))
})

const chainOf = async (name: string) => {
  const secret = { ...kinds.secret, namespace: 'istio-system', name: objectName(name) }
  const found = Object(await kube.get(secret))
  return Buffer.from(String(found.data?.['tls.crt']), 'base64').toString()
}

test('the same certificate with another chain is served with that one from then on', async () => {
  const name = 'rechained.shop.test'
  const old = await openElsewhere('Old')
  const leaf = await leafFor(between, [name])
  // The same CA, certified by another root: two ways up.
  const cross = await foreign({ name: 'Elsewhere CA 1', issuer: old.root, key: between.keys })
  const send = (...above: readonly Foreign[]) =>
    uploadCertificate(ctx, admin, { tenant: 'shop', request: sentOf(leaf, ...above) })
  const first = (await send(cross, old.root)).certificate
  assert.equal(first.upload?.root, 'CN=Old Root')
  await put(ctx, name, { certificate: { uploaded: first.id } })
  await work(ctx, name)
  assert.equal(await chainOf(name), leaf.pem + cross.pem)
  const again = await send(between, root)
  assert.deepEqual([again.created, again.certificate.id], [false, first.id])
  assert.equal(again.certificate.chainPem, between.pem)
  assert.equal((await read(ctx, name)).status.clusters[0]?.status, 'Pending')
  const host = await work(ctx, name)
  assert.equal(host.status.clusters[0]?.status, 'Synced')
  assert.equal(await chainOf(name), leaf.pem + between.pem)
  // Once more changes nothing.
  await send(between, root)
  assert.equal((await read(ctx, name)).status.clusters[0]?.status, 'Synced')
  const said = { where: { action: 'certificate.changed', subjectId: first.id } }
  assert.equal(await ctx.db.read.auditEvent.count(said), 1)
})

test('where the key of an uploaded certificate is blocked its host serves on, and says so until another is there', async () => {
  const name = 'known.shop.test'
  const leaf = await leafFor(between, [name, 'other.shop.test'])
  const first = await upload(leaf)
  const certificate = { uploaded: first.id }
  await put(ctx, name, { certificate })
  await work(ctx, name)
  await blockKey(ctx, admin, { pem: leaf.pem, reason: 'found in a public repository' })
  const { spkiSha256 } = await ctx.db.read.certificate.findUniqueOrThrow({
    where: { id: first.id },
  })
  await revokeBlocked(ctx, spkiSha256)
  const asked = { tenant: 'shop', id: first.id }
  const told = await getCertificate(ctx, admin, asked)
  assert.match(told.renewal.lastError ?? '', /blocked since .* upload a successor with another key/)
  assert.deepEqual([told.status, told.renewal.attempts], ['active', 1])
  // The host may still be changed, and what is wrong stays said.
  await put(ctx, name, { certificate, http: 'serve' })
  const host = await work(ctx, name)
  assert.equal(host.status.clusters[0]?.status, 'Synced')
  assert.match(host.status.clusters[0]?.warnings.join() ?? '', /key .* is blocked since/)
  assert.equal((await getCertificate(ctx, admin, asked)).renewal.attempts, 1)
  await revokeBlocked(ctx, spkiSha256)
  assert.equal((await getCertificate(ctx, admin, asked)).renewal.attempts, 1)
  // No other host begins to use it.
  const refused = put(ctx, 'other.shop.test', { certificate })
  assert.deepEqual(await fieldsOf('host-refused', refused), ['/certificate/uploaded'])
  const delivery = putDelivery(ctx, admin, {
    ...{ tenant: 'shop', name: 'known' },
    spec: {
      ...{ certificate: first.id, clusters: ['sandbox'] },
      secret: { name: 'known', namespace: 'test' },
    },
  })
  assert.deepEqual(await fieldsOf('delivery-refused', delivery), ['/certificate'])
  // A successor with the same key is none; one with another key is, and then nothing is wrong any more.
  await assert.rejects(upload(leaf, first.id), isProblem('certificate-refused'))
  const second = await uploaded([name], first.id)
  const after = await work(ctx, name)
  assert.equal(after.status.certificate?.id, second.id)
  assert.doesNotMatch(after.status.clusters[0]?.warnings.join() ?? '', /blocked/)
  assert.equal((await getCertificate(ctx, admin, asked)).renewal.attempts, 0)
  await revokeBlocked(ctx, spkiSha256)
  assert.equal((await getCertificate(ctx, admin, asked)).renewal.attempts, 0)
})

test('what was said of a blocked key is taken back with the block', async () => {
  const name = 'unblocked.shop.test'
  const leaf = await leafFor(between, [name])
  const { id } = await upload(leaf)
  const { spkiSha256 } = await blockKey(ctx, admin, { pem: leaf.pem, reason: 'by mistake' })
  assert.equal(await sweepBlocked(ctx), 1)
  await revokeBlocked(ctx, spkiSha256)
  assert.equal(await sweepBlocked(ctx), 0)
  await unblockKey(ctx, admin, spkiSha256)
  await revokeBlocked(ctx, spkiSha256)
  const { renewal } = await getCertificate(ctx, admin, { tenant: 'shop', id })
  assert.deepEqual([renewal.attempts, renewal.lastError], [0, null])
  await put(ctx, name, { certificate: { uploaded: id } })
  assert.equal((await work(ctx, name)).status.clusters[0]?.status, 'Synced')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { importAuthority } from '../../../src/authorities/import.ts'
import { listCertificates } from '../../../src/certificates/find.ts'
import { probeCredential } from '../../../src/certificates/hosts/probing.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { renewCertificate } from '../../../src/certificates/renewal/renew.ts'
import { revokeCertificate } from '../../../src/certificates/revocation/revoke.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { changeCluster } from '../../../src/clusters/register.ts'
import { sql } from '../../../src/core/database/db.ts'
import { applySteps } from '../../../src/delivery/apply.ts'
import { refOf } from '../../../src/delivery/plan.ts'
import { lookAtPlacement } from '../../../src/delivery/push.ts'
import { lookAgain } from '../../../src/jobs/resync.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { readPem, toPem } from '../../../src/x509/der/pem.ts'
import { issue as makePair } from '../../sandbox/pki.ts'
import { admin } from '../../support/context.ts'
import { isProblem } from '../../support/problem.ts'
import { asManager } from '../drift/support.ts'
import { confirm, openStage, placementOf, put, work } from '../support.ts'

const { ctx, kube, sandbox } = await openStage()
const namespace = 'istio-system'
const day = 86_400_000

/** The same service so much later; what it asks over the network is asked now. */
const later = (milliseconds: number) => ({
  ...ctx,
  now: () => new Date(Date.now() + milliseconds),
})

/** Looks again at a host, as the job does; answers how it stands then. */
async function look(name: string, context = ctx) {
  const { row } = await placementOf(ctx, name)
  await lookAtPlacement(context, { placementId: row.id })
  await confirm(context, row.id)
  const { shown } = await placementOf(ctx, name)
  return { status: shown.status, message: shown.message ?? '', warnings: shown.warnings }
}

async function synced(name: string) {
  const [placement] = (await work(ctx, name)).status.clusters
  assert.deepEqual([placement?.status, placement?.message], ['Synced', null])
  return placement
}

function authority(name: string, more = {}) {
  const subject = { commonName: name }
  return createAuthority(ctx, admin, { name, kind: 'root', subject, ...more })
}

const probes = () => ctx.db.read.certificate.findMany({ where: { cause: 'probe' } })

test('a MUTUAL host is proved by a certificate that is recorded, short-lived and never kept', async () => {
  const names = ['one.shop.test', 'two.shop.test', 'three.shop.test']
  for (const name of names) {
    await put(ctx, name, { tls: { mode: 'MUTUAL' } })
    assert.ok((await synced(name))?.provedAt)
  }
  const [probe, ...more] = await probes()
  assert.ok(probe)
  assert.deepEqual(more, [], 'one for all hosts of a tenant and an authority')
  assert.deepEqual([probe.status, probe.profile, probe.autoRenew], ['active', 'client', false])
  assert.equal(probe.notAfter.getTime() + 1000 - probe.notBefore.getTime(), 30 * 60_000)
  const where = { certificateId: probe.id }
  assert.equal(await ctx.db.read.certificateSecret.count({ where }), 0)
  const told = { action: 'certificate.issued', subjectId: probe.id }
  const event = await ctx.db.read.auditEvent.findFirstOrThrow({ where: told })
  assert.equal(event.actorName, 'placement.prove')
  // It floods no list, nobody is told of its end, and nobody renews it.
  const tenant = 'shop'
  for (const filter of [{}, { expiringWithin: 'P1D' }, { status: 'active' } as const]) {
    const { items } = await listCertificates(ctx, admin, { tenant, ...filter })
    assert.deepEqual(
      items.filter(({ id }) => id === probe.id),
      [],
    )
  }
  const found = await listCertificates(ctx, admin, { tenant, serial: probe.serial })
  assert.deepEqual(
    found.items.map(({ id, cause }) => [id, cause]),
    [[probe.id, 'probe']],
  )
  const again = { tenant, id: probe.id, csr: undefined, idempotencyKey: undefined }
  await assert.rejects(renewCertificate(ctx, admin, again), isProblem('certificate-refused'))
})

test('the certificate of the probe is another one when its time is over', async () => {
  const asked = { tenant: 'shop', authority: 'house' }
  const serial = (pem: string) =>
    readCertificate(readPem(pem, 'CERTIFICATE')[0] ?? Buffer.alloc(0)).serial
  const own = { ...ctx }
  const many = await Promise.all(Array.from({ length: 20 }, () => probeCredential(own, asked)))
  assert.equal(new Set(many.map(({ cert }) => serial(cert))).size, 1)
  let now = Date.now()
  const moving = { ...ctx, now: () => new Date(now) }
  const first = await probeCredential(moving, asked)
  now += 24 * 60_000
  assert.equal((await probeCredential(moving, asked)).cert, first.cert)
  now += 2 * 60_000
  assert.notEqual((await probeCredential(moving, asked)).cert, first.cert)
})

test('a client authority whose key is not here: what could not be proved is said', async () => {
  const made = await makePair('elsewhere', 'root')
  await importAuthority(ctx, admin, { name: 'elsewhere', certificate: made.cert })
  const name = 'keyless.shop.test'
  await put(ctx, name, {
    tls: { mode: 'MUTUAL', clientAuthority: 'elsewhere', clients: 'authority' },
  })
  const placement = await synced(name)
  assert.match(
    placement?.warnings.join() ?? '',
    /clients of "elsewhere" are let in could not be proved/,
  )
})

test('an authority that issues no client certificates lets nobody prove anything', async () => {
  await authority('servers', { profiles: ['server'] })
  const name = 'servers.shop.test'
  await put(ctx, name, { tls: { mode: 'MUTUAL', clientAuthority: 'servers' } })
  const placement = await synced(name)
  assert.match(placement?.warnings.join() ?? '', /"servers" issues no client certificates/)
})

test('a host is Synced no more when the trust that its gateway has lets in nobody', async () => {
  const name = 'other.shop.test'
  await put(ctx, name, { tls: { mode: 'MUTUAL' } })
  await synced(name)
  // As after an import whose trust no verifier accepts: the anchor is that of another key.
  const other = readPem((await makePair('house', 'root')).cert, 'CERTIFICATE')[0]
  const { id, anchor } = await ctx.db.read.issuer.findFirstOrThrow({
    where: { authority: { name: 'house' } },
  })
  const use = (der: Uint8Array) =>
    ctx.db.transaction((tx) =>
      tx.issuer.update({ where: { id }, data: { anchor: new Uint8Array(der) } }),
    )
  await use(other ?? Buffer.alloc(0))
  const { status, message } = await look(name)
  assert.equal(status, 'Applied')
  assert.match(message, /refuses clients of "house"/)
  assert.equal((await placementOf(ctx, name)).row.trust, null)
  await use(anchor)
  await synced(name)
})

/** The two Secrets of a MUTUAL host: whom it trusts, and its key pair. */
async function secretsOf(name: string) {
  const { shown } = await placementOf(ctx, name)
  const [trust, pair, ...more] = shown.objects.filter(({ kind }) => kind === 'Secret')
  assert.ok(trust && pair && more.length === 0)
  assert.equal(trust.name, `${pair.name}-cacert`)
  const found = await Promise.all(
    [trust, pair].map((ref) => kube.get({ ...kinds.secret, namespace, name: ref.name })),
  )
  return { trust: found[0], pair: found[1] }
}

test('a Secret of others under the name of the trust is a conflict', async () => {
  const name = 'shadow.shop.test'
  await put(ctx, name, { tls: { mode: 'MUTUAL' } })
  await synced(name)
  const { trust } = await secretsOf(name)
  assert.ok(trust)
  const metadata = { namespace, name: trust.metadata.name }
  await kube.remove({ ...kinds.secret, ...metadata })
  const data = { 'ca.crt': Buffer.from('stale').toString('base64') }
  const others = asManager(sandbox.kubeconfig)
  await others.create({ ...kinds.secret, metadata, type: 'Opaque', data })
  const { status, message } = await look(name)
  assert.equal(status, 'Conflict')
  assert.match(message, /^Secret istio-system\/\S+-cacert exists and was not made for this host/)
  await kube.remove({ ...kinds.secret, ...metadata })
  await synced(name)
})

test('a host whose trust lies beside its key pair, as an earlier release put it, gets two Secrets', async () => {
  const name = 'before.shop.test'
  await put(ctx, name, { tls: { mode: 'MUTUAL' } })
  await synced(name)
  const { trust, pair } = await secretsOf(name)
  assert.ok(trust && pair)
  await kube.apply({ ...pair, metadata: strip(pair), data: { ...pair.data, ...trust.data } })
  await kube.remove({ ...kinds.secret, namespace, name: trust.metadata.name })
  assert.equal((await look(name)).status, 'Synced')
  const after = await secretsOf(name)
  assert.deepEqual([after.trust?.data, after.pair?.data], [trust.data, pair.data])
})

test('a renewed certificate arrives although the Secret beside it is refused', async () => {
  const name = 'apart.shop.test'
  await put(ctx, name, { tls: { mode: 'MUTUAL' } })
  await synced(name)
  const { trust, pair } = await secretsOf(name)
  assert.ok(trust && pair)
  const tooLong = { ...trust, metadata: strip(trust), data: { 'ca.crl': 'A'.repeat(1_500_000) } }
  const renewed = { ...pair, metadata: strip(pair), data: { ...pair.data, 'tls.crt': 'bmV3' } }
  const steps = [tooLong, renewed].map((object) => {
    return { action: 'update', ref: refOf(object), object } as const
  })
  await assert.rejects(applySteps(kube, steps, [name]), /Too long|must have at most|1048576/)
  assert.equal((await secretsOf(name)).pair?.data?.['tls.crt'], 'bmV3')
  await synced(name)
})

/** What may be applied of the metadata of what was read. */
function strip({ metadata: { name, namespace: of = '', labels, annotations } }: KubeObject) {
  return {
    ...{ name, namespace: of },
    ...(labels ? { labels } : {}),
    ...(annotations ? { annotations } : {}),
  }
}

test('a foreign TCP Gateway on port 80 is said, and is a conflict where it was first', async () => {
  const tcp = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name: 'raw', namespace: 'test' },
    spec: {
      selector: { istio: 'ingressgateway' },
      servers: [{ port: { number: 80, name: 'raw', protocol: 'TCP' }, hosts: ['*'] }],
    },
  }
  const first = 'first.shop.test'
  await put(ctx, first, { http: 'redirect' })
  await synced(first)
  await kube.apply(tcp)
  // What the last look saw of the others is half a minute old at most.
  await changeCluster(ctx, admin, {
    name: 'sandbox',
    patch: { kubeconfig: `${sandbox.kubeconfig}\n` },
  })
  const looked = await look(first)
  const second = 'second.shop.test'
  await put(ctx, second, { http: 'redirect' })
  const [placement] = (await work(ctx, second)).status.clusters
  assert.equal(placement?.status, 'Conflict')
  assert.match(placement?.message ?? '', /Gateway test\/raw speaks TCP on port 80/)
  assert.match(
    [looked.message, ...looked.warnings].join(),
    /Gateway test\/raw came later and is left out on port 80/,
  )
  await put(ctx, second, { http: 'off' })
  await synced(second)
  await kube.remove({ ...kinds.istioGateway, namespace: 'test', name: 'raw' })
})

test('what has ended since is looked at first, and the host is Synced no more', async () => {
  await authority('brief', { validityDays: 100 })
  const name = 'brief.shop.test'
  await put(ctx, name, { tls: { mode: 'MUTUAL', clientAuthority: 'brief' } })
  await synced(name)
  const { row } = await placementOf(ctx, name)
  assert.equal(row.holdsUntil !== null && row.holdsUntil.getTime() < Date.now() + 101 * day, true)
  const key = `placement.look/${row.id}/${row.clusterId}`
  const jobs = () =>
    ctx.db.read.$queryRaw<{ run_at: Date }[]>(
      sql`select run_at from graphile_worker.jobs where key = ${key}`,
    )
  const isDue = async () =>
    (await jobs()).filter(({ run_at }) => run_at.getTime() <= Date.now()).length
  // What was just pushed may not be there yet, though it looks so: it is seen once more.
  const [soon] = await jobs()
  const wait = (soon?.run_at.getTime() ?? 0) - (row.provedAt?.getTime() ?? 0)
  assert.ok(wait > 10_000 && wait < 20_000, `${wait} ms`)
  await lookAgain(ctx)
  assert.equal(await isDue(), 0, 'it was seen a moment ago')
  await lookAgain(later(101 * day))
  assert.equal(await isDue(), 1)
  const { status, message } = await look(name, later(101 * day))
  assert.equal(status, 'Applied')
  assert.match(message, /ended at/)
})

test('a list that cannot be made anew is said before and after it ends', async () => {
  await authority('listed')
  const name = 'listed.shop.test'
  const asked = { profile: 'client', subject: { commonName: 'c' }, authority: 'listed' } as const
  const client = await issueCertificate(ctx, admin, {
    ...{ tenant: 'shop', idempotencyKey: undefined },
    request: { ...asked, validityDays: 60 },
  })
  await revokeCertificate(ctx, admin, { tenant: 'shop', id: client.id, reason: 'superseded' })
  await put(ctx, name, { tls: { mode: 'MUTUAL', clientAuthority: 'listed' } })
  await synced(name)
  const { keyId } = await ctx.db.read.issuer.findFirstOrThrow({
    where: { authority: { name: 'listed' } },
  })
  // Its key is lost: what the process had opened it does not open again.
  await ctx.db.transaction((tx) => tx.authoritySecret.delete({ where: { keyId } }))
  const soon = await look(name, later(6.5 * day))
  assert.match(soon.warnings.join(), /revocation list of "listed" ends at/)
  const { status, message } = await look(name, later(8 * day))
  assert.equal(status, 'Failed')
  assert.match(message, /without its private key/)
})

test('while the API of a cluster is away, what its ingress does is what counts', async () => {
  const name = 'apiless.shop.test'
  await put(ctx, name, { tls: { mode: 'MUTUAL' } })
  await synced(name)
  const away = sandbox.kubeconfig.replace(sandbox.apiUrl, 'https://127.0.0.1:1')
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { kubeconfig: away } })
  const before = await placementOf(ctx, name)
  assert.equal((await look(name)).status, 'Synced')
  const { row } = await placementOf(ctx, name)
  assert.ok(row.provedAt && before.row.provedAt && row.provedAt > before.row.provedAt)
  const { kubeconfig } = sandbox
  await changeCluster(ctx, admin, { name: 'sandbox', patch: { kubeconfig } })
})

test('the root is what the probe trusts: a path that ends elsewhere is a fault', async () => {
  const pem = (await getAuthority(ctx, admin, 'root')).pem
  assert.equal(toPem('CERTIFICATE', readPem(pem, 'CERTIFICATE')[0] ?? Buffer.alloc(0)), pem)
  const name = 'path.shop.test'
  await put(ctx, name)
  await synced(name)
  const { id, anchor } = await ctx.db.read.issuer.findFirstOrThrow({
    where: { authority: { name: 'root' } },
  })
  const use = (der: Uint8Array) =>
    ctx.db.transaction((tx) =>
      tx.issuer.update({ where: { id }, data: { anchor: new Uint8Array(der) } }),
    )
  await use(readPem((await makePair('r', 'root')).cert, 'CERTIFICATE')[0] ?? Buffer.alloc(0))
  const { status, message } = await look(name)
  assert.equal(status, 'Applied')
  assert.match(message, /in a way that clients do not trust/)
  await use(anchor)
  await synced(name)
})

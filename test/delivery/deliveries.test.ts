import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { rootCertificates } from 'node:tls'
import type { NewCertificate } from '../../src/certificates/certificate.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { renewCertificate } from '../../src/certificates/renewal/renew.ts'
import { revokeCertificate } from '../../src/certificates/revocation/revoke.ts'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { removeCluster } from '../../src/clusters/register.ts'
import { getDelivery, listDeliveries } from '../../src/delivery/secrets/find.ts'
import { putDelivery } from '../../src/delivery/secrets/put.ts'
import { reconcileTarget } from '../../src/delivery/secrets/reconcile.ts'
import { removeDelivery } from '../../src/delivery/secrets/remove.ts'
import type { DeliverySpec } from '../../src/delivery/secrets/schema.ts'
import { abandonCluster } from '../../src/hosts/abandon.ts'
import { lookAtDeliveries } from '../../src/jobs/resync.ts'
import { changeTenant, createTenant } from '../../src/tenants/write.ts'
import { jobs } from '../authorities/support.ts'
import { admin } from '../support/context.ts'
import { openssl } from '../support/openssl.ts'
import { fieldsOf, isProblem } from '../support/problem.ts'
import { openStage, put as putHost, work as workHost } from './support.ts'

const { ctx, kube } = await openStage()
await createTenant(ctx, admin, {
  name: 'rival',
  domains: ['rival.test'],
  namespaces: ['test'],
  defaultAuthority: 'house',
})

function order(asked: Partial<NewCertificate> = {}, tenant = 'shop') {
  return issueCertificate(ctx, admin, {
    tenant,
    request: { profile: 'client', subject: { commonName: 'laptop' }, ...asked },
    idempotencyKey: undefined,
  })
}

function put(name: string, spec: Partial<DeliverySpec> & { certificate: string }, tenant = 'shop') {
  const secret = { name: `${name}-tls`, namespace: 'test' }
  return putDelivery(ctx, admin, {
    tenant,
    name,
    spec: { secret, clusters: ['sandbox'], ...spec },
  })
}

/** Does what is due, as a worker would; answers the delivery as it then stands. */
async function work(name: string) {
  const where = { delivery: { name } }
  for (const { id } of await ctx.db.read.deliveryTarget.findMany({ where })) {
    await reconcileTarget(ctx, { targetId: id })
  }
  return read(name)
}

const read = (name: string) => getDelivery(ctx, admin, { tenant: 'shop', name })
const secretOf = (name: string) => kube.get({ ...kinds.secret, namespace: 'test', name })
const text = (value: string | undefined) => Buffer.from(value ?? '', 'base64').toString()
const actions = async (name: string) => {
  const rows = await ctx.db.read.auditEvent.findMany({
    where: { subjectKind: 'delivery', subjectName: name },
    orderBy: { seq: 'asc' },
  })
  return rows.map(({ action }) => action)
}

async function serialIn(name: string): Promise<string> {
  const leaf = new X509Certificate(text((await secretOf(name))?.data?.['tls.crt']))
  return leaf.serialNumber.toLowerCase()
}

test('a certificate lies as a Secret where it was asked for, with its chain, its key and what to trust', async () => {
  const certificate = await order({ autoRenew: true })
  const { delivery, created } = await put('laptop', { certificate: certificate.id })
  assert.ok(created)
  assert.equal(delivery.status.clusters[0]?.status, 'Pending')
  const { status } = await work('laptop')
  const [target] = status.clusters
  assert.deepEqual(
    [target?.status, target?.message, target?.certificate, status.warnings],
    ['Synced', null, certificate.id, []],
  )
  const secret = await secretOf('laptop-tls')
  assert.equal(secret?.type, 'kubernetes.io/tls')
  const leaf = new X509Certificate(text(secret?.data?.['tls.crt']))
  assert.equal(leaf.serialNumber.toLowerCase(), certificate.serial)
  openssl(['verify', '-CAfile', 'ca.crt', '-untrusted', 'tls.crt', 'tls.crt'], {
    'ca.crt': text(secret?.data?.['ca.crt']),
    'tls.crt': text(secret?.data?.['tls.crt']),
  })
  assert.ok(text(secret?.data?.['tls.key']).includes('BEGIN PRIVATE KEY'))
  // The same twice changes nothing.
  assert.equal((await put('laptop', { certificate: certificate.id })).created, false)
  assert.deepEqual(await actions('laptop'), ['delivery.created', 'delivery.delivered'])
  const page = await listDeliveries(ctx, admin, { tenant: 'shop' })
  assert.deepEqual(
    page.items.map(({ name }) => name),
    ['laptop'],
  )
})

test('whatever takes the place of the certificate is delivered in its stead', async () => {
  const first = await order()
  await put('line', { certificate: first.id })
  const { status } = await work('line')
  assert.match(status.warnings.join(), /is not renewed by itself and ends at/)
  const asked = { tenant: 'shop', id: first.id, csr: undefined, idempotencyKey: undefined }
  const next = await renewCertificate(ctx, admin, asked)
  const target = await ctx.db.read.deliveryTarget.findFirstOrThrow({
    where: { delivery: { name: 'line' } },
  })
  const keys = await jobs(ctx, 'delivery.reconcile')
  assert.ok(keys.includes(`delivery.reconcile/${target.id}/${target.clusterId}`), keys.join())
  assert.equal((await work('line')).status.clusters[0]?.certificate, next.id)
  assert.equal(await serialIn('line-tls'), next.serial)
  // By either name it is the same line.
  assert.equal((await put('line', { certificate: first.id })).created, false)
  assert.equal((await read('line')).certificate, next.id)
  // One that is revoked stays until another takes its place, and is told of.
  await revokeCertificate(ctx, admin, { tenant: 'shop', id: next.id, reason: 'superseded' })
  const revoked = (await work('line')).status.clusters[0]
  assert.equal(revoked?.status, 'Failed')
  assert.match(revoked?.message ?? '', /was revoked, and nothing has taken its place/)
  const again = await renewCertificate(ctx, admin, { ...asked, id: next.id })
  assert.equal((await work('line')).status.clusters[0]?.status, 'Synced')
  assert.equal(await serialIn('line-tls'), again.serial)
})

const shows = 'shows.shop.test'
const showing = (clientCertificate: string) => {
  const caCertificates = `${rootCertificates[0]}\n`
  const tls = { mode: 'MUTUAL', sni: 'web.test', caCertificates, clientCertificate } as const
  return { routes: [{ to: { service: 'httpbin', namespace: 'test', port: 80, tls } }] }
}

test('what a host’s gateway shows to backends follows its line, as a delivery does', async () => {
  const first = await order()
  await putHost(ctx, shows, showing(first.id))
  const shown = async () => {
    const [placement] = (await workHost(ctx, shows)).status.clusters
    const { name = '' } = placement?.objects.find(({ kind }) => kind === 'DestinationRule') ?? {}
    const secret = await kube.get({ ...kinds.secret, namespace: 'istio-system', name })
    const leaf = new X509Certificate(text(secret?.data?.['tls.crt']))
    assert.equal(secret?.data?.['ca.crt'] === undefined, false)
    return { name, serial: leaf.serialNumber.toLowerCase(), warnings: placement?.warnings.join() }
  }
  const before = await shown()
  assert.equal(before.serial, first.serial)
  assert.match(before.warnings ?? '', /is not renewed by itself and ends at/)
  const asked = { tenant: 'shop', id: first.id, csr: undefined, idempotencyKey: undefined }
  const next = await renewCertificate(ctx, admin, asked)
  const { id, clusterId } = await ctx.db.read.placement.findFirstOrThrow({ where: { name: shows } })
  const key = `placement.push/${id}/${clusterId}`
  assert.ok((await jobs(ctx, 'placement.push')).includes(key))
  const renewed = await shown()
  assert.deepEqual([renewed.name, renewed.serial], [before.name, next.serial])
  for (const revoked of [first.id, next.id]) {
    await revokeCertificate(ctx, admin, { tenant: 'shop', id: revoked, reason: 'superseded' })
  }
  // Its own certificate is delivered all the same.
  const { serial, warnings } = await shown()
  assert.equal(serial, next.serial)
  assert.match(warnings ?? '', /was revoked, and nothing has taken its place/)
  // The line is found from its first member, however long it is.
  await ctx.db.statement(`delete from graphile_worker._private_jobs where key = $1`, [key])
  const again = await renewCertificate(ctx, admin, { ...asked, id: next.id })
  assert.ok((await jobs(ctx, 'placement.push')).includes(key))
  assert.equal((await shown()).serial, again.serial)
})

/** The certificates in a store, as openssl reads them. */
function opened(store: string | undefined, password: string): readonly string[] {
  const file = { 's.p12': Buffer.from(store ?? '', 'base64') }
  const told = openssl(['pkcs12', '-in', 's.p12', '-passin', `pass:${password}`, '-nodes'], file)
  return told
    .split('-----BEGIN ')
    .filter((block) => block.startsWith('CERTIFICATE'))
    .map((block) => new X509Certificate(`-----BEGIN ${block}`).serialNumber.toLowerCase())
}

test('stores for Java lie beside the PEM, follow the certificate, and are not written twice', async () => {
  const first = await order()
  await put('java', { certificate: first.id, keystores: { pkcs12: {} } })
  assert.deepEqual((await work('java')).keystores, { pkcs12: {} })
  const secret = await secretOf('java-tls')
  const { data } = secret ?? {}
  const password = text(data?.['keystore.password'])
  assert.match(password, /^[A-Za-z0-9_-]{32}$/)
  const [leaf, issuer, ...more] = opened(data?.['keystore.p12'], password)
  assert.deepEqual([leaf, typeof issuer, more], [first.serial, 'string', []])
  const root = new X509Certificate(text(data?.['ca.crt'])).serialNumber.toLowerCase()
  assert.deepEqual(opened(data?.['truststore.p12'], password), [root])
  // The same to the octet, and the same once more changes nothing.
  await work('java')
  const versionOf = (of: typeof secret) => of?.metadata.resourceVersion
  assert.equal(versionOf(await secretOf('java-tls')), versionOf(secret))
  const asked = { tenant: 'shop', id: first.id, csr: undefined, idempotencyKey: undefined }
  const next = await renewCertificate(ctx, admin, asked)
  await work('java')
  const { data: renewed } = (await secretOf('java-tls')) ?? {}
  assert.equal(text(renewed?.['keystore.password']), password)
  assert.equal(opened(renewed?.['keystore.p12'], password)[0], next.serial)
  await put('java', { certificate: next.id })
  await work('java')
  const { data: plain = {} } = (await secretOf('java-tls')) ?? {}
  assert.deepEqual(Object.keys(plain).toSorted(), ['ca.crt', 'tls.crt', 'tls.key'])
})

test('the password of stores may be the tenant’s, and without it the Secret stays as it is', async () => {
  const { id, serial } = await order()
  const own = { namespace: 'test', name: 'store-password' }
  const say = (password: string) =>
    kube.apply({
      ...{ ...kinds.secret, metadata: own, type: 'Opaque' },
      data: { password: Buffer.from(password).toString('base64') },
    })
  const keystores = { pkcs12: { passwordSecretRef: { name: own.name, key: 'password' } } }
  await put('worded', { certificate: id, keystores })
  const status = async () => (await work('worded')).status.clusters[0]
  assert.match((await status())?.message ?? '', /^There is no Secret test\/store-password/)
  await say('open sesame')
  assert.equal((await status())?.status, 'Synced')
  const { data } = (await secretOf('worded-tls')) ?? {}
  assert.equal(opened(data?.['keystore.p12'], 'open sesame')[0], serial)
  assert.equal(data?.['keystore.password'], undefined)
  await say('another')
  await status()
  const { data: changed } = (await secretOf('worded-tls')) ?? {}
  assert.equal(opened(changed?.['keystore.p12'], 'another')[0], serial)
  await say('zwölf')
  const failed = await status()
  assert.equal(failed?.status, 'Failed')
  assert.match(failed?.message ?? '', /cannot be used .*printable ASCII/)
  assert.deepEqual((await secretOf('worded-tls'))?.data, changed)
})

test('what others change or remove is put right, and recorded', async () => {
  const { id } = await order()
  await put('drift', { certificate: id })
  await work('drift')
  const secret = await secretOf('drift-tls')
  assert.ok(secret)
  const ref = { ...kinds.secret, namespace: 'test', name: 'drift-tls' }
  await kube.remove(ref)
  await ctx.db.statement(`update delivery_target set "syncedAt" = now() - interval '1 hour'`, [])
  assert.ok((await lookAtDeliveries(ctx)) > 0)
  assert.equal((await work('drift')).status.clusters[0]?.status, 'Synced')
  assert.deepEqual((await secretOf('drift-tls'))?.data, secret.data)
  assert.deepEqual(await actions('drift'), [
    'delivery.created',
    'delivery.delivered',
    'delivery.repaired',
  ])
})

test('a Secret of others is never touched, neither when it stands there nor when the delivery goes', async () => {
  const metadata = { namespace: 'test', name: 'theirs-tls' }
  const theirs = { ...kinds.secret, metadata, type: 'Opaque', data: { a: 'Yg==' } }
  await kube.apply(theirs)
  const { id } = await order()
  await put('theirs', { certificate: id })
  const [target] = (await work('theirs')).status.clusters
  assert.equal(target?.status, 'Conflict')
  assert.match(target?.message ?? '', /^Secret test\/theirs-tls exists and was not made for this/)
  await removeDelivery(ctx, admin, { tenant: 'shop', name: 'theirs' })
  await assert.rejects(work('theirs'), isProblem('delivery-unknown'))
  assert.deepEqual((await secretOf('theirs-tls'))?.data, theirs.data)
})

test('a delivery that goes, or moves, takes its Secret with it', async () => {
  const { id } = await order()
  await put('going', { certificate: id })
  await work('going')
  await put('going', { certificate: id, secret: { name: 'gone-elsewhere', namespace: 'test' } })
  await work('going')
  assert.equal(await secretOf('going-tls'), undefined)
  assert.ok(await secretOf('gone-elsewhere'))
  const going = await removeDelivery(ctx, admin, { tenant: 'shop', name: 'going' })
  assert.notEqual(going.removedAt, null)
  await assert.rejects(work('going'), isProblem('delivery-unknown'))
  assert.equal(await secretOf('gone-elsewhere'), undefined)
})

test('what cannot be delivered is refused with every rule that it breaks', async () => {
  const own = await order()
  const theirs = await order({}, 'rival')
  await putHost(ctx, 'www.shop.test')
  const { status } = await workHost(ctx, 'www.shop.test')
  const csr = openssl([
    'req',
    '-new',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    '/CN=own',
    '-keyout',
    'k',
  ])
  const kept = await order({ csr, subject: {} })
  const server = await order({ profile: 'server', subject: {}, dnsNames: ['srv.shop.test'] })
  const gone = await order()
  await revokeCertificate(ctx, admin, { tenant: 'shop', id: gone.id, reason: 'superseded' })
  const field = '/routes/0/to/tls/clientCertificate'
  for (const id of [theirs.id, status.certificate?.id ?? '', kept.id, server.id, gone.id]) {
    const refused = await fieldsOf('host-refused', putHost(ctx, shows, showing(id)))
    assert.deepEqual(refused, [field], id)
  }
  const elsewhere = { name: 'a-cacert', namespace: 'kube-system' }
  const rows = [
    [{ certificate: theirs.id }, ['/certificate']],
    [{ certificate: status.certificate?.id ?? '' }, ['/certificate']],
    [{ certificate: kept.id }, ['/certificate']],
    [
      {
        certificate: own.id,
        secret: { name: 'self', namespace: 'test' },
        keystores: { pkcs12: { passwordSecretRef: { name: 'self', key: 'p' } } },
      },
      ['/keystores/pkcs12/passwordSecretRef/name'],
    ],
    [{ certificate: own.id, secret: elsewhere }, ['/secret/namespace', '/secret/name']],
    [{ certificate: own.id, clusters: ['sandbox', 'nowhere'] }, ['/clusters/1']],
  ] as const
  for (const [spec, fields] of rows) {
    const { clusters, ...more } = { clusters: ['sandbox'], ...spec }
    const asked = put('refused', { ...more, clusters: [...clusters] })
    assert.deepEqual(await fieldsOf('delivery-refused', asked), fields)
  }
  await put('first', { certificate: own.id, secret: { name: 'one', namespace: 'test' } })
  const second = put(
    'second',
    { certificate: theirs.id, secret: { name: 'one', namespace: 'test' } },
    'rival',
  )
  await assert.rejects(second, isProblem('delivery-conflict'))
  const viewer = { ...admin, role: 'viewer' } as const
  const spec = {
    certificate: own.id,
    secret: { name: 'v', namespace: 'test' },
    clusters: ['sandbox'],
  }
  const asViewer = putDelivery(ctx, viewer, { tenant: 'shop', name: 'v', spec })
  await assert.rejects(asViewer, isProblem('forbidden'))
})

test('nothing is delivered to a namespace that is the tenant’s no more', async () => {
  const { id } = await order()
  await put('lost', { certificate: id })
  await work('lost')
  await changeTenant(ctx, admin, { name: 'shop', patch: { namespaces: ['other'] } })
  const [target] = (await work('lost')).status.clusters
  assert.equal(target?.status, 'Failed')
  assert.match(target?.message ?? '', /is not one of the tenant's any more/)
  await changeTenant(ctx, admin, { name: 'shop', patch: { namespaces: ['test'] } })
  assert.equal((await work('lost')).status.clusters[0]?.status, 'Synced')
})

test('a tenant has so many deliveries, and a cluster with some is not forgotten by accident', async () => {
  const { id } = await order()
  const count = await ctx.db.read.delivery.count({ where: { tenant: { name: 'shop' } } })
  await changeTenant(ctx, admin, { name: 'shop', patch: { quotas: { deliveries: count } } })
  await assert.rejects(put('more', { certificate: id }), isProblem('quota-exceeded'))
  await assert.rejects(removeCluster(ctx, admin, 'sandbox'), isProblem('cluster-in-use'))
  await abandonCluster(ctx, admin, 'sandbox')
  assert.deepEqual((await read('lost')).status.clusters, [])
  assert.equal((await actions('lost')).at(-1), 'delivery.abandoned')
})

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { uploadCertificate } from '../../../src/certificates/uploads/take.ts'
import { listForeign, listGateways } from '../../../src/clusters/foreign/find.ts'
import { inventoriesDue, readForeign } from '../../../src/clusters/foreign/read.ts'
import type { ForeignQuery } from '../../../src/clusters/foreign/schema.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import type { Actor } from '../../../src/core/actor.ts'
import type { Foreign } from '../../authorities/foreign.ts'
import { leafFor, openElsewhere, sentOf } from '../../certificates/uploads/elsewhere.ts'
import { openStage, put, work } from '../../delivery/support.ts'
import { admin } from '../../support/context.ts'
import { isProblem } from '../../support/problem.ts'

const { ctx, kube } = await openStage()
const { root, between } = await openElsewhere()
const { id: clusterId } = await ctx.db.read.cluster.findUniqueOrThrow({
  where: { name: 'sandbox' },
})

/** Has the ingress serve a certificate that others put there. */
async function serve(name: string, leaf: Foreign): Promise<void> {
  const encoded = (text: string) => Buffer.from(text).toString('base64')
  await kube.apply({
    ...kinds.secret,
    metadata: { name, namespace: 'istio-system' },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': encoded(leaf.pem + between.pem), 'tls.key': encoded(leaf.key) },
  })
  const port = { number: 443, name: `https-${name}`, protocol: 'HTTPS' }
  await kube.apply({
    ...kinds.istioGateway,
    metadata: { name, namespace: 'istio-system' },
    spec: {
      selector: { istio: 'ingressgateway' },
      servers: [
        { port, hosts: [`${name}.old.test`], tls: { mode: 'SIMPLE', credentialName: name } },
      ],
    },
  })
}

async function stop(name: string): Promise<void> {
  for (const kind of [kinds.istioGateway, kinds.secret]) {
    await kube.remove({ ...kind, namespace: 'istio-system', name })
  }
}

async function list(query: ForeignQuery = {}, actor: Actor = admin) {
  return (await listForeign(ctx, actor, query)).items
}

test('what others put on an ingress is listed with where it is and when it ends, and ours is not', async () => {
  await put(ctx, 'ours.shop.test')
  await work(ctx, 'ours.shop.test')
  const leaf = await leafFor(between, ['legacy.old.test'], { days: 20 })
  await serve('legacy', leaf)
  await readForeign(ctx, { clusterId })
  const [found, ...others] = await list()
  assert.ok(found)
  assert.deepEqual(others, [])
  assert.deepEqual(
    [found.cluster, found.ingress, found.credential, found.chainLength, found.pods],
    ['sandbox', 'default', 'kubernetes://legacy', 1, 1],
  )
  assert.deepEqual(found.dnsNames, ['legacy.old.test'])
  assert.deepEqual(found.servedNames, ['legacy.old.test'])
  assert.deepEqual(found.gateways, ['istio-system/legacy'])
  assert.deepEqual([found.issuer, found.keyAlgorithm], ['CN=Elsewhere CA 1', 'ECDSA_P256'])
  const [gateway] = (await listGateways(ctx, admin, 'sandbox')).items
  assert.deepEqual(
    [gateway?.pod, gateway?.reason, gateway?.certificates, gateway?.foreign],
    ['istio-ingressgateway-sandbox', null, 2, 1],
  )
})

test('it is found by its end, its names and its cluster', async () => {
  const count = async (query: ForeignQuery) => (await list(query)).length
  assert.equal(await count({ expiringWithin: 'P30D' }), 1)
  assert.equal(await count({ expiringWithin: 'P10D' }), 0)
  assert.equal(await count({ name: 'LEGACY.old.test' }), 1)
  assert.equal(await count({ name: 'other.old.test' }), 0)
  assert.equal(await count({ cluster: 'sandbox', ingress: 'default' }), 1)
  assert.equal(await count({ cluster: 'none' }), 0)
  assert.equal(await count({ notAfterTo: new Date().toISOString() }), 0)
})

test('no private key is read or stored', async () => {
  const rows = await ctx.db.read.foreignCertificate.findMany()
  assert.ok(!JSON.stringify(rows).includes('PRIVATE'))
  assert.ok(!JSON.stringify(rows).includes('redacted'))
})

test('what is read again stays the same, and what is gone is gone', async () => {
  const [before] = await list()
  await readForeign(ctx, { clusterId })
  const [again] = await list()
  assert.deepEqual([again?.id, again?.firstSeenAt], [before?.id, before?.firstSeenAt])
  assert.notEqual(again?.seenAt, before?.seenAt)
  await serve('another', await leafFor(between, ['another.old.test']))
  await readForeign(ctx, { clusterId })
  assert.equal((await list()).length, 2)
  await stop('another')
  await readForeign(ctx, { clusterId })
  assert.equal((await list()).length, 1)
})

test('once it is uploaded it is foreign no more', async () => {
  const leaf = await leafFor(between, ['known.shop.test'])
  await serve('known', leaf)
  await readForeign(ctx, { clusterId })
  assert.equal((await list()).length, 2)
  const request = sentOf(leaf, between, root)
  await uploadCertificate(ctx, admin, { tenant: 'shop', request })
  await readForeign(ctx, { clusterId })
  assert.equal((await list()).length, 1)
  await stop('known')
})

test('a gateway that cannot be read says so, and what it had stays for a while', async () => {
  await kube.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'deaf', namespace: 'istio-system', labels: { istio: 'ingressgateway' } },
    spec: { containers: [{ name: 'istio-proxy', image: 'none' }] },
    status: { conditions: [{ type: 'Ready', status: 'False' }] },
  })
  const deaf = { apiVersion: 'v1', kind: 'Pod', namespace: 'istio-system', name: 'deaf' }
  after(() => kube.remove(deaf))
  await stop('legacy')
  await readForeign(ctx, { clusterId })
  const gateways = (await listGateways(ctx, admin, 'sandbox')).items
  assert.deepEqual(
    gateways.map(({ pod, reason }) => [pod, reason]),
    [
      ['deaf', 'The pod is not ready'],
      ['istio-ingressgateway-sandbox', null],
    ],
  )
  assert.equal((await list()).length, 1)
  const later = { ...ctx, now: () => new Date(Date.now() + 8 * 86_400_000) }
  await readForeign(later, { clusterId })
  assert.equal((await list()).length, 0)
})

test('it is for the platform: no tenant sees it', async () => {
  const { id } = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'shop' } })
  for (const role of ['admin', 'viewer'] as const) {
    const tenant = { ...admin, role, tenantId: id }
    await assert.rejects(list({}, tenant), isProblem('forbidden'))
    await assert.rejects(listGateways(ctx, tenant, 'sandbox'), isProblem('forbidden'))
  }
  assert.deepEqual(await list({}, { ...admin, role: 'viewer' }), await list())
})

test('a reading is due of clusters that were not read for an hour, and of no others', async () => {
  await readForeign(ctx, { clusterId })
  assert.equal(await inventoriesDue(ctx), 0)
  const later = { ...ctx, now: () => new Date(Date.now() + 3_700_000) }
  assert.equal(await inventoriesDue(later), 1)
})

test('where no gateway pod can be read, what is served for the names of Gateways is seen', async () => {
  const leaf = await leafFor(between, ['blind.old.test'])
  await serve('blind', leaf)
  // As credentials without the rights of --listeners would have it.
  const address = '127.0.0.1:1'
  await ctx.db.read.cluster.update({
    where: { id: clusterId },
    data: { ingressAdminAddress: address },
  })
  const [one, ...others] = await untilServed(async () => {
    await readForeign(ctx, { clusterId })
    return list()
  })
  assert.deepEqual(others, [])
  assert.deepEqual(
    [one?.credential, one?.pods, one?.servedNames, one?.gateways],
    ['kubernetes://blind', 0, ['blind.old.test'], ['istio-system/blind']],
  )
  const [gateway] = (await listGateways(ctx, admin, 'sandbox')).items
  assert.match(gateway?.reason ?? '', /cannot be read/)
})

/** Reads until something is found. */
async function untilServed<T>(read: () => Promise<readonly T[]>): Promise<readonly T[]> {
  for (;;) {
    const found = await read()
    if (found.length > 0) return found
  }
}

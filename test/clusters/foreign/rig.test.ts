import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createAuthority } from '../../../src/authorities/create.ts'
import { certifyHost } from '../../../src/certificates/hosts/certify.ts'
import { uploadCertificate } from '../../../src/certificates/uploads/take.ts'
import { listForeign, listGateways } from '../../../src/clusters/foreign/find.ts'
import { readForeign } from '../../../src/clusters/foreign/read.ts'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import { confirmPlacement } from '../../../src/delivery/proof/confirm.ts'
import { pushPlacement } from '../../../src/delivery/push.ts'
import { getHost } from '../../../src/hosts/find.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { removeHost } from '../../../src/hosts/remove.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { leafFor, openElsewhere, sentOf } from '../../certificates/uploads/elsewhere.ts'
import { admin, openTestContext } from '../../support/context.ts'

// Against a real istiod and a real Envoy: what others had it serve is found there without its key, and is then uploaded
// and served by us.

const { GATESMITH_RIG_KUBECONFIG: own, KUBECONFIG: ruler } = process.env
const skip = (own === undefined || ruler === undefined) && 'GATESMITH_RIG_KUBECONFIG names no rig'
const name = 'legacy.shop.test'

test('what others had a real Envoy serve is found, uploaded, and served by us', {
  skip,
}, async () => {
  const ctx = await openTestContext()
  const kube = connect(await readFile(ruler ?? '', 'utf8'))
  after(() => kube.close())
  const { id: clusterId } = await stage(ctx)
  const { root, between } = await openElsewhere()
  const leaf = await leafFor(between, [name], { days: 20 })
  const encoded = (text: string) => Buffer.from(text).toString('base64')
  const place = { name: 'legacy-tls', namespace: 'istio-system' }
  const gateway = { ...kinds.istioGateway, ...place }
  const secret = { ...kinds.secret, ...place }
  after(async () => {
    for (const ref of [gateway, secret]) await kube.remove(ref)
  })
  // What tests of before had it serve is let go of by and by.
  for (let round = 0; round < 240; round++) {
    await readForeign(ctx, { clusterId })
    if ((await listForeign(ctx, admin, {})).items.length === 0) break
    await pause(250)
  }
  await kube.apply({
    ...kinds.secret,
    metadata: place,
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': encoded(leaf.pem + between.pem), 'tls.key': encoded(leaf.key) },
  })
  const port = { number: 443, name: 'https-legacy', protocol: 'HTTPS' }
  const tls = { mode: 'SIMPLE', credentialName: place.name }
  await kube.apply({
    ...kinds.istioGateway,
    metadata: place,
    spec: { selector: { istio: 'ingressgateway' }, servers: [{ port, hosts: [name], tls }] },
  })
  const read = async () => {
    await readForeign(ctx, { clusterId })
    const { items } = await listForeign(ctx, admin, { name })
    return items
  }
  let found = await read()
  for (let round = 0; found.length === 0 && round < 120; round++) {
    await pause(250)
    found = await read()
  }
  const [one] = found
  assert.ok(one, JSON.stringify(await listGateways(ctx, admin, 'rig')))
  assert.deepEqual(
    [one.credential, one.chainLength, one.dnsNames, one.servedNames, one.gateways],
    ['kubernetes://legacy-tls', 1, [name], [name], ['istio-system/legacy-tls']],
  )
  assert.equal(one.issuer, 'CN=Elsewhere CA 1')
  // Neither the mesh's own nor anything else.
  assert.equal((await listForeign(ctx, admin, {})).items.length, 1)

  const request = sentOf(leaf, between, root)
  const { certificate } = await uploadCertificate(ctx, admin, { tenant: 'shop', request })
  assert.equal(certificate.serial, one.serial)
  for (const ref of [gateway, secret]) await kube.remove(ref)
  for (const mode of ['SIMPLE', 'MUTUAL'] as const) {
    const host = await served(ctx, { mode, uploaded: certificate.id })
    assert.deepEqual([host?.status, host?.message], ['Synced', null])
  }
  assert.deepEqual(await read(), [])
  await removeHost(ctx, admin, { tenant: 'shop', name })
  const rows = await ctx.db.read.placement.findMany({ where: { name } })
  for (const { id: placementId } of rows) await pushPlacement(ctx, { placementId })
})

type Ctx = Awaited<ReturnType<typeof openTestContext>>

async function stage(ctx: Ctx) {
  const ingress = {
    ...{ namespace: 'istio-system', selector: { istio: 'ingressgateway' } },
    ...{ address: '127.0.0.1:4443', adminAddress: '127.0.0.1:15000' },
  }
  const kubeconfig = await readFile(own ?? '', 'utf8')
  await createCluster(ctx, admin, { name: 'rig', kubeconfig, ingress })
  const subject = { commonName: 'house' }
  await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject })
  await createTenant(ctx, admin, {
    ...{ name: 'shop', domains: ['shop.test'], namespaces: ['test'], defaultAuthority: 'house' },
  })
  return ctx.db.read.cluster.findUniqueOrThrow({ where: { name: 'rig' } })
}

/** The host as it stands once the real ingress has been seen to serve it, or a minute has passed. */
async function served(
  ctx: Ctx,
  { mode, uploaded }: { readonly mode: 'SIMPLE' | 'MUTUAL'; readonly uploaded: string },
) {
  const spec = {
    ...{ tls: { mode }, certificate: { uploaded }, clusters: ['rig'] },
    routes: [{ to: { service: 'httpbin', namespace: 'test', port: 80 } }],
  }
  await putHost(ctx, admin, { tenant: 'shop', name, spec })
  const { id } = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
  await certifyHost(ctx, id)
  const [placement] = await ctx.db.read.placement.findMany({ where: { hostId: id } })
  const placementId = placement?.id ?? ''
  await pushPlacement(ctx, { placementId })
  for (let round = 0; round < 120; round++) {
    await confirmPlacement(ctx, { placementId })
    const [found] = (await getHost(ctx, admin, { tenant: 'shop', name })).status.clusters
    if (found?.status === 'Synced') return found
    await pause(500)
  }
  return (await getHost(ctx, admin, { tenant: 'shop', name })).status.clusters[0]
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { renewCertificate } from '../../src/certificates/renewal/renew.ts'
import { type Kind, kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { sql } from '../../src/core/database/db.ts'
import { planHost } from '../../src/delivery/preview/hostplan.ts'
import { putDelivery } from '../../src/delivery/secrets/put.ts'
import { reconcileTarget } from '../../src/delivery/secrets/reconcile.ts'
import type { HostSpec } from '../../src/hosts/host.ts'
import { admin } from '../support/context.ts'
import { httpbin, openStage, placementOf, put, read, work } from './support.ts'

const { ctx, kube } = await openStage()
const nginx = { ...httpbin, service: 'nginx-service', port: 443 }
const name = 'through.shop.test'
const through = (certificate: HostSpec['certificate'] = {}): Partial<HostSpec> => ({
  tls: { mode: 'PASSTHROUGH' },
  certificate,
  routes: [{ to: nginx }],
})
const find = (kind: Kind, of = 'through-shop-test-tls') =>
  kube.get({ ...kind, namespace: 'test', name: of })

async function synced() {
  const [placement] = (await work(ctx, name)).status.clusters
  assert.deepEqual([placement?.status, placement?.message], ['Synced', null])
  return placement
}

test('a backend finds its certificate in a ConfigMap only where that was asked for in so many words', async () => {
  await put(ctx, name, through())
  await synced()
  assert.ok(await find(kinds.secret))
  await put(ctx, name, through({ store: 'configMap', privateKeyInConfigMap: true }))
  const placement = await synced()
  assert.match((await read(ctx, name)).status.warnings.join(), /private key .* lies in a ConfigMap/)
  const map = await find(kinds.configMap)
  assert.match(map?.data?.['tls.key'] ?? '', /^-----BEGIN PRIVATE KEY-----\n/)
  assert.match(map?.data?.['tls.crt'] ?? '', /^-----BEGIN CERTIFICATE-----\n/)
  assert.equal(await find(kinds.secret), undefined, 'the Secret goes when it is needed no more')
  assert.ok(placement?.objects.some(({ kind }) => kind === 'ConfigMap'))
  // No plan shows a private key.
  const plan = await planHost(ctx, admin, { tenant: 'shop', name, asked: {} })
  assert.doesNotMatch(JSON.stringify(plan), /PRIVATE KEY/)
  await put(ctx, name, through())
  await synced()
  assert.ok(await find(kinds.secret))
  assert.equal(await find(kinds.configMap), undefined)
})

async function deployment(of: string) {
  const pods = {
    metadata: { labels: { app: of } },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  }
  await kube.apply({
    ...kinds.deployment,
    metadata: { namespace: 'test', name: of },
    spec: { replicas: 1, selector: { matchLabels: { app: of } }, template: pods },
  })
}

async function serialOf(of: string): Promise<string | undefined> {
  const found = JSON.stringify((await find(kinds.deployment, of))?.spec)
  return /"gatesmith\.dev\/certificate":"([0-9a-f]+)"/.exec(found)?.[1]
}

test('a Deployment is rolled out once for each certificate, after it is there', async () => {
  const asked = through({ restart: { deployment: 'nginx' } })
  await put(ctx, name, asked)
  const missing = (await work(ctx, name)).status.clusters[0]
  assert.match(missing?.warnings.join() ?? '', /There is no Deployment test\/nginx to restart/)
  await deployment('nginx')
  await synced()
  const first = (await read(ctx, name)).status.certificate
  assert.equal(await serialOf('nginx'), first?.serial)
  await synced()
  const next = await renewCertificate(ctx, admin, {
    ...{ tenant: 'shop', id: first?.id ?? '', csr: undefined, idempotencyKey: undefined },
  })
  await synced()
  assert.equal(await serialOf('nginx'), next.serial)
  const events = await ctx.db.read.$queryRaw<readonly { changes: unknown }[]>(sql`
    select changes from audit_event where action = 'host.backend-restarted' order by seq`)
  assert.equal(events.length, 2, 'looked at again it is not rolled out again')
  const { row } = await placementOf(ctx, name)
  assert.equal(row.status, 'Synced')
})

test('so is one that takes its certificate from a delivery', async () => {
  await deployment('mailer')
  const { id, serial } = await issueCertificate(ctx, admin, {
    tenant: 'shop',
    request: { profile: 'client', subject: { commonName: 'm' } },
    idempotencyKey: undefined,
  })
  const secret = { name: 'mailer-tls', namespace: 'test' }
  const restart = { deployment: 'mailer' }
  const spec = { certificate: id, secret, restart, clusters: ['sandbox'] }
  await putDelivery(ctx, admin, { tenant: 'shop', name: 'mailer', spec })
  const target = await ctx.db.read.deliveryTarget.findFirstOrThrow()
  await reconcileTarget(ctx, { targetId: target.id })
  assert.equal(await serialOf('mailer'), serial)
  // One that was there later is rolled out, too, and that is on record.
  await kube.remove({ ...kinds.deployment, namespace: 'test', name: 'mailer' })
  await reconcileTarget(ctx, { targetId: target.id })
  await deployment('mailer')
  await reconcileTarget(ctx, { targetId: target.id })
  const last = await ctx.db.read.auditEvent.findFirstOrThrow({ orderBy: { seq: 'desc' } })
  assert.equal(last.action, 'delivery.restarted')
})

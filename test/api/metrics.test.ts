import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { putDelivery } from '../../src/delivery/secrets/put.ts'
import { openMetrics } from '../../src/main/metrics.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { openTestApi } from '../support/api.ts'
import { admin } from '../support/context.ts'
import { openFarCluster } from '../support/far.ts'

const { ctx, http, send } = await openTestApi()
await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject: { commonName: 'R' } })
await createTenant(ctx, admin, {
  name: 'sly-tenant',
  domains: ['sly.example'],
  namespaces: ['test'],
  defaultAuthority: 'root',
})
// Ends soon, and nothing renews it.
await issueCertificate(ctx, admin, {
  tenant: 'sly-tenant',
  request: { profile: 'server', dnsNames: ['www.sly.example'], validityDays: 3 },
  idempotencyKey: undefined,
})
await openFarCluster(ctx)
const { id } = await issueCertificate(ctx, admin, {
  tenant: 'sly-tenant',
  request: { profile: 'client', dnsNames: ['a.sly.example'] },
  idempotencyKey: undefined,
})
await putDelivery(ctx, admin, {
  tenant: 'sly-tenant',
  name: 'sly-delivery',
  spec: { certificate: id, secret: { name: 'sly-tls', namespace: 'test' }, clusters: ['far'] },
})
const metrics = await openMetrics(ctx, { host: '127.0.0.1', port: 0 })
after(metrics.close)

async function scrape(): Promise<string> {
  return (await fetch(metrics.url)).text()
}

test('what is asked, issued and about to end is told by pattern, and no host or token', async () => {
  await http.get('/v1/tenants/sly-tenant?token=sly-token')
  await http.get('/nothing/sly-path')
  await send(null).get('/v1/tenants/sly-tenant').expect(401)
  const text = await scrape()
  assert.match(text, /duration_seconds_count\{method="GET",route="\/v1\/tenants\/:\w+",status="/)
  assert.match(text, /duration_seconds_count\{method="GET",route="none",status="4xx"\} 1/)
  assert.match(text, /certificates_issued_total\{profile="server",cause="requested"\} 1/)
  assert.match(text, /gatesmith_readings_ok 1/)
  assert.match(text, /gatesmith_authority_end_timestamp_seconds\{authority="root"\} \d{10}/)
  assert.match(text, /certificate_nearest_end_timestamp_seconds\{renewal="none"\} \d{10}/)
  assert.match(text, /requests_refused_total\{reason="credentials-missing"\} 1/)
  assert.match(text, /delivery_targets_astray\{cluster="far",status="Pending"\} 1/)
  const nearest = /tenant_certificate_nearest_end_timestamp_seconds\{tenant="sly-tenant"\} \d{10}\n/
  assert.match(text, nearest)
  assert.doesNotMatch(text.replace(nearest, ''), /sly/)
  assert.equal((await http.get('/metrics')).status, 404, 'no client of the API may read it')
  assert.equal((await fetch(metrics.url, { method: 'POST' })).status, 404)
})

test('rules and dashboard ask for nothing that is not told', async () => {
  const told = new Set((await scrape()).match(/(?<=^# TYPE )\w+/gm))
  for (const file of ['prometheus-rules.yaml', 'grafana-dashboard.json']) {
    const asked = readFileSync(new URL(`../../deploy/helm/files/${file}`, import.meta.url), 'utf8')
    const names = asked.match(/\b(gatesmith_\w+|nodejs_\w+)/g) ?? []
    assert.ok(names.length > 5)
    for (const name of names) {
      assert.ok(told.has(name.replace(/_(count|bucket|sum)$/, '')), `${file}: ${name}`)
    }
  }
})

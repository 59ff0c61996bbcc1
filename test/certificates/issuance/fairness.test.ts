import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { certifyDueHost } from '../../../src/certificates/hosts/certify.ts'
import { issueCertificates } from '../../../src/certificates/issuance/batch.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { sql } from '../../../src/core/database/db.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { openFarCluster } from '../../support/far.ts'

const ctx = await openTestContext()
await createAuthority(ctx, admin, {
  name: 'rsa-root',
  kind: 'root',
  keyAlgorithm: 'RSA_4096',
  subject: { commonName: 'RSA root' },
})
for (const name of ['many', 'one']) {
  await createTenant(ctx, admin, {
    name,
    domains: [`${name}.test`],
    namespaces: ['test'],
    defaultAuthority: 'rsa-root',
  })
}
await openFarCluster(ctx)

/** How many certificates a tenant has. */
const issued = (tenant: string) =>
  ctx.db.read.certificate.count({ where: { status: 'active', tenant: { name: tenant } } })

test('of RSA keys that two tenants wait for, neither waits for all of the other’s', async () => {
  const rsa = { profile: 'server', keyAlgorithm: 'RSA_2048' } as const
  const ask = (tenant: string, count: number) => {
    const items = Array.from({ length: count }, () => ({
      ...rsa,
      dnsNames: [`www.${tenant}.test`],
    }))
    return issueCertificates(ctx, admin, { tenant, items, idempotencyKey: undefined })
  }
  const many = ask('many', 24)
  // They wait now: the first is there.
  while ((await issued('many')) === 0) assert.ok(await Promise.race([many, true]))
  const outcomes = [...(await ask('one', 3)), ...(await many)]
  assert.equal(outcomes.filter((outcome) => 'certificate' in outcome).length, 27)
  const { id } = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: 'many' } })
  const events = await ctx.db.read.auditEvent.findMany({
    where: { action: 'certificate.issued' },
    orderBy: { seq: 'asc' },
  })
  assert.equal(events.at(-1)?.tenantId, id, 'all of the other tenant came first')
})

test('three hundred signatures of a slow key keep another tenant waiting for a few of them', async () => {
  const leaf = { profile: 'server', keyAlgorithm: 'ECDSA_P256' } as const
  const items = Array.from({ length: 300 }, () => ({ ...leaf, dnsNames: ['a.many.test'] }))
  const start = await issued('many')
  const many = issueCertificates(ctx, admin, { tenant: 'many', items, idempotencyKey: undefined })
  while ((await issued('many')) === start) assert.ok(await Promise.race([many, true]))
  const asked = { ...leaf, dnsNames: ['b.one.test'] }
  await issueCertificate(ctx, admin, { tenant: 'one', request: asked, idempotencyKey: undefined })
  assert.ok((await issued('many')) - start < 300, 'all of the other tenant came first')
  await many
})

test('hosts that wait for RSA keys hold no slots of a worker, and come back', async () => {
  const hosts = await Promise.all(
    ['a', 'b', 'c', 'd'].map(async (label) => {
      const name = `${label}.many.test`
      const certificate = { keyAlgorithm: 'RSA_2048' } as const
      const routes = [{ to: { service: 'web', namespace: 'test', port: 80 } }]
      const spec = { tls: { mode: 'SIMPLE' }, certificate, routes, clusters: ['far'] } as const
      await putHost(ctx, admin, { tenant: 'many', name, spec: { ...spec, clusters: ['far'] } })
      return ctx.db.read.host.findFirstOrThrow({ where: { name } })
    }),
  )
  await ctx.db.read.$executeRaw(sql`delete from graphile_worker._private_jobs`)
  await Promise.all(hosts.map(({ id }) => certifyDueHost(ctx, id)))
  const certified = await ctx.db.read.host.count({ where: { certificateId: { not: null } } })
  const back = await ctx.db.read.$queryRaw<readonly { key: string }[]>(
    sql`select "key" from graphile_worker.jobs where "key" like 'host.certify/%' and run_at > created_at`,
  )
  // One was made, one waited; there was no room for the others.
  assert.deepEqual({ certified, back: back.length }, { certified: 2, back: 2 })
  for (const { key } of back) await certifyDueHost(ctx, key.replace('host.certify/', ''))
  assert.equal(await ctx.db.read.host.count({ where: { certificateId: null } }), 0)
})

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { exportAuditEvents, findAuditEvents } from '../../src/audit/find.ts'
import { record } from '../../src/audit/record.ts'
import { createAuthority } from '../../src/authorities/create.ts'
import { importAuthority } from '../../src/authorities/import.ts'
import { getBundle } from '../../src/certificates/bundle.ts'
import { issueCertificate } from '../../src/certificates/issuance/issue.ts'
import { changeCluster, createCluster } from '../../src/clusters/register.ts'
import type { Actor } from '../../src/core/actor.ts'
import { putHost } from '../../src/hosts/put.ts'
import { removeHost } from '../../src/hosts/remove.ts'
import { createApiKey, revokeApiKey } from '../../src/tenants/apikeys/lifecycle.ts'
import { changeTenant, createTenant, removeTenant } from '../../src/tenants/write.ts'
import { admin, openTestContext } from '../support/context.ts'
import { deadKubeconfig } from '../support/kubeconfig.ts'
import { openssl } from '../support/openssl.ts'
import { isProblem } from '../support/problem.ts'

const ctx = await openTestContext()
const shop = await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'] })
await createTenant(ctx, admin, { name: 'rival', domains: ['rival.test'] })
const { id: tenantId } = await ctx.db.read.tenant.findUniqueOrThrow({ where: { name: shop.name } })
const auditor: Actor = { ...admin, role: 'auditor', tenantId }

const actions = async (actor: Actor, filter: Parameters<typeof findAuditEvents>[2]) =>
  (await findAuditEvents(ctx, actor, filter)).items.map(({ action }) => action)

test('an event tells who changed what, when, by which request', async () => {
  const asker = {
    ...admin,
    kind: 'api-key',
    id: 'key-7',
    name: 'ci',
    requestId: 'request-7',
  } as const
  await changeTenant(ctx, asker, { name: 'shop', patch: { namespaces: ['web'] } })
  const [event] = (await findAuditEvents(ctx, admin, { requestId: 'request-7' })).items
  assert.ok(event)
  assert.deepEqual(event.actor, { kind: 'api-key', id: 'key-7', name: 'ci' })
  assert.deepEqual(event.subject, { kind: 'tenant', id: tenantId, name: 'shop' })
  assert.equal(event.action, 'tenant.changed')
  assert.equal(event.tenant, 'shop')
  assert.deepEqual(event.changes.namespaces, ['web'])
  for (const actor of ['key-7', 'ci']) {
    assert.deepEqual(await actions(admin, { actor }), ['tenant.changed'])
  }
  const at = new Date(event.at)
  const after = new Date(at.getTime() + 1).toISOString()
  const by = { actor: 'ci' }
  assert.deepEqual(await actions(admin, { ...by, from: event.at, to: after }), ['tenant.changed'])
  assert.deepEqual(await actions(admin, { ...by, to: event.at }), [])
  assert.deepEqual(await actions(admin, { ...by, from: after }), [])
})

test('pages go from the newest to the oldest, and each event is on one of them', async () => {
  const all = await findAuditEvents(ctx, admin, { limit: 500 })
  const seen: string[] = []
  let cursor: string | null | undefined
  do {
    const page = await findAuditEvents(ctx, admin, { limit: 2, ...(cursor ? { cursor } : {}) })
    seen.push(...page.items.map(({ seq }) => seq))
    cursor = page.nextCursor
  } while (cursor)
  assert.deepEqual(
    seen,
    all.items.map(({ seq }) => seq),
  )
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => Number(b) - Number(a)),
  )
  for (const wrong of ['nonsense', Buffer.from('["x"]').toString('base64url')]) {
    await assert.rejects(actions(admin, { cursor: wrong }), isProblem('cursor-refused'))
  }
})

test('a tenant’s auditor sees what concerns that tenant; other roles see nothing', async () => {
  const events = (await findAuditEvents(ctx, auditor, {})).items
  assert.ok(events.length > 0 && events.every(({ tenant }) => tenant === 'shop'))
  assert.deepEqual((await findAuditEvents(ctx, auditor, { tenant: 'shop' })).items, events)
  for (const tenant of ['rival', 'nobody']) {
    await assert.rejects(actions(auditor, { tenant }), isProblem('tenant-unknown'))
  }
  for (const role of ['viewer', 'operator'] as const) {
    await assert.rejects(actions({ ...admin, role }, {}), isProblem('forbidden'))
    await assert.rejects(exportAuditEvents(ctx, { ...admin, role }, {}), isProblem('forbidden'))
  }
})

test('a tenant that is gone keeps its name in the trail', async () => {
  await createTenant(ctx, admin, { name: 'brief', domains: [] })
  await removeTenant(ctx, admin, 'brief')
  const [event] = (await findAuditEvents(ctx, admin, { action: 'tenant.removed' })).items
  assert.equal(event?.tenant, 'brief')
})

test('an export has every event once, oldest first, and ends though others are still written', async () => {
  const subject = { kind: 'cluster', id: 'many', name: 'many', tenantId: null } as const
  const write = (changes: object) =>
    ctx.db.transaction((tx) =>
      record(tx, { actor: admin, now: ctx.now() }, 'cluster.changed', {
        subject,
        changes: { ...changes },
      }),
    )
  for (let first = 0; first < 1100; first += 100) {
    await ctx.db.transaction(async (tx) => {
      for (let n = first; n < first + 100; n++) {
        const event = { subject, changes: { n } }
        await record(tx, { actor: admin, now: ctx.now() }, 'cluster.changed', event)
      }
    })
  }
  const sizes: number[] = []
  const seen: unknown[] = []
  for await (const portion of await exportAuditEvents(ctx, admin, { subjectId: 'many' })) {
    sizes.push(portion.length)
    seen.push(...portion.map(({ changes }) => changes.n))
    await write({ n: 'later' })
  }
  assert.deepEqual(seen, [...Array(1100).keys()])
  assert.deepEqual(sizes, [500, 500, 100])
})

test('no event holds a secret, whatever was done', async () => {
  const password = randomBytes(12).toString('hex')
  const kubeconfig = deadKubeconfig(password)
  const subject = { commonName: 'house' }
  await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject })
  const key = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
  const request = ['req', '-x509', '-key', 'key.pem', '-subj', '/CN=elsewhere', '-days', '90']
  const certificate = openssl(request, { 'key.pem': key })
  await importAuthority(ctx, admin, { name: 'elsewhere', certificate, privateKey: key })
  await changeTenant(ctx, admin, { name: 'shop', patch: { defaultAuthority: 'house' } })
  const asked = { name: 'ci', role: 'operator' } as const
  const made = await createApiKey(ctx, admin, { tenant: 'shop', request: asked })
  await revokeApiKey(ctx, admin, { tenant: 'shop', id: made.id })
  const ingress = { address: '127.0.0.1:1' }
  await createCluster(ctx, admin, { name: 'one', kubeconfig, ingress })
  await changeCluster(ctx, admin, { name: 'one', patch: { kubeconfig } })
  const to = { service: 'web', namespace: 'web', port: 80 }
  const name = { tenant: 'shop', name: 'www.shop.test' }
  await putHost(ctx, admin, { ...name, spec: { routes: [{ to }], clusters: ['one'] } })
  await removeHost(ctx, admin, name)
  const leaf = await issueCertificate(ctx, admin, {
    tenant: 'shop',
    request: { profile: 'server', dnsNames: ['a.shop.test'] },
    idempotencyKey: password,
  })
  const bundle = await getBundle(ctx, admin, { tenant: 'shop', id: leaf.id, privateKey: true })
  const trail: unknown[] = []
  for await (const portion of await exportAuditEvents(ctx, admin, {})) trail.push(...portion)
  const done = new Set(trail.map((event) => JSON.stringify(event).match(/"action":"(.*?)"/)?.[1]))
  for (const action of ['authority.imported', 'cluster.changed', 'certificate.downloaded']) {
    assert.ok(done.has(action), action)
  }
  const stored = await ctx.db.read.$queryRawUnsafe<{ row: string }[]>(
    'select row_to_json(audit_event)::text as row from audit_event',
  )
  const text = JSON.stringify([trail, stored])
  const secrets = [
    password,
    made.token,
    kubeconfig,
    ...pieces(key),
    ...pieces(bundle.body.toString()),
  ]
  for (const secret of secrets) assert.ok(!text.includes(secret), secret.slice(0, 20))
  // How a token begins is told: by it a leaked one is found.
  assert.doesNotMatch(text, /BEGIN|PRIVATE|gsm_[\w-]{9}/)
})

/** The lines of every block in PEM. */
function pieces(pem: string): readonly string[] {
  return pem.split('\n').filter((line) => line.length > 16 && !line.startsWith('-----'))
}

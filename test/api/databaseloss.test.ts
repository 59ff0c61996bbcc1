import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from '../../src/core/database/db.ts'
import { openTestApi } from '../support/api.ts'

const { ctx, http } = await openTestApi()
const root = { name: 'loss-root', kind: 'root', subject: { commonName: 'loss' } }
await http.post('/v1/authorities').send(root).expect(201)
const tenant = { name: 'loss', domains: ['loss.test'], defaultAuthority: 'loss-root' }
await http.post('/v1/tenants').send(tenant).expect(201)

const issue = () =>
  http
    .post('/v1/tenants/loss/certificates')
    .send({ profile: 'server', dnsNames: ['www.loss.test'] })

test('while the database ends its connections, requests are answered or told to come again', async (t) => {
  const seen: Record<number, number> = {}
  const isOver = () => (seen[201] ?? 0) >= 40 && (seen[503] ?? 0) >= 40
  const lane = async () => {
    while (!isOver()) {
      const { status, headers } = await issue()
      seen[status] = (seen[status] ?? 0) + 1
      assert.equal(headers['retry-after'], status === 503 ? '1' : undefined)
    }
  }
  const end = async () => {
    while (!isOver()) {
      await ctx.db.read
        .$queryRaw(sql`
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid()`)
        // The one that asks may be ended by the one before.
        .catch(() => undefined)
      await delay(50)
    }
  }
  await Promise.all([end(), ...Array.from({ length: 16 }, lane)])
  t.diagnostic(JSON.stringify(seen))
  assert.deepEqual(Object.keys(seen), ['201', '503'])
  await issue().expect(201)
})

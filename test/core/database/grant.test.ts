import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { linkEvents } from '../../../src/audit/chain/link.ts'
import { verifyAuditTrail } from '../../../src/audit/chain/verify.ts'
import { createAuthority } from '../../../src/authorities/create.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { openContext } from '../../../src/core/context.ts'
import { rawSql } from '../../../src/core/database/db.ts'
import { grantTo } from '../../../src/core/database/grant.ts'
import { migrate } from '../../../src/core/database/migrate.ts'
import { startWorker } from '../../../src/jobs/worker.ts'
import { changeTenant, createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext, testConfig } from '../../support/context.ts'

const owner = await openTestContext()
const { databaseUrl } = owner.config
const role = `app_${randomUUID().replaceAll('-', '')}`
const run = (statement: string) => owner.db.read.$executeRaw(rawSql(statement))
await run(`create role ${role} login password 'app'`)
const url = new URL(databaseUrl)
url.username = role
url.password = 'app'

test('with the rights that are granted serve and worker do all they do, and the audit trail only grows', async () => {
  await migrate(databaseUrl)
  await grantTo(databaseUrl, role)
  await grantTo(databaseUrl, role)
  assert.deepEqual(await migrate(url.href), [])
  const quiet = () => undefined
  const faults: unknown[] = []
  const log = { info: quiet, warn: quiet, error: (facts: object) => faults.push(facts) }
  const ctx = openContext(testConfig(url.href), log)
  const worker = await startWorker(ctx, 2)
  try {
    await createAuthority(ctx, admin, { name: 'ca', kind: 'root', subject: { commonName: 'ca' } })
    await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'], defaultAuthority: 'ca' })
    await issueCertificate(ctx, admin, {
      tenant: 'shop',
      request: { profile: 'server', dnsNames: ['www.shop.test'] },
      idempotencyKey: undefined,
    })
    await changeTenant(ctx, admin, { name: 'shop', patch: { namespaces: ['web'] } })
    // The worker gives its jobs back when they are done: none is left.
    while ((await jobs()) > 0) await wait(50)
    await linkEvents(ctx)
    assert.equal((await verifyAuditTrail(ctx, admin, {})).valid, true)
    for (const statement of [
      `update audit_event set "actorName" = 'mallory'`,
      'delete from audit_event',
      'truncate audit_event',
      'alter table audit_event disable trigger all',
      `update audit_link set "position" = 7`,
      'delete from audit_checkpoint',
    ]) {
      await assert.rejects(
        ctx.db.read.$executeRaw(rawSql(statement)),
        /permission denied|must be owner/,
      )
    }
    assert.deepEqual(faults, [])
  } finally {
    await worker.stop()
    await ctx.db.close()
  }
})

async function jobs(): Promise<number> {
  const [row] = await owner.db.read.$queryRaw<readonly { readonly count: number }[]>(
    rawSql(`select count(*)::int as count from graphile_worker._private_jobs
      join graphile_worker._private_tasks tasks on tasks.id = task_id
      where tasks.identifier = 'tenant.review' and run_at <= now()`),
  )
  return row?.count ?? 0
}

test('a role that may do more, or that is not there, is refused by name', async () => {
  await assert.rejects(grantTo(databaseUrl, 'nobody-of-this-name'), /There is no role/)
  await run(`alter role ${role} superuser`)
  await assert.rejects(grantTo(databaseUrl, role), /may do more than it should \(audit_event/)
  await run(`drop owned by ${role}`)
  await run(`drop role ${role}`)
})

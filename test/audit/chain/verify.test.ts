import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { linkEvents } from '../../../src/audit/chain/link.ts'
import { latestCheckpoint, verifyAuditTrail } from '../../../src/audit/chain/verify.ts'
import { exportAuditEvents, findAuditEvents } from '../../../src/audit/find.ts'
import { record } from '../../../src/audit/record.ts'
import type { Actor } from '../../../src/core/actor.ts'
import { rawSql, sql } from '../../../src/core/database/db.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { isProblem } from '../../support/problem.ts'
import { startProcess } from '../../support/process.ts'

let clock = new Date()
const ctx = await openTestContext({ now: () => clock })
await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'] })
await createTenant(ctx, admin, { name: 'rival', domains: ['rival.test'] })
const ids = await ctx.db.read.tenant.findMany({ select: { id: true, name: true } })
const idOf = (name: string) => ids.find((each) => each.name === name)?.id ?? ''
const shopAuditor: Actor = { ...admin, role: 'auditor', tenantId: idOf('shop') }

const pass = (minutes: number) => {
  clock = new Date(clock.getTime() + minutes * 60_000)
}

async function happen(count: number, tenant: string): Promise<void> {
  for (let each = 0; each < count; each++) {
    await ctx.db.transaction((tx) =>
      record(tx, { actor: admin, now: clock }, 'tenant.changed', {
        subject: { kind: 'tenant', id: idOf(tenant), name: tenant, tenantId: idOf(tenant) },
        changes: { each, zeta: 'z', alpha: ['b', 'a'], note: 'ü "quoted" \\ €' },
      }),
    )
  }
}

const verify = (actor: Actor = admin) => verifyAuditTrail(ctx, actor, {})

/** Changes what is stored as who owns the tables could, and puts it back. */
async function tampered(table: string, change: string, back: string, look: () => Promise<unknown>) {
  const run = async (statement: string) => {
    await ctx.db.transaction(async (tx) => {
      await tx.$executeRaw(rawSql(`alter table ${table} disable trigger ${table}_is_final`))
      await tx.$executeRaw(rawSql(statement))
      await tx.$executeRaw(rawSql(`alter table ${table} enable trigger ${table}_is_final`))
    })
  }
  await run(change)
  try {
    await look()
  } finally {
    await run(back)
  }
  assert.equal((await verify()).valid, true)
}

await happen(5, 'shop')
await happen(3, 'rival')
const linked = await linkEvents(ctx)
pass(5)
await happen(4, 'shop')
await linkEvents(ctx)
pass(5)

const { items } = await findAuditEvents(ctx, admin, { tenant: 'shop', limit: 500 })
const seqs = items.map(({ seq }) => seq)
const [newest = '', second = ''] = seqs
const oldest = seqs.at(-3) ?? ''

const kinds = async (actor: Actor = admin) => {
  const { valid, faults } = await verify(actor)
  assert.equal(valid, faults.length === 0)
  return faults.map(({ kind, seq }) => [kind, seq])
}

test('what was written is valid, every event has its place, and the rest is counted', async () => {
  const { valid, events, faults, unlinked, nextCursor, checkpoint, key } = await verify()
  assert.deepEqual([valid, faults, unlinked, nextCursor], [true, [], 0, null])
  assert.equal(events, await ctx.db.read.auditEvent.count())
  assert.equal(events, linked + 4)
  assert.equal(checkpoint, await latestCheckpoint(ctx, admin))
  assert.match(key ?? '', /^pki\.gatesmith\.test\/audit\+[0-9a-f]{8}\+/)
  assert.ok(items.every(({ chain }) => chain?.id === idOf('shop')))
  assert.deepEqual(
    items.map(({ chain }) => Number(chain?.position)),
    items.map((_, at) => items.length - at),
  )
})

test('a tenant has its own chain looked at, and page by page it is the same', async () => {
  const own = await verify(shopAuditor)
  assert.deepEqual([own.valid, own.events], [true, items.length])
  const first = await verifyAuditTrail(ctx, admin, { limit: 1 })
  assert.equal(first.events, linked)
  const rest = await verifyAuditTrail(ctx, admin, { cursor: first.nextCursor ?? '' })
  assert.deepEqual([rest.valid, rest.events, rest.nextCursor], [true, 4, null])
  await assert.rejects(
    verifyAuditTrail(ctx, admin, { cursor: Buffer.from('["3"]').toString('base64url') }),
    isProblem('cursor-refused'),
  )
})

test('a changed event is found and named', async () => {
  for (const [column, value] of [
    ['"actorName"', `'mallory'`],
    ['"changes"', `"changes" || '{"each": 9}'`],
    ['"action"', `'tenant.created'`],
    ['"at"', `"at" + interval '1 second'`],
    ['"subjectName"', `'other'`],
  ] as const) {
    const [before] = await ctx.db.read.$queryRaw<readonly { readonly was: string }[]>(
      sql`select quote_literal(${rawSql(column)}::text) as was from audit_event where "seq" = ${BigInt(second)}`,
    )
    const type = column === '"changes"' ? '::jsonb' : column === '"at"' ? '::timestamptz' : ''
    await tampered(
      'audit_event',
      `update audit_event set ${column} = ${value} where "seq" = ${second}`,
      `update audit_event set ${column} = ${before?.was}${type} where "seq" = ${second}`,
      async () => assert.deepEqual(await kinds(), [['changed', second]], column),
    )
  }
})

test('an event that was given to another tenant is found and named', async () => {
  await tampered(
    'audit_event',
    `update audit_event set "tenantId" = '${idOf('rival')}' where "seq" = ${second}`,
    `update audit_event set "tenantId" = '${idOf('shop')}' where "seq" = ${second}`,
    async () => assert.deepEqual(await kinds(), [['changed', second]]),
  )
})

test('a removed event is found and named', async () => {
  await ctx.db.read.$executeRaw(
    sql`create table kept as select * from audit_event where "seq" = ${BigInt(newest)}`,
  )
  await tampered(
    'audit_event',
    `delete from audit_event where "seq" = ${newest}`,
    'insert into audit_event select * from kept',
    async () => assert.deepEqual(await kinds(shopAuditor), [['removed', newest]]),
  )
})

test('an event that was put in between is found and named', async () => {
  await ctx.db.read.$executeRaw(sql`
    create table moved as select * from audit_event where "seq" = ${BigInt(oldest)}`)
  await tampered(
    'audit_event',
    `insert into audit_event select -5, "at", "actorKind", "actorId", "actorName", "requestId", "tenantId",
       "action", "subjectKind", "subjectId", "subjectName", "changes" from moved`,
    'delete from audit_event where "seq" = -5',
    async () => assert.deepEqual(await kinds(), [['inserted', '-5']]),
  )
})

test('events that changed places are found and named', async () => {
  const swap = `update audit_event set "changes" = other."changes", "requestId" = other."requestId"
    from audit_event other where audit_event."seq" in (${newest}, ${second})
      and other."seq" in (${newest}, ${second}) and other."seq" <> audit_event."seq"`
  await tampered('audit_event', swap, swap, async () =>
    assert.deepEqual(
      (await kinds()).toSorted(),
      [
        ['reordered', newest],
        ['reordered', second],
      ].toSorted(),
    ),
  )
})

test('links that were rewritten with their events do not fit the signed checkpoint', async () => {
  const flip = `update audit_link set "hash" = set_byte("hash", 0, 255 - get_byte("hash", 0)) where "seq" = ${newest}`
  await tampered('audit_link', flip, flip, async () => {
    const found = await kinds()
    assert.ok(found.some(([kind, seq]) => kind === 'log' && seq === null))
  })
})

test('a checkpoint that nobody signed is found', async () => {
  const flip = `update audit_checkpoint set "note" = translate("note", '0123456789', '1032547698')`
  await tampered('audit_checkpoint', flip, flip, async () =>
    assert.ok((await kinds()).every(([kind]) => kind === 'log')),
  )
})

test('an event that is dated back when it is written is found and named', async () => {
  const before = clock
  pass(-60)
  await happen(1, 'rival')
  clock = before
  await happen(1, 'rival')
  await linkEvents(ctx)
  const [, dated] = (await findAuditEvents(ctx, admin, { tenant: 'rival', limit: 2 })).items
  // It is only seen among those of one checkpoint: alone it may as well be a clock that was wrong.
  await happen(1, 'rival')
  pass(-60)
  await happen(1, 'rival')
  clock = before
  await linkEvents(ctx)
  const [last] = (await findAuditEvents(ctx, admin, { tenant: 'rival', limit: 1 })).items
  assert.deepEqual(await kinds(), [['back-dated', last?.seq]])
  assert.notEqual(dated?.seq, last?.seq)
})

test('an export is verified without the service, and against a checkpoint that was kept', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gatesmith-audit-'))
  after(() => rm(folder, { recursive: true }))
  const lines: string[] = []
  for await (const events of await exportAuditEvents(ctx, admin, {})) {
    lines.push(...events.map((event) => JSON.stringify(event)))
  }
  const { key, checkpoint } = await verify()
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }
  const note = await file('checkpoint', checkpoint ?? '')
  const run = async (path: string) => {
    const running = startProcess([
      'audit',
      'verify',
      path,
      '--checkpoint',
      note,
      '--key',
      key ?? '',
    ])
    return { code: await running.ended, ...running.said }
  }
  const whole = await run(await file('whole', `${lines.join('\n')}\n`))
  assert.equal(whole.code, 0, whole.err)
  assert.match(whole.out, /^Nothing is wrong: \d+ events in 2 chains/)
  const changed = await run(
    await file(
      'changed',
      lines.join('\n').replace('"action":"tenant.changed"', '"action":"tenant.removed"'),
    ),
  )
  assert.equal(changed.code, 1)
  assert.match(changed.out, /was changed: it does not fit its place in chain/)
  const short = await run(await file('short', lines.slice(0, -1).join('\n')))
  assert.equal(short.code, 1)
  assert.match(short.out, /The checkpoint holds \d+ events, and \d+ of them are here/)
  const nothing = await run(await file('nothing', 'nothing'))
  assert.equal(nothing.code, 1)
  assert.match(nothing.err, /This is no line of an export/)
})

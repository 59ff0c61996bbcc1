import assert from 'node:assert/strict'
import { randomInt, X509Certificate } from 'node:crypto'
import { after, test } from 'node:test'
import Type from 'typebox'
import Value from 'typebox/value'
import { createAuthority } from '../../../src/authorities/create.ts'
import { finishCertificates } from '../../../src/certificates/issuance/finish.ts'
import { readConfig } from '../../../src/core/config.ts'
import { openContext } from '../../../src/core/context.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { tokenFor } from '../../support/api.ts'
import { admin, openTestDatabase } from '../../support/context.ts'
import {
  freePorts,
  kill,
  type Running,
  settingsFor,
  startProcess,
  until,
  untilReady,
} from '../../support/process.ts'

// kill -9 of servers that issue: no certificate exists that is not recorded, and a retry with the same
// Idempotency-Key answers with the same certificate.

const settings = await settingsFor(await openTestDatabase())
const quiet = () => undefined
const log = { info: quiet, warn: quiet, error: console.error }
const ctx = openContext(readConfig(settings), log)
after(() => ctx.db.close())
/** The same service three minutes later, when what was cut short is settled. */
const later = { ...ctx, now: () => new Date(Date.now() + 180_000) }

await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject: { commonName: 'root' } })
await createTenant(ctx, admin, {
  name: 'shop',
  domains: ['shop.test'],
  defaultAuthority: 'root',
})
const token = await tokenFor(ctx, null)

const Made = Type.Object({
  id: Type.String(),
  serial: Type.String(),
  status: Type.String(),
  dnsNames: Type.Array(Type.String()),
  pem: Type.String(),
})
type Made = Type.Static<typeof Made>

/** One request with its key; rejects when the server is gone before it has answered. */
async function post(url: string, key: string): Promise<Made> {
  const answer = await fetch(`${url}/v1/tenants/shop/certificates`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'idempotency-key': key,
    },
    body: JSON.stringify({ profile: 'server', dnsNames: [`${key}.shop.test`] }),
    signal: AbortSignal.timeout(120_000),
  })
  const text = await answer.text()
  assert.equal(answer.status, 201, text)
  return Value.Parse(Made, JSON.parse(text))
}

async function rowsOf(name: string) {
  return ctx.db.read.certificate.findMany({
    where: { dnsNames: { has: name } },
    select: { id: true, serial: true, status: true },
  })
}

test('killed at any step of issuing, a retry answers with the one certificate that is on record', async () => {
  const steps = [
    ['after reserve', ['signing']],
    ['after sign', ['signing']],
    ['after complete', ['active']],
  ] as const
  const script = 'test/support/dyingserver.ts'
  const ports = await freePorts(steps.length)
  const recorded = await Promise.all(
    steps.map(async ([step, statuses], index) => {
      const own = { ...settings, GATESMITH_PORT: String(ports[index]), GATESMITH_TEST_DIE: step }
      const dying = startProcess([], own, script)
      const key = step.replace(' ', '-')
      await assert.rejects(post(await untilReady(dying, own), key), step)
      assert.equal(await dying.ended, null)
      const rows = await rowsOf(`${key}.shop.test`)
      assert.deepEqual(
        rows.map(({ status }) => status),
        statuses,
        step,
      )
      return { key, before: rows }
    }),
  )
  const server = startProcess(['serve'], settings)
  const url = await untilReady(server, settings)
  for (const { key, before } of recorded) {
    const made = await post(url, key)
    const [row, ...more] = await rowsOf(`${key}.shop.test`)
    assert.deepEqual(more, [])
    assert.deepEqual(row, { id: made.id, serial: made.serial, status: 'active' })
    for (const { id, serial } of before) assert.deepEqual([id, serial], [made.id, made.serial])
    assert.equal((await post(url, key)).pem, made.pem)
  }
  await kill(server)
  const told = await ctx.db.read.auditEvent.findMany({ where: { action: 'certificate.issued' } })
  assert.equal(told.length, steps.length)
  for (const event of told) assert.equal(event.actorKind, 'api-key')
})

test('what nobody asks for again is settled by itself', async () => {
  const own = { ...settings, GATESMITH_TEST_DIE: 'after sign' }
  const script = 'test/support/dyingserver.ts'
  const dying = startProcess([], own, script)
  await assert.rejects(post(await untilReady(dying, own), 'forgotten'))
  assert.equal(await finishCertificates(ctx), 0)
  assert.equal(await finishCertificates(later), 1)
  const [row] = await rowsOf('forgotten.shop.test')
  assert.equal(row?.status, 'active')
  // The audit trail names who asked, not the job that finished it, and its row says no more of it.
  const { kind, id, name, requestId } = await askedBy(row.id)
  const { id: keyId, name: keyName } = await ctx.db.read.apiKey.findFirstOrThrow()
  assert.deepEqual({ kind, id, name }, { kind: 'api-key', id: keyId, name: keyName })
  assert.match(requestId ?? '', /./)
  const kept = await ctx.db.read.certificate.findUniqueOrThrow({ where: { id: row.id } })
  assert.deepEqual([kept.tbs, kept.actor], [null, null])
})

async function askedBy(certificateId: string) {
  const event = await ctx.db.read.auditEvent.findFirstOrThrow({
    where: { action: 'certificate.issued', subjectId: certificateId },
  })
  const { actorKind: kind, actorId: id, actorName: name, requestId } = event
  return { kind, id, name, requestId }
}

test('killed again and again under load, servers lose no certificate and make none twice', async (t) => {
  const answered = new Map<string, Made>()
  let keys = 0
  /** Asks and asks until the server is gone. */
  const lane = async (url: string, { child }: Running) => {
    while (child.signalCode === null) {
      const key = `load-${keys++}`
      const made = await post(url, key).catch((error: unknown) => {
        if (error instanceof assert.AssertionError) throw error
      })
      if (!made) return
      answered.set(key, made)
    }
  }
  for (let round = 0; round < 2; round++) {
    const server = startProcess(['serve'], settings)
    const url = await untilReady(server, settings)
    const enough = answered.size + randomInt(20, 100)
    const lanes = Array.from({ length: 24 }, () => lane(url, server))
    await until('enough are answered', () => (answered.size >= enough ? true : undefined))
    await kill(server)
    await Promise.all(lanes)
  }
  const cut = await ctx.db.read.certificate.count({ where: { status: 'signing' } })
  t.diagnostic(`${keys} asked for, ${answered.size} answered, ${cut} cut short while being signed`)
  const server = startProcess(['serve'], settings)
  const url = await untilReady(server, settings)
  const again = async (which: (index: number) => boolean) => {
    const indexes = Array.from({ length: keys }, (_, index) => index).filter(which)
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let index = indexes.pop(); index !== undefined; index = indexes.pop()) {
          const key = `load-${index}`
          const made = await post(url, key)
          assert.deepEqual(made, answered.get(key) ?? made)
          answered.set(key, made)
        }
      }),
    )
  }
  // Some are settled by a retry, the others by the job.
  await again((index) => index % 2 === 0)
  await finishCertificates(later)
  assert.equal(await ctx.db.read.certificate.count({ where: { status: 'signing' } }), 0)
  await again((index) => index % 2 === 1)
  await kill(server)
  await isOnRecord([...answered.values()], keys)
})

/** Every answer is the row of its key, byte by byte, and told of once. */
async function isOnRecord(made: readonly Made[], keys: number): Promise<void> {
  const rows = await ctx.db.read.certificate.findMany({
    where: { dnsNames: { isEmpty: false }, commonName: null },
    select: { id: true, serial: true, status: true, dnsNames: true, der: true },
  })
  const load = rows.filter(({ dnsNames: [name = ''] }) => name.startsWith('load-'))
  assert.deepEqual([load.length, made.length], [keys, keys])
  assert.equal(new Set(load.map(({ serial }) => serial)).size, keys)
  assert.equal(new Set(load.map(({ dnsNames: [name] }) => name)).size, keys)
  const byId = new Map(load.map((row) => [row.id, row]))
  for (const { id, pem, serial, status } of made) {
    const row = byId.get(id)
    assert.ok(row?.der)
    assert.ok(new X509Certificate(pem).raw.equals(row.der))
    assert.deepEqual([serial, status], [row.serial, 'active'])
  }
  const told = await ctx.db.read.auditEvent.findMany({
    where: { action: 'certificate.issued' },
    select: { subjectId: true },
  })
  const ids = told.map(({ subjectId }) => subjectId)
  assert.equal(new Set(ids).size, ids.length)
  assert.deepEqual(ids.toSorted(), rows.map(({ id }) => id).toSorted())
}

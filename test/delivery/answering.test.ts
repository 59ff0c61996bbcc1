import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { certifyHost } from '../../src/certificates/hosts/certify.ts'
import { newId } from '../../src/core/context.ts'
import { pushPlacement } from '../../src/delivery/push.ts'
import { until } from '../support/process.ts'
import { confirm, openStage, placementOf, put } from './support.ts'

const { ctx } = await openStage()
const name = 'www.shop.test'

/** Has the gateways of the host answer a CA elsewhere. */
async function present(hostId: string, tenantId: string): Promise<string> {
  const now = ctx.now()
  const { id: authorityId } = await ctx.db.read.authority.findFirstOrThrow({
    where: { name: 'house' },
  })
  const [orderId, id] = [newId(now), newId(now)]
  await ctx.db.read.caOrder.create({
    data: {
      ...{ id: orderId, tenantId, hostId, authorityId, names: [name], createdAt: now },
      ...{ keyAlgorithm: 'ECDSA_P256', csr: new Uint8Array(), state: 'authorizing' },
    },
  })
  await ctx.db.read.caChallenge.create({
    data: {
      ...{ id, orderId, hostId, authorityId, name, type: 'http-01', presentedAt: now },
      ...{ authorization: 'a', url: 'u', createdAt: now },
      ...{ token: 't'.repeat(43), keyAuthorization: `${'t'.repeat(43)}.k` },
    },
  })
  return id
}

test('a push that read a host before its certificate was there, and cleans up after its challenge, leaves it to the next', async () => {
  await put(ctx, name)
  const { id: hostId, tenantId } = await ctx.db.read.host.findFirstOrThrow({ where: { name } })
  const challengeId = await present(hostId, tenantId)
  const { id, clusterId } = (await placementOf(ctx, name)).row
  await pushPlacement(ctx, { placementId: id })
  assert.deepEqual(
    (await placementOf(ctx, name)).shown.objects.map(({ kind }) => kind),
    ['Gateway', 'VirtualService'],
  )
  const other = new pg.Client({ connectionString: ctx.config.databaseUrl })
  await other.connect()
  await other.query('begin')
  await other.query('lock table ca_challenge in access exclusive mode')
  await ctx.db.statement('delete from graphile_worker._private_jobs', [])
  // It has read that there is no certificate, and waits to read what is to be answered.
  const early = pushPlacement(ctx, { placementId: id })
  await until('the push waits', async () => {
    const { rows } = await other.query(
      `select from pg_locks where relation = 'ca_challenge'::regclass and not granted`,
    )
    return rows.length > 0 || undefined
  })
  await other.query('update ca_challenge set "cleanedAt" = now() where id = $1', [challengeId])
  await certifyHost(ctx, hostId)
  await other.query('commit')
  await other.end()
  await early
  const key = `placement.push/${id}/${clusterId}`
  const due = await ctx.db.statement(
    'select from graphile_worker._private_jobs where key = $1 and run_at <= now()',
    [key],
  )
  assert.equal(due.length, 1)
  await pushPlacement(ctx, { placementId: id })
  await confirm(ctx, id)
  assert.equal((await placementOf(ctx, name)).shown.status, 'Synced')
})

import { record } from '../../audit/record.ts'
import { type Actor, allowPlatform, systemActor } from '../../core/actor.ts'
import { type Context, inTransaction } from '../../core/context.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { due, dueMany } from '../../core/database/due.ts'
import { oneOf } from '../../shared/oneof.ts'
import { Problem } from '../../shared/problem.ts'
import { needTwo } from '../approvals/policy.ts'
import { authoritySubject } from '../authority.ts'
import { issuingAuthority } from '../issuers/current.ts'
import { dueAll, trustingPlacements } from '../trust/placements.ts'
import { getRotation, outstanding, type RotationRow, readRotation, rotationFacts } from './find.ts'
import { nextStep, type Rotation, type RotationStep, rotationSteps } from './steps.ts'

const second = 1000

/** How long each step waits before it looks again. */
const pollMilliseconds: Readonly<Record<RotationStep, number>> = {
  trust: 10 * second,
  leaves: 5 * second,
  clients: 3600 * second,
  distrust: 10 * second,
  done: 0,
}

/** How many certificates one look renews, so that not all gateways get new ones at once. */
const batchSize = 200

const actor = systemActor('authority.rotate')

/** Moves the rotation of an authority's key as far as it can go now, and looks again later. It depends
 *  only on what is stored: it may run twice, late or after a crash. */
export async function advanceRotation(ctx: Context, authorityId: string): Promise<void> {
  for (;;) {
    const row = await readRotation(ctx.db.read, authorityId)
    if (!row || row.step === 'done') return
    const now = ctx.now()
    const step = oneOf(rotationSteps, row.step)
    const left = await outstanding(ctx.db.read, row, now)
    const next = nextStep(step, rotationFacts(row, left), now)
    if (next === step) {
      return ctx.db.transaction(async (tx) => {
        await recordSettled(tx, row, { unsettled: left.unsettled.length, now })
        await startPendingWork(tx, row, { ...left, step, now })
        await due(
          tx,
          'authority.rotate',
          { authorityId },
          new Date(now.getTime() + pollMilliseconds[step]),
        )
      })
    }
    await ctx.db.transaction((tx) => enterStep(tx, row, { next, now }))
  }
}

/** Makes every unfinished rotation due, in case its job was lost. Answers how many. */
export async function resumeRotations(ctx: Context): Promise<number> {
  const rows = await ctx.db.read.rotation.findMany({
    where: { step: { not: 'done' } },
    select: { authorityId: true },
  })
  for (const { authorityId } of rows) {
    await ctx.db.transaction((tx) => due(tx, 'authority.rotate', { authorityId }))
  }
  return rows.length
}

/** Records since when every gateway has had the trust that it should have. */
async function recordSettled(
  tx: Tx,
  { id, step, settledAt }: RotationRow,
  { unsettled, now }: { unsettled: number; now: Date },
): Promise<void> {
  const at = unsettled === 0 ? (settledAt ?? now) : null
  if (at === settledAt) return
  await tx.rotation.updateMany({ where: { id, step }, data: { settledAt: at } })
}

type Left = Awaited<ReturnType<typeof outstanding>> & {
  readonly step: RotationStep
  readonly now: Date
}

/** Starts the pushes or renewals that the step waits for. */
async function startPendingWork(
  tx: Tx,
  row: RotationRow,
  { step, now, unsettled, hosts }: Left,
): Promise<void> {
  if (step === 'trust' || step === 'distrust') {
    // The others have a push under way, or its next attempt waiting.
    return dueAll(
      tx,
      unsettled.filter(({ status }) => status === 'Synced'),
    )
  }
  const own = hosts.filter(({ waits }) => !waits).slice(0, batchSize)
  const ready = await tx.host.findMany({
    where: {
      id: { in: own.map(({ id }) => id) },
      certificate: { OR: [{ renewAfter: null }, { renewAfter: { lte: now } }] },
    },
    select: { id: true },
  })
  await dueMany(
    tx,
    'host.certify',
    ready.map(({ id: hostId }) => ({ hostId })),
  )
  await tx.$executeRaw(sql`
    update certificate set "renewAt" = ${now}::timestamptz where "id" in (
      select certificate."id" from certificate join issuer on issuer."id" = certificate."issuerId"
      where "autoRenew" and "hostId" is null and "renewAt" > ${now}::timestamptz
        and issuer."keyId" = ${row.from.keyId}::uuid
      order by "renewAt" limit ${batchSize}::int)`)
}

async function enterStep(
  tx: Tx,
  row: RotationRow,
  { next, now }: { next: RotationStep; now: Date },
): Promise<void> {
  const { authority } = row
  const { count } = await tx.rotation.updateMany({
    where: { id: row.id, step: row.step },
    data: { step: next, since: now, settledAt: null },
  })
  // Somebody else was first.
  if (count === 0) return
  if (next === 'leaves') {
    await tx.issuer.update({ where: { id: row.fromId }, data: { issues: false } })
    await tx.issuer.update({ where: { id: row.toId }, data: { issues: true } })
  }
  if (next === 'distrust') {
    await tx.issuer.updateMany({ where: { keyId: row.from.keyId }, data: { trusted: false } })
    await dueAll(tx, await trustingPlacements(tx, authority.name))
  }
  const action = next === 'done' ? 'authority.rotated' : 'authority.rotating'
  await record(tx, { actor, now }, action, {
    subject: authoritySubject(authority),
    changes: { step: next, from: row.from.serial, to: row.to.serial },
  })
}

/** Has the old key retired although certificates of it are left, whose holders will be turned away:
 *  from the deadline on. Throws authority-unknown, rotation-unknown, rotation-unfinished, approval-needed. */
export async function retireRotated(ctx: Context, by: Actor, name: string): Promise<Rotation> {
  allowPlatform(by, 'write-authorities')
  const authority = await issuingAuthority(ctx, { name, tenantId: null })
  const { id: authorityId } = authority
  needTwo(ctx, authority)
  const row = await readRotation(ctx.db.read, authorityId)
  if (!row) throw new Problem('rotation-unknown', `The key of "${name}" was never changed`)
  const now = ctx.now()
  if (row.step === 'trust' || row.step === 'leaves') {
    throw new Problem(
      'rotation-unfinished',
      `It is at the step "${row.step}": hosts still need the old key`,
    )
  }
  if (row.step === 'clients' && row.retiredBy === null) {
    if (now < row.deadline) {
      throw new Problem(
        'rotation-unfinished',
        `Certificates of the old key are left (GET …/rotation says which): it may be retired from ${row.deadline.toISOString()} on`,
      )
    }
    return ctx.db.transaction(async (tx) => {
      await tx.rotation.updateMany({
        where: { id: row.id, retiredBy: null },
        data: { retiredBy: by.name },
      })
      await record(tx, { actor: by, now }, 'authority.retirement-confirmed', {
        subject: authoritySubject(row.authority),
        changes: { from: row.from.serial },
      })
      await due(tx, 'authority.rotate', { authorityId })
      return getRotation(inTransaction(ctx, tx), by, name)
    })
  }
  return getRotation(ctx, by, name)
}

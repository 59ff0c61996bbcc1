import { createHash } from 'node:crypto'
import { record } from '../../audit/record.ts'
import type { Context } from '../../core/context.ts'
import { json, sql, type Tx } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { accountActor, withNames } from '../accounts/find.ts'
import { AcmeProblem, keptProblem } from '../problem.ts'
import { lookForHttp, type Sought } from './http.ts'
import { resolverOf } from './reach.ts'
import { lookForTlsAlpn } from './tlsalpn.ts'

/** After how many seconds it is looked for again; then no more. */
const pauses = [2, 5, 15]

const looks: Readonly<Record<string, (ctx: Context, sought: Sought) => Promise<void>>> = {
  'http-01': lookForHttp,
  'dns-01': lookForTxt,
  'tls-alpn-01': lookForTlsAlpn,
}

type ChallengeRow = NonNullable<Awaited<ReturnType<typeof readChallenge>>>

function readChallenge(tx: Tx, id: string) {
  return tx.acmeChallenge.findUnique({
    where: { id },
    include: {
      authorization: { include: { order: { include: { account: { include: withNames } } } } },
    },
  })
}

/** Looks for a challenge that is `processing`, a few times; then its authorization is valid, or invalid and its order
 *  with it. Driven by what is stored alone, so that it may run twice, late, or after a crash. */
export async function validateChallenge(ctx: Context, id: string): Promise<void> {
  const row = await readChallenge(ctx.db.read, id)
  if (row?.status !== 'processing' || row.authorization.status !== 'pending') return
  const failure = await lookFor(ctx, row)
  if (!failure) return settle(ctx, row, undefined)
  const pause = pauses[row.attempts]
  if (pause === undefined) return settle(ctx, row, failure)
  const at = new Date(ctx.now().getTime() + pause * 1000)
  await ctx.db.transaction(async (tx) => {
    const data = { attempts: row.attempts + 1, error: json(keptProblem(failure)) }
    const where = { id, status: 'processing', attempts: row.attempts }
    await tx.acmeChallenge.updateMany({ where, data })
    await due(tx, 'acme.validate', { challengeId: id }, at)
  })
}

/** Why it was not found; undefined: it was. */
async function lookFor(ctx: Context, row: ChallengeRow): Promise<AcmeProblem | undefined> {
  const { authorization, token, type } = row
  const { thumbprint } = authorization.order.account
  const keyAuthorization = `${token}.${thumbprint}`
  try {
    const look = looks[type]
    if (!look) throw new Error(`challenges of the kind ${type} are not looked for`)
    await look(ctx, { value: authorization.value, token, keyAuthorization })
    return undefined
  } catch (error) {
    if (error instanceof AcmeProblem) return error
    throw error
  }
}

async function settle(
  ctx: Context,
  { id, type, attempts, authorization }: ChallengeRow,
  failure: AcmeProblem | undefined,
): Promise<void> {
  const { id: authorizationId, orderId, value, tenantId, order } = authorization
  const now = ctx.now()
  const status = failure ? 'invalid' : 'valid'
  const found = failure
    ? { error: json(keptProblem(failure)) }
    : { validatedAt: new Date(Math.floor(now.getTime() / 1000) * 1000) }
  await ctx.db.transaction(async (tx) => {
    // Of two authorizations that become valid at once the later sees both.
    await tx.$executeRaw(sql`select 1 from acme_order where "id" = ${orderId}::uuid for update`)
    const open = { id: authorizationId, status: 'pending' }
    const { count } = await tx.acmeAuthorization.updateMany({ where: open, data: { status } })
    if (count === 0) return
    await tx.acmeChallenge.update({
      where: { id },
      data: { status, attempts: attempts + 1, ...found },
      select: { id: true },
    })
    await moveOrder(tx, orderId, failure)
    const actor = accountActor(order.account, null)
    const action = failure ? 'acme-order.refused' : 'acme-order.authorized'
    await record(tx, { actor, now }, action, {
      subject: { kind: 'acme-order', id: orderId, name: value, tenantId },
      changes: { identifier: value, challenge: type, reason: failure?.message },
    })
  })
}

/** An order is ready when all that it waits for is there, and invalid when something never will be. */
async function moveOrder(tx: Tx, id: string, failure: AcmeProblem | undefined): Promise<void> {
  const where = { id, status: 'pending' }
  if (failure) {
    const error = json(keptProblem(failure))
    await tx.acmeOrder.updateMany({ where, data: { status: 'invalid', error } })
    return
  }
  const left = await tx.acmeAuthorization.count({
    where: { orderId: id, status: { not: 'valid' } },
  })
  if (left === 0) await tx.acmeOrder.updateMany({ where, data: { status: 'ready' } })
}

/** Looks for dns-01 (RFC 8555 8.4). Throws dns, incorrectResponse. */
async function lookForTxt(ctx: Context, { value, keyAuthorization }: Sought): Promise<void> {
  const name = `_acme-challenge.${value}`
  const wanted = createHash('sha256').update(keyAuthorization).digest('base64url')
  const records = await recordsAt(ctx, name)
  if (records.some((parts) => parts.join('') === wanted)) return
  throw new AcmeProblem(
    'incorrectResponse',
    `${name} has ${records.length} TXT records, and none of them is what it should be`,
  )
}

async function recordsAt(ctx: Context, name: string): Promise<readonly (readonly string[])[]> {
  try {
    return await resolverOf(ctx).resolveTxt(name)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no answer'
    throw new AcmeProblem('dns', `No TXT record of ${name} was found: ${code}`)
  }
}

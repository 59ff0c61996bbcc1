import { requestDigest } from '../../certificates/issuance/idempotency.ts'
import { issueWithinQuota } from '../../certificates/issuance/issue.ts'
import { isTransient } from '../../certificates/issuance/transient.ts'
import { recordReplaced } from '../../certificates/renewal/predecessor.ts'
import { allowed } from '../../certificates/vetting/check.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { json } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { minute } from '../../shared/moment.ts'
import { oneOf } from '../../shared/oneof.ts'
import { Problem } from '../../shared/problem.ts'
import { spkiOf } from '../../x509/keys/public.ts'
import { type AccountRow, accountActor, withNames } from '../accounts/find.ts'
import { jwkKey } from '../accounts/keys.ts'
import { AcmeProblem, keptProblem } from '../problem.ts'
import { AcmeProfile } from '../profiles.ts'
import { type AcmeOrder, findOrder, identifiersOf } from './find.ts'
import { areNamedBy, type Identifier } from './identifiers.ts'
import { asBadCsr, readCsr, vet } from './vet.ts'

/** How long a request may take before its order is finished without it. */
const grace = minute

/** A certificate request (DER) for an order. */
export type Finalization = {
  readonly account: AccountRow
  readonly id: string
  readonly csr: Buffer
}

/** Has the certificate of an order issued (RFC 8555 7.4), in the steps of any certificate: what was asked for is on
 *  record before anything is signed, and an order that is cut short is finished by a job, with the same certificate.
 *  Throws orderNotReady, badCSR, rateLimited by quota-exceeded. */
export async function finalizeOrder(
  ctx: Context,
  actor: Actor,
  { account, id, csr }: Finalization,
): Promise<AcmeOrder> {
  const order = await findOrder(ctx, account, id)
  if (order.status !== 'ready') {
    throw new AcmeProblem('orderNotReady', `The order is ${order.status}, and not ready`)
  }
  const pem = await checkedCsr(ctx, actor, { account, order, csr })
  await ctx.db.transaction(async (tx) => {
    const where = { id, status: 'ready' }
    const data = { status: 'processing', csr: pem }
    const { count } = await tx.acmeOrder.updateMany({ where, data })
    if (count === 0) throw new AcmeProblem('orderNotReady', 'The order is being finished already')
    await due(tx, 'acme.finish', { orderId: id }, new Date(ctx.now().getTime() + grace))
  })
  await issueFor(ctx, actor, { account, order: { ...order, csr: pem } })
  return findOrder(ctx, account, id)
}

/** The request in PEM, which names what the order does and may be issued. Throws badCSR. */
async function checkedCsr(
  ctx: Context,
  actor: Actor,
  { account, order, csr }: { account: AccountRow; order: AcmeOrder; csr: Buffer },
): Promise<string> {
  const profile = oneOf(AcmeProfile.enum, order.profile)
  const { read, pem } = readCsr(csr, { account, profile })
  if (!areNamedBy(order.identifiers, read.names)) {
    const names = order.identifiers.map(({ value }) => value).join(', ')
    throw new AcmeProblem('badCSR', `The CSR must name ${names}, and nothing else`)
  }
  // RFC 8555 11.1: who has the key of a server is not to have the account.
  if (read.spki?.equals(spkiOf(jwkKey(account.jwk)))) {
    throw new AcmeProblem('badCSR', 'The CSR is of the key of the account: make another key')
  }
  try {
    allowed(await vet(ctx, actor, { account, read }))
  } catch (error) {
    throw asBadCsr(error)
  }
  return pem
}

type Processing = {
  readonly account: AccountRow
  readonly order: Pick<AcmeOrder, 'id' | 'profile' | 'replacesId'> & {
    readonly identifiers: readonly Identifier[]
    readonly csr: string
  }
}

/** Issues the certificate of an order that is `processing`; once, however often it is tried. */
async function issueFor(ctx: Context, actor: Actor, { account, order }: Processing): Promise<void> {
  const { id, replacesId } = order
  const profile = oneOf(AcmeProfile.enum, order.profile)
  const csr = Buffer.from(order.csr.replace(/-----[^-]+-----|\s/g, ''), 'base64')
  try {
    const { read } = readCsr(csr, { account, profile })
    const checked = allowed(await vet(ctx, actor, { account, read }))
    const issued = await issueWithinQuota(ctx, actor, {
      ...checked,
      ...(replacesId === null
        ? { cause: 'requested' }
        : { cause: 'renewal', replacesId, reason: 'asked' }),
      autoRenew: false,
      requestKey: requestDigest('acme-order', id),
      requestHash: requestDigest(order.csr),
    })
    await settle(ctx, id, { status: 'valid', certificateId: issued.id })
  } catch (error) {
    await giveBack(ctx, id, error)
    throw asBadCsr(error)
  }
  if (replacesId !== null) await recordReplaced(ctx, replacesId)
}

type Outcome =
  | { readonly status: 'valid'; readonly certificateId: string }
  | { readonly status: 'ready'; readonly csr: null }
  | { readonly status: 'invalid'; readonly error: ReturnType<typeof json> }

async function settle(ctx: Context, id: string, data: Outcome): Promise<void> {
  await ctx.db.read.acmeOrder.updateMany({ where: { id, status: 'processing' }, data })
}

/** What is refused for good ends the order; what there is no room for may be finalized again. What may have been
 *  stored is for the job to look at. */
async function giveBack(ctx: Context, id: string, error: unknown): Promise<void> {
  if (!(error instanceof Problem) || isTransient(error)) return
  if (error.type === 'quota-exceeded') return settle(ctx, id, { status: 'ready', csr: null })
  const told = asBadCsr(error)
  const problem =
    told instanceof AcmeProblem ? told : new AcmeProblem('unauthorized', error.message)
  await settle(ctx, id, { status: 'invalid', error: json(keptProblem(problem)) })
}

/** Finishes an order that was left `processing` by a process that ended. */
export async function finishOrder(ctx: Context, id: string): Promise<void> {
  const row = await ctx.db.read.acmeOrder.findUnique({
    where: { id },
    include: { account: { include: withNames } },
  })
  if (row?.status !== 'processing' || row.csr === null) return
  const { account, csr } = row
  const order = { ...row, csr, identifiers: identifiersOf(row) }
  await issueFor(ctx, accountActor(account, null), { account, order })
}

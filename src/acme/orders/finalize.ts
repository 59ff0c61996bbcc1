import { requestDigest } from '../../certificates/issuance/idempotency.ts'
import { issueWithinQuota } from '../../certificates/issuance/issue.ts'
import { isTransient } from '../../certificates/issuance/transient.ts'
import { recordReplaced } from '../../certificates/renewal/predecessor.ts'
import { type AllowedRequest, allowed } from '../../certificates/vetting/check.ts'
import type { ReadRequest } from '../../certificates/vetting/request.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { json } from '../../core/database/db.ts'
import { due } from '../../core/database/due.ts'
import { minute } from '../../shared/moment.ts'
import { oneOf } from '../../shared/oneof.ts'
import { Problem } from '../../shared/problem.ts'
import { toPem } from '../../x509/der/pem.ts'
import { spkiOf } from '../../x509/keys/public.ts'
import { type AccountRow, accountActor, withNames } from '../accounts/find.ts'
import { jwkKey } from '../accounts/keys.ts'
import { AcmeProblem, keptProblem } from '../problem.ts'
import { AcmeProfile } from '../profiles.ts'
import { type AcmeOrder, findOrder } from './find.ts'
import { areNamedBy } from './identifiers.ts'
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
  const pem = toPem('CERTIFICATE REQUEST', csr)
  const read = csrOf(account, { ...order, csr: pem })
  refuseOther(account, order, read)
  const checked = await vetted(ctx, actor, { account, read })
  await ctx.db.transaction(async (tx) => {
    const where = { id, status: 'ready' }
    const data = { status: 'processing', csr: pem }
    const { count } = await tx.acmeOrder.updateMany({ where, data })
    if (count === 0) throw new AcmeProblem('orderNotReady', 'The order is being finished already')
    await due(tx, 'acme.finish', { orderId: id }, new Date(ctx.now().getTime() + grace))
  })
  await orGivenBack(ctx, id, () => issueFor(ctx, actor, { order: { ...order, csr: pem }, checked }))
  return findOrder(ctx, account, id)
}

type Processing = Pick<AcmeOrder, 'id' | 'profile' | 'replacesId'> & { readonly csr: string }

/** What the request of an order asks for. Throws badCSR. */
function csrOf(
  account: AccountRow,
  { profile, csr }: Pick<Processing, 'profile' | 'csr'>,
): ReadRequest {
  return readCsr(csr, { account, profile: oneOf(AcmeProfile.enum, profile) })
}

/** A request names what the order does, by a key of its own. Throws badCSR. */
function refuseOther(account: AccountRow, order: AcmeOrder, read: ReadRequest): void {
  if (!areNamedBy(order.identifiers, read.names)) {
    const names = order.identifiers.map(({ value }) => value).join(', ')
    throw new AcmeProblem('badCSR', `The CSR must name ${names}, and nothing else`)
  }
  // RFC 8555 11.1: who has the key of a server is not to have the account.
  if (read.spki?.equals(spkiOf(jwkKey(account.jwk)))) {
    throw new AcmeProblem('badCSR', 'The CSR is of the key of the account: make another key')
  }
}

/** The request, if the rules of now allow it. Throws badCSR. */
async function vetted(
  ctx: Context,
  actor: Actor,
  request: { readonly account: AccountRow; readonly read: ReadRequest },
): Promise<AllowedRequest> {
  try {
    return allowed(await vet(ctx, actor, request))
  } catch (error) {
    throw asBadCsr(error)
  }
}

/** Issues the certificate of an order that is `processing`; once, however often it is tried. */
async function issueFor(
  ctx: Context,
  actor: Actor,
  { order, checked }: { readonly order: Processing; readonly checked: AllowedRequest },
): Promise<void> {
  const { id, csr, replacesId } = order
  const issued = await issueWithinQuota(ctx, actor, {
    ...checked,
    ...(replacesId === null
      ? { cause: 'requested' }
      : { cause: 'renewal', replacesId, reason: 'asked' }),
    autoRenew: false,
    requestKey: requestDigest('acme-order', id),
    requestHash: requestDigest(csr),
  })
  await settle(ctx, id, { status: 'valid', certificateId: issued.id })
  if (replacesId !== null) await recordReplaced(ctx, replacesId)
}

type Outcome =
  | { readonly status: 'valid'; readonly certificateId: string }
  | { readonly status: 'ready'; readonly csr: null }
  | { readonly status: 'invalid'; readonly error: ReturnType<typeof json> }

async function settle(ctx: Context, id: string, data: Outcome): Promise<void> {
  await ctx.db.read.acmeOrder.updateMany({ where: { id, status: 'processing' }, data })
}

/** Does this for an order that is `processing`, which is given back where it is refused. */
async function orGivenBack(ctx: Context, id: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    await giveBack(ctx, id, error)
    throw asBadCsr(error)
  }
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
  const actor = accountActor(account, null)
  await orGivenBack(ctx, id, async () => {
    const read = csrOf(account, { profile: row.profile, csr })
    const checked = await vetted(ctx, actor, { account, read })
    await issueFor(ctx, actor, { order: { ...row, csr }, checked })
  })
}

import Type from 'typebox'
import { CaChallengeSettings } from '../../authorities/acme/schema.ts'
import { accountThumbprint } from '../../authorities/acme/secrets.ts'
import { type Context, newId } from '../../core/context.ts'
import { isDuplicate } from '../../core/database/db.ts'
import { conforms } from '../../shared/shape.ts'
import { shownJson } from '../../shared/view.ts'
import { type CaSession, jsonIn, postTo } from '../client/protocol.ts'
import { CaRefusal, problemIn, retryAfterOf } from '../client/refusal.ts'
import { awaited, type ChallengeRow, present } from '../proving/challenges.ts'
import { type Next, type OrderRow, waiting } from './order.ts'

const Authorization = Type.Object({
  status: Type.String(),
  identifier: Type.Object({ value: Type.String({ maxLength: 255 }) }),
  challenges: Type.Array(
    Type.Object({
      type: Type.String(),
      url: Type.String({ maxLength: 2048 }),
      token: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9_-]{16,128}$' })),
      error: Type.Optional(Type.Unknown()),
    }),
    { maxItems: 20 },
  ),
})

async function authorizationAt(ctx: Context, session: CaSession, url: string) {
  const answer = await postTo(ctx, session, { url })
  const document = jsonIn(answer)
  if (!conforms(Authorization, document)) {
    throw new CaRefusal('unreachable', 'It answers no authorization (RFC 8555 7.1.4)')
  }
  return { document, retryAfter: retryAfterOf(answer.headers['retry-after'], ctx.now()) }
}

/** How long what proves a name may take to be seen, and the CA to look for it. */
const patience = { seen: 20 * 60_000, judged: 30 * 60_000 } as const

/** RFC 8555 7.5: what proves each name is put up, seen to be there, and only then shown to the CA. */
export async function authorize(ctx: Context, order: OrderRow, session: CaSession): Promise<Next> {
  const known = new Set(order.challenges.map(({ authorization }) => authorization))
  const missing = order.authorizations.filter((url) => !known.has(url))
  let proved = 0
  for (const url of missing) proved += (await begin(ctx, order, session, url)) ? 0 : 1
  if (missing.length > proved) return 'now'
  if (order.challenges.every(({ outcome }) => outcome === 'valid')) {
    const data = { state: 'finalizing', message: null, failures: 0 }
    await ctx.db.read.caOrder.updateMany({ where: { id: order.id, endedAt: null }, data })
    return 'now'
  }
  const hidden = order.challenges.filter(({ presentedAt }) => presentedAt === null)
  for (const each of hidden) await present(ctx, each)
  if (hidden.length > 0) return 'now'
  const unseen = order.challenges.filter(({ seenAt }) => seenAt === null)
  for (const each of unseen) {
    const why = await awaited(ctx, each)
    if (why !== undefined) return unproved(ctx, order, each, why)
    await ctx.db.read.caChallenge.update({ where: { id: each.id }, data: { seenAt: ctx.now() } })
  }
  if (unseen.length > 0) return 'now'
  return show(ctx, order, session)
}

/** Records by what a name is to be proved; answers whether it has to be. What is put up is what was ordered, whatever the
 *  CA asks for: else it could have records of its choice put into our DNS. */
async function begin(
  ctx: Context,
  order: OrderRow,
  session: CaSession,
  url: string,
): Promise<boolean> {
  const { document } = await authorizationAt(ctx, session, url)
  const proved = document.identifier.value.toLowerCase()
  if (!order.names.some((name) => name.replace(/^\*\./, '') === proved)) {
    const why = `It wants to have ${document.identifier.value} proved, which was not ordered`
    throw new CaRefusal('disbelieved', why, { status: 403 })
  }
  if (document.status === 'valid') return false
  const { type } = shownJson(CaChallengeSettings, order.authority.caAccount?.challenge)
  const challenge = document.challenges.find((each) => each.type === type)
  if (document.status !== 'pending' || !challenge?.token) {
    const { value } = document.identifier
    const why = document.status === 'pending' ? `offers no ${type}` : `is ${document.status}`
    throw new CaRefusal('unauthorized', `The authorization of ${value} ${why}`, { status: 403 })
  }
  const now = ctx.now()
  const { token } = challenge
  const row = {
    ...{ id: newId(now), orderId: order.id, hostId: order.hostId, authorityId: order.authorityId },
    ...{ authorization: url, url: challenge.url, name: document.identifier.value, type, token },
    ...{ keyAuthorization: `${token}.${accountThumbprint(session.key)}`, createdAt: now },
  }
  await ctx.db.read.caChallenge.create({ data: row }).catch((error: unknown) => {
    if (!isDuplicate(error)) throw error
  })
  return true
}

function unproved(
  ctx: Context,
  order: OrderRow,
  { name, presentedAt }: ChallengeRow,
  why: string,
): Promise<Next> {
  const age = ctx.now().getTime() - (presentedAt?.getTime() ?? 0)
  if (age > patience.seen) {
    throw new CaRefusal('unproved', `${name} was not shown to the CA: ${why}`, { status: 403 })
  }
  return waiting(ctx, order, `for ${name}, ${why}`, Math.min(Math.max(age / 2, 250), 15_000))
}

/** Tells the CA to look, and asks what it found. */
async function show(ctx: Context, order: OrderRow, session: CaSession): Promise<Next> {
  const untold = order.challenges.filter(({ answeredAt }) => answeredAt === null)
  for (const { id, url } of untold) {
    await postTo(ctx, session, { url, payload: {} })
    await ctx.db.read.caChallenge.update({ where: { id }, data: { answeredAt: ctx.now() } })
  }
  if (untold.length > 0) return 'now'
  // What failed is asked about again, where that was not told before this was killed.
  const open = order.challenges.filter(({ outcome }) => outcome !== 'valid')
  let pause = 0
  for (const { id, name, authorization, type, answeredAt } of open) {
    const { document, retryAfter } = await authorizationAt(ctx, session, authorization)
    const outcome = document.status === 'valid' ? 'valid' : 'invalid'
    if (document.status === 'pending' || document.status === 'processing') {
      const age = ctx.now().getTime() - (answeredAt?.getTime() ?? 0)
      if (age > patience.judged) {
        throw new CaRefusal('late', `The CA did not say whether ${name} is proved`, { status: 403 })
      }
      pause = Math.max(pause, Math.min(Math.max(retryAfter ?? age / 2, 500), 60_000))
      continue
    }
    await ctx.db.read.caChallenge.update({ where: { id }, data: { outcome } })
    if (outcome === 'valid') continue
    const found = document.challenges.find((each) => each.type === type)?.error
    const { problem, detail } = problemIn(found)
    throw new CaRefusal(problem, `${name} is not proved: ${detail}`, { status: 403 })
  }
  if (pause === 0) return 'now'
  return waiting(ctx, order, 'the CA is looking whether its names are proved', pause)
}

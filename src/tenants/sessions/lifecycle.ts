import { addressOf } from '../../audit/address.ts'
import { type AuditAction, record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { bytes, sql, type Tx } from '../../core/database/db.ts'
import { hour, minute } from '../../shared/moment.ts'
import { must } from '../../shared/must.ts'
import { Problem } from '../../shared/problem.ts'
import { Role } from '../../shared/schema.ts'
import { authenticateHash, type Presented } from '../apikeys/authenticate.ts'
import { tokenHash } from '../apikeys/token.ts'

/** How long a browser is signed in at most, and how long while it asks for nothing. */
const life = 8 * hour
export const idle = hour

/** So many browsers one may be signed in at: the oldest makes room. */
const most = 20

/** By what a session is opened: the token of an API key, by its hash, or what an identity provider told. */
type Opening = {
  readonly by: 'api-key' | 'code' | 'oidc'
  /** Of an API key, and of a code, which stands for one. */
  readonly keyHash?: Buffer
  readonly address: string
}

/** Signs a browser in, for eight hours at most and no longer than its API key is good, and records it. Answers the
 *  token for its cookie, always a new one. */
export async function beginSession(
  ctx: Context,
  actor: Actor,
  { by, keyHash, address }: Opening,
): Promise<{ readonly token: string; readonly expiresAt: Date }> {
  const now = ctx.now()
  const token = `gsms_${ctx.random(32).toString('base64url')}`
  const last = new Date(now.getTime() + life)
  const expiresAt = keyHash ? earlier(last, actor.expiresAt) : last
  const { id, name, role, tenantId } = actor
  const actorId = must(id, 'who signs in has an id')
  const whose = keyHash ? { keyHash: bytes(keyHash) } : { name, role, tenantId }
  const times = { createdAt: now, usedAt: now, expiresAt }
  await ctx.db.transaction(async (tx) => {
    await tx.session.create({
      data: { hash: bytes(tokenHash(token)), actorId, ...whose, ...times },
    })
    await tx.$executeRaw(sql`
      delete from session where "hash" in (select "hash" from session
        where "actorId" = ${actorId}::uuid order by "createdAt" desc offset ${most})`)
    await recordAt(tx, { ctx, actor, address }, 'access.session-opened', { by })
  })
  return { token, expiresAt }
}

/** Who is signed in by the token of a cookie, with the rights that this one has now. `again` tells that it was let in
 *  before and only stays: that is no use of it. Throws credentials-refused for a session that is over, or whose API key
 *  or identity provider opens nothing any more. */
export async function authenticateSession(
  ctx: Context,
  { token, requestId, address }: Presented,
  { again }: { readonly again: boolean },
): Promise<Actor & { readonly expiresAt: string }> {
  const hash = bytes(tokenHash(token))
  const session = isSession(token)
    ? await ctx.db.read.session.findUnique({ where: { hash } })
    : null
  const now = ctx.now()
  if (!session || session.expiresAt <= now || idleSince(session.usedAt, now) >= idle) throw over()
  const from = { requestId, address }
  const actor = session.keyHash
    ? await authenticateHash(ctx, { hash: Buffer.from(session.keyHash), ...from })
    : personOf(ctx, session, requestId)
  if (!again && idleSince(session.usedAt, now) >= minute) {
    const before = new Date(now.getTime() - minute)
    const where = { hash, usedAt: { lte: before } }
    await ctx.db.read.session.updateMany({ where, data: { usedAt: now } })
  }
  return { ...actor, expiresAt: earlier(session.expiresAt, actor.expiresAt).toISOString() }
}

/** Signs a browser out, and records it; one that is not signed in stays so. */
export async function endSession(
  ctx: Context,
  actor: Actor,
  { token, address }: { readonly token: string; readonly address: string },
): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    const { count } = await tx.session.deleteMany({ where: { hash: bytes(tokenHash(token)) } })
    if (count > 0) await recordAt(tx, { ctx, actor, address }, 'access.session-ended', {})
  })
}

async function recordAt(
  tx: Tx,
  { ctx, actor, address }: { ctx: Context; actor: Actor; address: string },
  action: AuditAction,
  changes: { readonly by?: string },
): Promise<void> {
  const id = addressOf(address)
  const subject = { kind: 'address', id, name: id, tenantId: actor.tenantId } as const
  await record(tx, { actor, now: ctx.now() }, action, { subject, changes })
}

function isSession(token: string): boolean {
  return /^gsms_[\w-]{43}$/.test(token)
}

function idleSince(usedAt: Date, now: Date): number {
  return now.getTime() - usedAt.getTime()
}

function earlier(end: Date, other: string | undefined): Date {
  return other !== undefined && new Date(other) < end ? new Date(other) : end
}

/** Of a provider that is not asked any more nobody is let in. */
function personOf(
  { config }: Context,
  session: {
    readonly actorId: string
    readonly name: string | null
    readonly role: string | null
    readonly tenantId: string | null
  },
  requestId: string,
): Actor {
  const { actorId: id, tenantId, name } = session
  const role = Role.enum.find((each) => each === session.role)
  if (role === undefined || name === null || !config.oidc) throw over()
  if (!name.startsWith(`${config.oidc.issuer} `)) throw over()
  return { kind: 'oidc', id, name, role, tenantId, requestId }
}

function over(): Problem {
  return new Problem('credentials-refused', 'You are signed out: sign in again')
}

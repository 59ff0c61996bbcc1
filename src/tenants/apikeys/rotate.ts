import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { bytes } from '../../core/database/db.ts'
import { Problem } from '../../shared/problem.ts'
import { timestamp, timestampOrNull } from '../../shared/view.ts'
import { forgetShown } from './answers.ts'
import { keyInForce } from './inforce.ts'
import { apiKeyView, keyEndOf, owner, refuseMore } from './lifecycle.ts'
import type { ApiKeyRotation, ApiKeyWithToken } from './schema.ts'
import { newToken, prefixOf, tokenHash } from './token.ts'

/** Gives a key a new token; the one before is good for a while yet, so that who uses it has time to
 *  change, and the one before that is not. The key keeps its id, its name and its rights. Throws
 *  tenant-unknown, api-key-unknown, api-key-changed, forbidden, request-invalid. */
export async function rotateApiKey(
  ctx: Context,
  actor: Actor,
  { tenant, id, request }: { tenant: string | null; id: string; request: ApiKeyRotation },
): Promise<ApiKeyWithToken> {
  const { id: tenantId } = await owner(ctx, actor, tenant)
  const now = ctx.now()
  const token = newToken()
  return ctx.db.transaction(async (tx) => {
    const key = await keyInForce(tx, { id, tenantId, now })
    refuseMore(actor, key.scopes)
    if (key.boundTo !== null) {
      throw new Problem(
        'request-invalid',
        'A certificate opens it, and it has no token: renew the certificate instead',
      )
    }
    const expiresAt = nextEnd(ctx, key, request.expiresAt)
    const formerUntil = formerEnd(now, key.expiresAt, request.overlapSeconds)
    const data = {
      tokenHash: bytes(tokenHash(token)),
      tokenPrefix: prefixOf(token),
      formerHash: key.tokenHash,
      ...{ formerUntil, expiresAt, rotatedAt: now },
    }
    // Of two who rotate it at once the second would put an end to a token that was just handed out.
    const where = { id, tokenHash: key.tokenHash, revokedAt: null }
    const { count } = await tx.apiKey.updateMany({ where, data })
    if (count === 0) {
      throw new Problem('api-key-changed', 'It was given another token, or revoked, just now')
    }
    await forgetShown(tx, id)
    await record(tx, { actor, now }, 'api-key.rotated', {
      subject: { kind: 'api-key', id, name: key.name, tenantId },
      changes: {
        prefix: data.tokenPrefix,
        formerPrefix: key.tokenPrefix,
        formerUntil: timestamp(formerUntil),
        expiresAt: timestampOrNull(expiresAt),
      },
    })
    return { ...apiKeyView({ ...key, ...data }), token }
  })
}

type Lifetime = {
  readonly createdAt: Date
  readonly rotatedAt: Date | null
  readonly expiresAt: Date | null
}

/** As asked for; else after as long as the token before was made for, within what the settings allow. */
function nextEnd(ctx: Context, key: Lifetime, asked: string | undefined): Date | null {
  const last = keyEndOf(ctx, asked)
  if (asked !== undefined || key.expiresAt === null) return last
  const life = key.expiresAt.getTime() - (key.rotatedAt ?? key.createdAt).getTime()
  const next = new Date(ctx.now().getTime() + life)
  return last && last < next ? last : next
}

function formerEnd(now: Date, expiresAt: Date | null, overlapSeconds = 86_400): Date {
  const end = new Date(now.getTime() + overlapSeconds * 1000)
  return expiresAt && expiresAt < end ? expiresAt : end
}

import { differences } from '../../audit/differences.ts'
import { record } from '../../audit/record.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { isDuplicate } from '../../core/database/db.ts'
import type { Precondition } from '../../core/refusal.ts'
import { timestampOrNull } from '../../shared/view.ts'
import { keyInForce, lockAdmins, refuseLastAdmin } from './inforce.ts'
import { apiKeyView, keyEndOf, nameTaken, owner, refuseMore } from './lifecycle.ts'
import type { ApiKey, ApiKeyPatch } from './schema.ts'

/** Which key, of which tenant; null: of the platform. */
type Place = { readonly tenant: string | null; readonly id: string }

/** An API key in force, without its token. Throws tenant-unknown, api-key-unknown, forbidden. */
export async function getApiKey(
  ctx: Context,
  actor: Actor,
  { tenant, id }: Place,
): Promise<ApiKey> {
  const { id: tenantId } = await owner(ctx, actor, tenant)
  return apiKeyView(await keyInForce(ctx.db.read, { id, tenantId, now: ctx.now() }))
}

/** Changes what a key is called, what of its role it may use, or when it ends; its token stays. Nobody gives it more
 *  than they have, and no end is later than a key made when its token was made could have had. Throws tenant-unknown,
 *  api-key-unknown, api-key-needed for what would lock out the last platform admin, forbidden, request-invalid, what
 *  `expected` throws. */
export async function changeApiKey(
  ctx: Context,
  actor: Actor,
  { tenant, id, patch }: Place & { readonly patch: ApiKeyPatch },
  expected: Precondition,
): Promise<ApiKey> {
  const { id: tenantId } = await owner(ctx, actor, tenant)
  const now = ctx.now()
  try {
    return await ctx.db.transaction(async (tx) => {
      await lockAdmins(tx)
      const before = await keyInForce(tx, { id, tenantId, now })
      expected(apiKeyView(before))
      refuseMore(actor, before.scopes)
      const data = changed(ctx, before, patch)
      refuseMore(actor, data.scopes)
      const narrower = (patch.scopes ?? []).length > 0 || (patch.expiresAt ?? null) !== null
      if (narrower && before.role === 'admin' && tenantId === null) {
        await refuseLastAdmin(tx, { id, now })
      }
      await tx.apiKey.update({ where: { id }, data })
      const told = differences(facts(before), facts(data))
      await record(tx, { actor, now }, 'api-key.changed', {
        subject: { kind: 'api-key', id, name: data.name, tenantId },
        changes: { changed: told },
      })
      return apiKeyView({ ...before, ...data })
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw nameTaken(patch.name ?? '')
  }
}

type Changeable = {
  readonly name: string
  readonly scopes: string[]
  readonly expiresAt: Date | null
}

/** What it is from now on; what the patch does not name stays. */
function changed(
  ctx: Context,
  before: Changeable & { readonly createdAt: Date; readonly rotatedAt: Date | null },
  { name = before.name, scopes, expiresAt }: ApiKeyPatch,
): Changeable {
  const since = before.rotatedAt ?? before.createdAt
  const end =
    expiresAt === undefined ? before.expiresAt : keyEndOf(ctx, expiresAt ?? undefined, since)
  const next = scopes === undefined ? before.scopes : [...(scopes ?? [])]
  return { name, scopes: next, expiresAt: end }
}

function facts({ name, scopes, expiresAt }: Changeable) {
  return { name, scopes, expiresAt: timestampOrNull(expiresAt) }
}

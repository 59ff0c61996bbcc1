import { type Actor, systemActor } from '../core/actor.ts'
import type { Config } from '../core/config.ts'
import { type Context, openContext } from '../core/context.ts'
import { createApiKey, revokeApiKey } from '../tenants/apikeys/lifecycle.ts'
import { openLogger } from './logger.ts'

/** Makes a platform-wide admin's API key from the machine itself: the first key there is, or the way
 *  back in. A key of this name that is in force is revoked. Answers the token. */
export async function makeAdminKey(ctx: Context, name: string): Promise<string> {
  const actor: Actor = systemActor('command line')
  const known = await ctx.db.read.apiKey.findMany({
    where: { tenantId: null, name, revokedAt: null },
    select: { id: true },
  })
  for (const { id } of known) await revokeApiKey(ctx, actor, { tenant: null, id })
  return (await createApiKey(ctx, actor, { tenant: null, request: { name, role: 'admin' } })).token
}

/** `gatesmith admin-key`: makes the key and prints its token. */
export async function printAdminKey(config: Config, name: string): Promise<void> {
  const ctx = openContext(config, openLogger('warn'))
  try {
    process.stdout.write(`${await makeAdminKey(ctx, name)}\n`)
  } finally {
    await ctx.db.close()
  }
}

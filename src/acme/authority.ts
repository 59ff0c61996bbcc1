import { authorityUnknown } from '../authorities/authority.ts'
import { nothingPublished } from '../authorities/published.ts'
import type { Context } from '../core/context.ts'

/** An authority as the one whose ACME server is asked; a CA elsewhere has none here. Throws authority-unknown. */
export async function findAcmeAuthority(ctx: Context, name: string) {
  const row = await ctx.db.read.authority.findUnique({
    where: { name },
    select: { id: true, name: true, profiles: true, kind: true, tenantId: true, removedAt: true },
  })
  if (!row || row.removedAt !== null) throw authorityUnknown(name)
  if (row.kind === 'acme') throw await nothingPublished(ctx.db.read, name)
  return row
}

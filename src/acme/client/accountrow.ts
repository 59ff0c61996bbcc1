import { record } from '../../audit/record.ts'
import { authoritySubject, nameBefore } from '../../authorities/authority.ts'
import { systemActor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import type { Tx } from '../../core/database/db.ts'

const actor = systemActor('ca.account')

/** An account with a CA elsewhere, and whose it is. */
export type CaAccountRow = NonNullable<Awaited<ReturnType<typeof readAccount>>>

/** The account of an authority. */
export function readAccount(ctx: Context, authorityId: string) {
  return ctx.db.read.caAccount.findUnique({
    where: { authorityId },
    include: { authority: { select: { id: true, name: true, tenantId: true, removedAt: true } } },
  })
}

/** What is said of an account with which nothing is wrong. */
export const settled = { failures: 0, message: null, problem: null, retryAt: null } as const

/** Tells in the audit trail what became of an account, in the transaction of its caller. */
export function tellOfAccount(
  tx: Tx,
  { authority }: CaAccountRow,
  action: Parameters<typeof record>[2],
  changes: Record<string, string>,
  now: Date,
): Promise<void> {
  return record(tx, { actor, now }, action, {
    subject: authoritySubject({ ...authority, name: nameBefore(authority.name) }),
    changes,
  })
}

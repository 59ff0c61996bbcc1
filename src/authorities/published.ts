import type { Tx } from '../core/database/db.ts'
import { Problem } from '../shared/problem.ts'
import { authorityUnknown } from './authority.ts'

/** The problem of who asks an authority for what it has none of here, since it is not there, or is a CA elsewhere. */
export async function nothingPublished(tx: Tx, name: string): Promise<Problem> {
  const where = { name, kind: 'acme', removedAt: null }
  if (!(await tx.authority.findUnique({ where, select: { id: true } })))
    return authorityUnknown(name)
  return new Problem(
    'authority-unknown',
    `"${name}" is a CA elsewhere (acme): it publishes its certificates, revocation lists and ACME server itself, and nothing of it is here`,
  )
}

import { sql, type Tx } from '../../core/database/db.ts'
import { Problem } from '../../shared/problem.ts'
import { inForce } from '../quotas/usage.ts'

/** The row of an API key in force, of this tenant (null: of the platform). Throws api-key-unknown. */
export async function keyInForce(
  tx: Tx,
  { id, tenantId, now }: { id: string; tenantId: string | null; now: Date },
) {
  const where = { id, tenantId, ...inForce(now) }
  const include = { tenant: { select: { name: true } } }
  const key = await tx.apiKey.findFirst({ where, include })
  if (!key) throw new Problem('api-key-unknown', `There is no API key ${id} in force`)
  return key
}

const adminLock = 0x6b6579

/** Two admins who revoke or narrow each other's keys do so one after the other: for the rest of the transaction. */
export async function lockAdmins(tx: Tx): Promise<void> {
  await tx.$executeRaw(sql`select pg_advisory_xact_lock(${adminLock})`)
}

/** Throws api-key-needed where no platform admin has a key in force and whole besides this one. Under `lockAdmins`. */
export async function refuseLastAdmin(
  tx: Tx,
  { id, now }: { readonly id: string; readonly now: Date },
): Promise<void> {
  const others = await tx.apiKey.count({
    where: {
      id: { not: id },
      ...{ tenantId: null, role: 'admin', scopes: { isEmpty: true }, ...inForce(now) },
    },
  })
  if (others > 0) return
  throw new Problem(
    'api-key-needed',
    'It is the last key of a platform admin that is in force: make another one first',
  )
}

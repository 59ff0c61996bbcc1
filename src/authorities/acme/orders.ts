import type { Tx } from '../../core/database/db.ts'
import { dueMany } from '../../core/database/due.ts'

/** Has the orders of an authority looked at of which anything is left: they go on, or are given up, by what is said of
 *  it now. */
export async function lookAtOrders(tx: Tx, authorityId: string): Promise<void> {
  const orders = await tx.caOrder.findMany({
    where: { authorityId, cleanedAt: null },
    select: { id: true },
    orderBy: { id: 'asc' },
  })
  await dueMany(
    tx,
    'ca.order',
    orders.map(({ id: orderId }) => ({ orderId })),
  )
}

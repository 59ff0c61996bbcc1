import type { Tx } from '../../core/database/db.ts'
import type { Kube } from '../kubernetes/kube.ts'
import { type Answered, ask } from './ask.ts'
import { type Check, check } from './schema.ts'

/** What tells a cluster from all others: the UID of its namespace kube-system, which is never made anew. */
export function uidOf(kube: Kube): Promise<Answered<string | null>> {
  return ask(async () => {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', namespace: '', name: 'kube-system' }
    return (await kube.get(namespace))?.metadata.uid ?? null
  })
}

type Self = { readonly id: string; readonly createdAt: Date }

/** Whether the cluster is registered under another name, too: then the one that was registered later
 *  cannot be used, since both would write the same objects. */
export async function identityCheck(
  tx: Tx,
  self: Self,
  reply: Answered<string | null>,
): Promise<Check> {
  if ('why' in reply) {
    const message = `Whether it is registered under another name, too, is not known: ${reply.why}`
    return check('identity', 'unknown', message)
  }
  const uid = reply.answer
  if (uid === null) return check('identity', 'unknown', 'It has no namespace kube-system')
  const others = await tx.cluster.findMany({
    where: { uid, id: { not: self.id } },
    select: { id: true, name: true, createdAt: true },
    orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
  })
  const earlier = others.find((other) => isEarlier(other, self))
  if (earlier) {
    const message = `This is the cluster that is registered as "${earlier.name}": remove this one, and give the other one further ingresses if it has several`
    return check('identity', 'failed', message)
  }
  const [later] = others
  return later
    ? check('identity', 'warning', `It was registered again as "${later.name}": remove that one`)
    : check('identity', 'ok', 'It is registered under this name alone')
}

function isEarlier(one: Self, other: Self): boolean {
  const difference = one.createdAt.getTime() - other.createdAt.getTime()
  return difference < 0 || (difference === 0 && one.id < other.id)
}

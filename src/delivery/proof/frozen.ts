import { ingressOf } from '../../clusters/find.ts'
import { KubeError } from '../../clusters/kubernetes/kube.ts'
import { openCluster } from '../../clusters/kubernetes/open.ts'
import { troublesOfIngress } from '../../clusters/listeners/pods.ts'
import { silenceOf } from '../../clusters/silence.ts'
import { cachedFor } from '../../core/cache.ts'
import type { Context } from '../../core/context.ts'
import { recordedRefs } from '../../hosts/objects.ts'
import { rendererOf } from '../compare.ts'
import type { PlacementRow } from '../gather.ts'
import { observe } from '../observe.ts'
import { isSecret } from '../plan.ts'

/** Why a host's ingress does not take up what is new, nor let go what is gone: whose objects Envoy refuses, and
 *  what it says itself where it can be asked; null where nothing tells so. For who has seen that a host is
 *  not served as it was pushed. */
export async function whyFrozen(
  ctx: Context,
  { cluster, ingress }: Pick<PlacementRow, 'cluster' | 'ingress'>,
): Promise<string | null> {
  if (silenceOf(cluster) !== null) return null
  try {
    return await recentReason(ctx, `${cluster.id} ${ingress}`)
  } catch (error) {
    // What cannot be asked is no reason.
    if (error instanceof KubeError) return null
    throw error
  }
}

/** Why the objects of a host are not taken up, where they say so themselves; null: they do not. */
export async function whyNotTaken(
  ctx: Context,
  { cluster, objects }: Pick<PlacementRow, 'cluster' | 'objects'>,
): Promise<string | null> {
  const { faults: told } = rendererOf(cluster)
  if (silenceOf(cluster) !== null || !told) return null
  try {
    const kube = await openCluster(ctx, cluster.id)
    const refs = recordedRefs(objects).filter((ref) => !isSecret(ref))
    const faults = told(await observe(kube, refs))
    return faults.length > 0 ? faults.join('. ') : null
  } catch (error) {
    if (error instanceof KubeError) return null
    throw error
  }
}

/** Many hosts of an ingress are seen to wait at one time. */
const recentReason = cachedFor(10_000, async (ctx, key): Promise<string | null> => {
  const [id = '', ingress = ''] = key.split(' ')
  const row = await ctx.db.read.cluster.findUnique({ where: { id } })
  if (!row) return null
  const place = ingressOf(row, ingress)
  const kube = await openCluster(ctx, id)
  const [told, clashes] = await Promise.all([
    troublesOfIngress(kube, place),
    rendererOf(row).refusals(kube, place),
  ])
  const read = told.flatMap((each) => ('told' in each ? each.told : []))
  const refused = read.filter(({ state }) => state === 'error')
  const isRead = told.length > 0 && told.every((each) => 'told' in each)
  // Envoy itself knows best.
  if (refused.length === 0 && (isRead || clashes.length === 0)) return null
  const since = [...clashes.map((each) => each.since), ...refused.map((each) => each.since ?? '')]
  const when = since.filter((each) => each !== '').toSorted()[0]
  const reasons = [
    ...clashes.map(({ message }) => message),
    ...refused
      .slice(0, 3)
      .map(({ reason }) => `Envoy says: ${(reason ?? 'nothing').slice(0, 500)}`),
  ]
  const start = when === undefined ? '' : ` since ${when}`
  return `The ingress takes no new configuration${start}: ${[...new Set(reasons)].join('; ')}`
})

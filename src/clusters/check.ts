import { type Actor, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { sql, type Tx } from '../core/database/db.ts'
import { type Cluster, defaultIngress, type Ingress } from './cluster.ts'
import { clusterRow, clusterView, ingressOf } from './find.ts'
import { kinds } from './kubernetes/kinds.ts'
import { type Access, type Kube, KubeError } from './kubernetes/kube.ts'
import { openCluster } from './kubernetes/open.ts'
import { dueOnCluster } from './sync.ts'

type Finding = {
  readonly status: 'Ready' | 'Failed'
  readonly message: string | null
  readonly kubernetes: string | null
  /** There was no answer at all. */
  readonly silent: boolean
}

/** Looks at the cluster now and answers what was found. Throws cluster-unknown. */
export async function checkClusterNow(ctx: Context, actor: Actor, name: string): Promise<Cluster> {
  allowPlatform(actor, 'check-clusters')
  const { id } = await clusterRow(ctx.db.read, name)
  await checkCluster(ctx, { clusterId: id })
  return clusterView(await clusterRow(ctx.db.read, name), actor)
}

/** Stores whether the cluster answers, serves Istio's kinds, has the ingress that hosts go to, and lets
 *  us do what we must. Nothing is sent to a cluster that is found silent, until it is found to answer:
 *  what waited for it is due at once then. */
export async function checkCluster(
  ctx: Context,
  { clusterId }: { readonly clusterId: string },
): Promise<void> {
  const row = await ctx.db.read.cluster.findUnique({ where: { id: clusterId } })
  if (!row) return
  const found = await look(await openCluster(ctx, clusterId), ingressOf(row, defaultIngress))
  const { status, message, kubernetes, silent } = found
  const now = ctx.now()
  await ctx.db.transaction(async (tx) => {
    const before = await holdCluster(tx, clusterId)
    if (!before) return
    const answersAgain = before.silentSince !== null && !silent
    await tx.cluster.update({
      where: { id: clusterId },
      data: {
        ...{ status, message, kubernetes: kubernetes ?? row.kubernetes, checkedAt: now },
        silentSince: silent ? (before.silentSince ?? now) : null,
        ...(answersAgain ? { unansweredAt: null } : {}),
      },
    })
    if (answersAgain || (status === 'Ready' && before.status === 'Failed')) {
      await dueOnCluster(tx, clusterId, 'unsettled')
    }
  })
}

/** As it stands now, until the transaction ends: two may look at it at once. */
async function holdCluster(tx: Tx, id: string) {
  await tx.$executeRaw(sql`select 1 from cluster where id = ${id}::uuid for update`)
  return tx.cluster.findUnique({ where: { id }, select: { status: true, silentSince: true } })
}

async function look(kube: Kube, ingress: Ingress): Promise<Finding> {
  try {
    const kubernetes = await kube.version()
    const lacking = await denied(kube, ingress)
    const faults = lacking.length > 0 ? lacking : await missing(kube, ingress)
    const message = faults.length > 0 ? faults.join('. ').slice(0, 2000) : null
    return { status: message === null ? 'Ready' : 'Failed', message, kubernetes, silent: false }
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    const silent = error.fault === 'unreachable'
    return { status: 'Failed', message: error.message, kubernetes: null, silent }
  }
}

const write = ['get', 'create', 'patch', 'delete']

/** What pushing hosts takes. Gateways and VirtualServices are read everywhere, since those of others
 *  collide with ours wherever they are. */
function needed(namespace: string): readonly Access[] {
  const istio = 'networking.istio.io'
  return [
    ...write.map((verb) => ({ verb, group: '', resource: 'secrets', namespace })),
    ...write.map((verb) => ({ verb, group: istio, resource: 'gateways', namespace })),
    ...write.map((verb) => ({ verb, group: istio, resource: 'virtualservices', namespace })),
    { verb: 'list', group: istio, resource: 'gateways' },
    { verb: 'list', group: istio, resource: 'virtualservices' },
    { verb: 'list', group: '', resource: 'pods', namespace },
    { verb: 'get', group: '', resource: 'services' },
  ]
}

async function denied(kube: Kube, { namespace }: Ingress): Promise<readonly string[]> {
  const accesses = needed(namespace)
  const allowed = await Promise.all(accesses.map((access) => kube.can(access)))
  const lacking = accesses.filter((_, index) => !allowed[index])
  if (lacking.length === 0) return []
  const list = lacking.map(({ verb, resource, namespace: where }) =>
    where === undefined
      ? `${verb} ${resource} in all namespaces`
      : `${verb} ${resource} in ${where}`,
  )
  return [`The credentials do not allow: ${list.join(', ')}`]
}

async function missing(kube: Kube, { namespace, selector }: Ingress): Promise<readonly string[]> {
  const labelSelector = selectorText(selector)
  const pods = await kube.list(kinds.pod, { namespace, labelSelector })
  await kube.list(kinds.istioGateway, { namespace })
  if (pods.length > 0) return []
  return [`No pod in namespace ${namespace} has the labels ${labelSelector} of the ingress gateway`]
}

/** As a labelSelector parameter. */
export function selectorText(selector: Ingress['selector']): string {
  return Object.entries(selector)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}

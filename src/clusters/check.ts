import { type Actor, allowPlatform } from '../core/actor.ts'
import type { Context } from '../core/context.ts'
import { json, sql, type Tx } from '../core/database/db.ts'
import { due } from '../core/database/due.ts'
import { rightChecks } from './checks/access.ts'
import type { Answered } from './checks/ask.ts'
import { secretsCheck, validationCheck } from './checks/gateways.ts'
import { identityCheck, uidOf } from './checks/identity.ts'
import { gatewayApiCheck, kindChecks, servedKinds } from './checks/kinds.ts'
import { defects, meshOf } from './checks/mesh.ts'
import { type Check, type ClusterFound, check } from './checks/schema.ts'
import { foundIngress, podsOf, workloadChecks, workloadsOf } from './checks/workloads.ts'
import { type Cluster, defaultIngress } from './cluster.ts'
import { allIngressesOf, apiOf, type ClusterRow, clusterRow, clusterView } from './find.ts'
import { type Kube, KubeError } from './kubernetes/kube.ts'
import { openCluster } from './kubernetes/open.ts'
import { placesOn } from './rights/places.ts'
import { meshNamespace, type Places } from './rights/table.ts'
import { dueOnCluster } from './sync.ts'

/** What a look at a cluster says. */
type Look = {
  /** None: it answers, and nothing else was looked at. */
  readonly checks?: readonly Check[]
  readonly kubernetes: string | null
  /** There was no answer at all. */
  readonly silent: boolean
  /** Where all of it was looked at: what it is, and what tells it from others. */
  readonly whole?: {
    readonly found: Omit<ClusterFound, 'uid'>
    readonly uid: Answered<string | null>
  }
}

/** How long what was found of a cluster that is as it should be does for the looks of every minute. */
const freshMilliseconds = 5 * 60_000

/** Looks at the cluster now and answers what was found. Throws cluster-unknown. */
export async function checkClusterNow(ctx: Context, actor: Actor, name: string): Promise<Cluster> {
  allowPlatform(actor, 'check-clusters')
  const { id } = await clusterRow(ctx.db.read, name)
  await examine(ctx, id, 'all')
  await ctx.db.transaction((tx) => due(tx, 'cluster.inventory', { clusterId: id }))
  return clusterView(await clusterRow(ctx.db.read, name), actor)
}

/** Stores whether the cluster answers and, every few minutes or where something is wrong, whether it has
 *  all that hosts need, item by item. Nothing is sent to a cluster that is found silent, until it is found
 *  to answer: what waited for it is due at once then. */
export async function checkCluster(
  ctx: Context,
  { clusterId }: { readonly clusterId: string },
): Promise<void> {
  await examine(ctx, clusterId, 'what is due')
}

async function examine(ctx: Context, clusterId: string, how: 'all' | 'what is due'): Promise<void> {
  const row = await ctx.db.read.cluster.findUnique({ where: { id: clusterId } })
  if (!row) return
  const kube = await openCluster(ctx, clusterId)
  const age = ctx.now().getTime() - (row.examinedAt?.getTime() ?? 0)
  const fresh = how !== 'all' && row.status === 'Ready' && age < freshMilliseconds
  const look = fresh
    ? await lookBriefly(kube)
    : await lookAtAll(kube, row, await placesOn(ctx.db.read, clusterId, allIngressesOf(row)))
  await ctx.db.transaction((tx) => store(tx, row, look, ctx.now()))
}

async function store(tx: Tx, row: ClusterRow, look: Look, now: Date): Promise<void> {
  const before = await holdCluster(tx, row.id)
  if (!before) return
  const { silent, kubernetes, whole } = look
  if (whole && 'answer' in whole.uid) {
    await tx.cluster.update({ where: { id: row.id }, data: { uid: whole.uid.answer } })
  }
  const identity = whole ? [await identityCheck(tx, row, whole.uid)] : []
  const outcome = look.checks && outcomeOf([...look.checks, ...identity])
  const uid = whole && 'answer' in whole.uid ? whole.uid.answer : before.uid
  const answersAgain = before.silentSince !== null && !silent
  await tx.cluster.update({
    where: { id: row.id },
    data: {
      ...outcome,
      ...(whole ? { found: json({ uid, ...whole.found }), examinedAt: now } : {}),
      ...{ kubernetes: kubernetes ?? row.kubernetes, checkedAt: now },
      silentSince: silent ? (before.silentSince ?? now) : null,
      ...(answersAgain ? { unansweredAt: null } : {}),
    },
  })
  const ready = outcome?.status === 'Ready' && before.status === 'Failed'
  if (answersAgain || ready) await dueOnCluster(tx, row.id, 'unsettled')
}

/** A warning keeps nobody from being served. */
function outcomeOf(checks: readonly Check[]) {
  const failed = checks.filter(({ status }) => status === 'failed')
  const message = failed.map((each) => each.message).join('. ')
  return {
    checks: json(checks),
    status: failed.length === 0 ? 'Ready' : 'Failed',
    message: failed.length === 0 ? null : message.slice(0, 2000),
  }
}

/** As it stands now, until the transaction ends: two may look at it at once. */
async function holdCluster(tx: Tx, id: string) {
  await tx.$executeRaw(sql`select 1 from cluster where id = ${id}::uuid for update`)
  return tx.cluster.findUnique({
    where: { id },
    select: { status: true, silentSince: true, uid: true },
  })
}

/** Whether it answers, and nothing else. */
function lookBriefly(kube: Kube): Promise<Look> {
  return looked(async () => ({ kubernetes: await kube.version(), silent: false }))
}

function lookAtAll(kube: Kube, row: ClusterRow, places: Places): Promise<Look> {
  return looked(async () => {
    const kubernetes = await kube.version()
    const ingresses = allIngressesOf(row)
    const [served, workloads, rights, uid] = await Promise.all([
      servedKinds(kube),
      workloadsOf(kube, ingresses),
      rightChecks(kube, places, apiOf(row)),
      uidOf(kube),
    ])
    const gateways = workloads.flatMap(podsOf)
    const namespaces = [...new Set([meshNamespace, ...places.ingress])]
    const [gatewayApi, { mesh, check: istio }, secrets, validation] = await Promise.all([
      gatewayApiCheck(kube, served, apiOf(row)),
      meshOf(kube, { namespaces, gateways }),
      Promise.all(workloads.map((workload) => secretsCheck(kube, workload))),
      validationCheck(kube, ingresses[defaultIngress]),
    ])
    const { version } = mesh
    const known =
      version === null ? [] : defects(version, { gatewayApiVersion: gatewayApi.version })
    return {
      checks: [
        check('reachable', 'ok', 'The Kubernetes API answers'),
        check('credentials', 'ok', 'The Kubernetes API takes the credentials'),
        check('kubernetes', 'ok', `Kubernetes ${kubernetes}`),
        ...kindChecks(served, apiOf(row)),
        gatewayApi.check,
        istio,
        ...known.map((message) => check('istio', 'warning', message, 'known defects')),
        ...workloadChecks(workloads),
        ...secrets,
        ...rights,
        validation,
      ],
      kubernetes,
      silent: false,
      whole: {
        found: {
          istioVersion: version,
          istioRevision: mesh.revision,
          gatewayApiVersion: gatewayApi.version,
          served: [...served],
          ingresses: workloads.map(foundIngress),
        },
        uid,
      },
    }
  })
}

/** A cluster that does not answer or does not know us says nothing of the rest. */
async function looked(look: () => Promise<Look>): Promise<Look> {
  try {
    return await look()
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    const { message } = error
    if (error.fault === 'unreachable') {
      return { checks: [check('reachable', 'failed', message)], kubernetes: null, silent: true }
    }
    const answers = check('reachable', 'ok', 'The Kubernetes API answers')
    const refused =
      error.fault === 'unauthorized'
        ? check('credentials', 'failed', `The credentials are refused (${message}): give new ones`)
        : check('kubernetes', 'failed', message)
    return { checks: [answers, refused], kubernetes: null, silent: false }
  }
}

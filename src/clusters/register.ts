import { differences } from '../audit/differences.ts'
import { record } from '../audit/record.ts'
import { type Actor, allowPlatform } from '../core/actor.ts'
import { type Context, newId } from '../core/context.ts'
import { bytes, isDuplicate, isReferenced, json, sql, type Tx } from '../core/database/db.ts'
import { due } from '../core/database/due.ts'
import type { Precondition } from '../core/refusal.ts'
import { Problem, refuse } from '../shared/problem.ts'
import {
  type Cluster,
  type ClusterPatch,
  defaultIngress,
  type Ingress,
  type Ingresses,
  type NewCluster,
} from './cluster.ts'
import { changedCredentials, newCredentials } from './credentials/forms.ts'
import type { Kubeconfig } from './credentials/kubeconfig.ts'
import {
  allIngressesOf,
  apiOf,
  type ClusterRow,
  clusterRow,
  clusterView,
  driftPolicy,
} from './find.ts'
import {
  changedIngresses,
  completeIngress,
  ingressFaults,
  ingressNameFaults,
  leadingFaults,
} from './ingresses.ts'
import { credentialBinding } from './kubernetes/open.ts'
import { dueOnCluster } from './sync.ts'

/** Registers a cluster; whether it answers is looked at right after. Throws cluster-exists,
 *  kubeconfig-refused, request-invalid. */
export async function createCluster(
  ctx: Context,
  actor: Actor,
  request: NewCluster,
): Promise<Cluster> {
  allowPlatform(actor, 'write-clusters')
  const kubeconfig = newCredentials(request, ctx.now())
  const others = request.ingresses ?? {}
  const ingresses = accepted(completeIngress(request.ingress), changedIngresses({}, others))
  refuse('request-invalid', await leadingFaults(ingresses))
  const now = ctx.now()
  const id = newId(now)
  try {
    return await ctx.db.transaction(async (tx) => {
      const row = await tx.cluster.create({
        data: {
          id,
          name: request.name,
          server: kubeconfig.server,
          ...ingressColumns(ingresses),
          api: request.api ?? 'istio',
          drift: request.drift ?? 'repair',
          status: 'Unknown',
          createdAt: now,
          updatedAt: now,
          credential: { create: { sealed: sealed(ctx, id, kubeconfig) } },
        },
      })
      await record(tx, { actor, now }, 'cluster.created', {
        subject: { kind: 'cluster', id, name: request.name, tenantId: null },
        changes: factsOf(row),
      })
      await due(tx, 'cluster.check', { clusterId: id })
      return clusterView(row, actor)
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new Problem('cluster-exists', `There is a cluster "${request.name}"; choose another name`)
  }
}

/** Changes the credentials, the ingresses or both; every host on the cluster is then looked at again.
 *  Throws cluster-unknown, cluster-in-use, kubeconfig-refused, request-invalid. */
export async function changeCluster(
  ctx: Context,
  actor: Actor,
  { name, patch }: { name: string; patch: ClusterPatch },
  expected?: Precondition,
): Promise<Cluster> {
  allowPlatform(actor, 'write-clusters')
  const given = patch.ingress && { [defaultIngress]: completeIngress(patch.ingress) }
  const further = changedIngresses({}, patch.ingresses ?? {})
  refuse('request-invalid', await leadingFaults({ ...further, ...given }))
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    const { id } = await clusterRow(tx, name)
    // Nobody places a host on it meanwhile.
    await tx.$executeRaw(sql`select 1 from cluster where id = ${id}::uuid for update`)
    const before = await clusterRow(tx, name)
    expected?.(clusterView(before, actor))
    const stored = () => storedKubeconfig(tx, ctx, id)
    const kubeconfig = await changedCredentials(patch, stored, now)
    const { ingress, ingresses = {} } = patch
    const { [defaultIngress]: first, ...others } = allIngressesOf(before)
    const next = accepted(
      ingress === undefined ? first : completeIngress(ingress),
      changedIngresses(others, ingresses),
    )
    await refuseCarrying(tx, {
      id,
      name,
      gone: Object.keys(others).filter((one) => !Object.hasOwn(next, one)),
    })
    const api = patch.api ?? apiOf(before)
    if (api !== apiOf(before)) await refuseOtherApi(tx, { id, name })
    const row = await tx.cluster.update({
      where: { id },
      data: {
        ...ingressColumns(next),
        api,
        drift: patch.drift ?? before.drift,
        ...(kubeconfig === undefined
          ? {}
          : {
              server: kubeconfig.server,
              credential: { update: { sealed: sealed(ctx, id, kubeconfig) } },
            }),
        updatedAt: now,
      },
    })
    await record(tx, { actor, now }, 'cluster.changed', {
      subject: { kind: 'cluster', id, name, tenantId: null },
      changes: {
        ...factsOf(row),
        credential: kubeconfig === undefined ? 'kept' : 'replaced',
        changed: differences(shapeOf(before), shapeOf(row)),
      },
    })
    await due(tx, 'cluster.check', { clusterId: id })
    await dueOnCluster(tx, id)
    return clusterView(row, actor)
  })
}

/** Forgets a cluster that carries no host any more. Throws cluster-unknown, cluster-in-use. */
export async function removeCluster(ctx: Context, actor: Actor, name: string): Promise<void> {
  allowPlatform(actor, 'write-clusters')
  const now = ctx.now()
  try {
    await ctx.db.transaction(async (tx) => {
      const { id } = await clusterRow(tx, name)
      await tx.cluster.delete({ where: { id } })
      await record(tx, { actor, now }, 'cluster.removed', {
        subject: { kind: 'cluster', id, name, tenantId: null },
        changes: {},
      })
    })
  } catch (error) {
    if (!isReferenced(error)) throw error
    throw new Problem(
      'cluster-in-use',
      `Hosts or deliveries are still on cluster "${name}", or being taken off it: remove them, then try again; a cluster that will not come back is removed with ?force=true`,
    )
  }
}

/** These ingresses together. Throws request-invalid with everything that is wrong with them. */
function accepted(first: Ingress, others: Ingresses): Named {
  refuse('request-invalid', ingressNameFaults(Object.keys(others)))
  const all = { [defaultIngress]: first, ...others }
  refuse('request-invalid', ingressFaults(all))
  return all
}

/** Throws cluster-in-use when hosts come in by an ingress that is to go. */
async function refuseCarrying(
  tx: Tx,
  { id: clusterId, name, gone }: { id: string; name: string; gone: readonly string[] },
): Promise<void> {
  for (const ingress of gone) {
    const hosts = await tx.placement.count({ where: { clusterId, ingress } })
    if (hosts === 0) continue
    const them = hosts === 1 ? 'One host comes' : `${hosts} hosts come`
    throw new Problem(
      'cluster-in-use',
      `${them} in by ingress "${ingress}" of cluster "${name}", or are being taken off it: move them, then try again`,
    )
  }
}

/** Throws cluster-in-use while hosts are there: they would have to be served by both at once. */
async function refuseOtherApi(tx: Tx, { id, name }: { id: string; name: string }): Promise<void> {
  const hosts = await tx.placement.count({ where: { clusterId: id } })
  if (hosts === 0) return
  throw new Problem(
    'cluster-in-use',
    `api of cluster "${name}" cannot change while hosts are on it, or being taken off it (${hosts}): move them, then try again`,
  )
}

async function storedKubeconfig(tx: Tx, ctx: Context, clusterId: string): Promise<string> {
  const { sealed } = await tx.clusterCredential.findUniqueOrThrow({ where: { clusterId } })
  return ctx.seal.open(credentialBinding(clusterId), Buffer.from(sealed)).toString()
}

function ingressColumns({ [defaultIngress]: first, ...others }: Named) {
  const { namespace, selector, address, plainAddress = null, adminAddress = null } = first
  return {
    ingressNamespace: namespace,
    ingressSelector: json(selector),
    ingressAddress: address,
    ingressPlainAddress: plainAddress,
    ingressAdminAddress: adminAddress,
    ingresses: json(others),
  }
}

function sealed(ctx: Context, clusterId: string, { text }: Kubeconfig) {
  return bytes(ctx.seal.seal(credentialBinding(clusterId), Buffer.from(text)))
}

type Named = ReturnType<typeof allIngressesOf>

function shapeOf(row: ClusterRow) {
  const { [defaultIngress]: ingress, ...ingresses } = allIngressesOf(row)
  return { server: row.server, ingress, ingresses, api: apiOf(row), drift: driftPolicy(row) }
}

function factsOf(row: ClusterRow) {
  const { server, ingress, ingresses, api, drift } = shapeOf(row)
  return {
    server,
    namespace: ingress.namespace,
    selector: JSON.stringify(ingress.selector),
    address: ingress.address,
    ...(api === 'istio' ? {} : { api }),
    ...(drift === 'repair' ? {} : { drift }),
    ...(ingress.plainAddress === undefined ? {} : { plainAddress: ingress.plainAddress }),
    ...(ingress.adminAddress === undefined ? {} : { adminAddress: ingress.adminAddress }),
    ...(Object.keys(ingresses).length === 0 ? {} : { ingresses: JSON.stringify(ingresses) }),
  }
}

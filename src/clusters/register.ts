import { differences } from '../audit/differences.ts'
import { record } from '../audit/record.ts'
import { type Actor, allowPlatform } from '../core/actor.ts'
import { type Context, newId } from '../core/context.ts'
import { bytes, isDuplicate, isReferenced, json } from '../core/database/db.ts'
import { due } from '../core/database/due.ts'
import { Problem, refuse } from '../shared/problem.ts'
import {
  type Cluster,
  type ClusterPatch,
  type Ingress,
  ingressDefaults,
  type NewCluster,
} from './cluster.ts'
import { type Kubeconfig, parseKubeconfig } from './credentials/kubeconfig.ts'
import { type ClusterRow, clusterRow, clusterView, ingressOf } from './find.ts'
import { credentialBinding } from './kubernetes/open.ts'
import { dueOnCluster } from './sync.ts'

/** Registers a cluster; whether it answers is looked at right after. Throws cluster-exists,
 *  kubeconfig-refused, request-invalid. */
export async function createCluster(
  ctx: Context,
  actor: Actor,
  asked: NewCluster,
): Promise<Cluster> {
  allowPlatform(actor, 'write-clusters')
  const kubeconfig = readable(asked.kubeconfig, ctx.now())
  const ingress = completeIngress(asked.ingress)
  const now = ctx.now()
  const id = newId(now)
  try {
    return await ctx.db.transaction(async (tx) => {
      const row = await tx.cluster.create({
        data: {
          id,
          name: asked.name,
          server: kubeconfig.server,
          ...ingressColumns(ingress),
          status: 'Unknown',
          createdAt: now,
          updatedAt: now,
          credential: { create: { sealed: sealed(ctx, id, kubeconfig) } },
        },
      })
      await record(tx, { actor, now }, 'cluster.created', {
        subject: { kind: 'cluster', id, name: asked.name, tenantId: null },
        changes: factsOf(kubeconfig.server, ingress),
      })
      await due(tx, 'cluster.check', { clusterId: id })
      return clusterView(row, actor)
    })
  } catch (error) {
    if (!isDuplicate(error)) throw error
    throw new Problem('cluster-exists', `There is a cluster "${asked.name}"; choose another name`)
  }
}

/** Changes the credentials, the ingress or both; every host on the cluster is then looked at again.
 *  Throws cluster-unknown, kubeconfig-refused, request-invalid. */
export async function changeCluster(
  ctx: Context,
  actor: Actor,
  { name, patch }: { name: string; patch: ClusterPatch },
): Promise<Cluster> {
  allowPlatform(actor, 'write-clusters')
  const kubeconfig =
    patch.kubeconfig === undefined ? undefined : readable(patch.kubeconfig, ctx.now())
  const asked = patch.ingress === undefined ? undefined : completeIngress(patch.ingress)
  const now = ctx.now()
  return ctx.db.transaction(async (tx) => {
    const before = await clusterRow(tx, name)
    const { id } = before
    const row = await tx.cluster.update({
      where: { id },
      data: {
        ...(asked === undefined ? {} : ingressColumns(asked)),
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
        ...factsOf(row.server, ingressOf(row)),
        credential: kubeconfig === undefined ? 'kept' : 'replaced',
        changed: differences(placeOf(before), placeOf(row)),
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
      `Hosts are still on cluster "${name}", or being taken off it: remove them, then try again; a cluster that will not come back is removed with ?force=true`,
    )
  }
}

function readable(text: string, now: Date): Kubeconfig {
  const parsed = parseKubeconfig(text, now)
  if ('kubeconfig' in parsed) return parsed.kubeconfig
  refuse('kubeconfig-refused', parsed.violations)
  throw new Problem('kubeconfig-refused', 'The kubeconfig cannot be used')
}

function completeIngress(asked: NewCluster['ingress']): Ingress {
  const port = Number(asked.address.slice(asked.address.lastIndexOf(':') + 1))
  if (port < 1 || port > 65535) {
    const message = `${port} is not a port: give host:port with 1 to 65535`
    refuse('request-invalid', [{ field: '/ingress/address', message }])
  }
  return { ...ingressDefaults, ...asked }
}

function ingressColumns({ namespace, selector, address }: Ingress) {
  return {
    ingressNamespace: namespace,
    ingressSelector: json(selector),
    ingressAddress: address,
  }
}

function sealed(ctx: Context, clusterId: string, { text }: Kubeconfig) {
  return bytes(ctx.seal.seal(credentialBinding(clusterId), Buffer.from(text)))
}

function placeOf(row: ClusterRow) {
  return { server: row.server, ingress: ingressOf(row) }
}

function factsOf(server: string, { namespace, selector, address }: Ingress) {
  return { server, namespace, selector: JSON.stringify(selector), address }
}

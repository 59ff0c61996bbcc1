import type { Context } from '../../core/context.ts'
import { batchedReads } from '../../core/database/batch.ts'
import { oncePer } from '../../core/onceper.ts'
import { Problem } from '../../shared/problem.ts'
import { connect } from './connect.ts'
import type { Kube } from './kube.ts'

/** What a sealed kubeconfig is bound to. */
export function credentialBinding(clusterId: string): string {
  return `cluster_credential/${clusterId}`
}

type Opened = { readonly sealed: Buffer; readonly kube: Kube }

/** The open connections of each context: they live as long as it does. */
const opened = oncePer(() => new Map<string, Opened>())

const credentials = oncePer((ctx) =>
  batchedReads(
    (ids) => ctx.db.read.clusterCredential.findMany({ where: { clusterId: { in: ids } } }),
    ({ clusterId }) => clusterId,
  ),
)

/** A connection to the cluster, kept open until its credentials change. Throws cluster-unknown. */
export async function openCluster(ctx: Context, clusterId: string): Promise<Kube> {
  const connections = opened(ctx)
  const row = await credentials(ctx)(clusterId)
  // Nothing is waited for after this, or two who ask at once would open two connections.
  const before = connections.get(clusterId)
  if (!row) {
    before?.kube.close()
    connections.delete(clusterId)
    throw new Problem('cluster-unknown', `There is no cluster ${clusterId}`)
  }
  const sealed = Buffer.from(row.sealed)
  if (before?.sealed.equals(sealed)) return before.kube
  before?.kube.close()
  const text = ctx.seal.open(credentialBinding(clusterId), sealed).toString()
  const kube = connect(text)
  connections.set(clusterId, { sealed, kube })
  return kube
}

import { type Actor, allowPlatform } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { allIngressesOf, clusterRow } from '../find.ts'
import { type Kube, KubeError } from '../kubernetes/kube.ts'
import { openCluster } from '../kubernetes/open.ts'
import { meshNamespace } from '../rights/table.ts'
import { silenceOf } from '../silence.ts'
import { type ControlPlanes, controlPlanesOf, mapName, readRevision } from './revision.ts'
import type { MeshTlsList, MeshTlsQuery } from './schema.ts'

/** The TLS versions of the mesh of a cluster, for each revision of its control plane. Throws
 *  cluster-unknown, cluster-unreachable, mesh-unknown, mesh-refused. */
export async function findMeshTls(
  ctx: Context,
  actor: Actor,
  { name, query }: { readonly name: string; readonly query: MeshTlsQuery },
): Promise<MeshTlsList> {
  allowPlatform(actor, 'read')
  const { namespace = meshNamespace } = query
  const { kube, planes } = await openMesh(ctx, { name, namespace })
  if (query.revision !== undefined) {
    const where = { namespace, revision: query.revision, planes }
    const { meshTls } = await reachable(mapName(query.revision), namespace, () =>
      readRevision(kube, where),
    )
    return { revisions: [meshTls], warnings: [...planes.warnings] }
  }
  const found: MeshTlsList = { revisions: [], warnings: [...planes.warnings] }
  const lacking: Problem[] = []
  for (const revision of planes.revisions) {
    try {
      const where = { namespace, revision, planes }
      const { meshTls } = await reachable(mapName(revision), namespace, () =>
        readRevision(kube, where),
      )
      found.revisions.push(meshTls)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      lacking.push(error)
    }
  }
  // A map that is not there, or is not shown, is no reason to keep the others back.
  if (found.revisions.length === 0 && lacking[0]) throw lacking[0]
  found.warnings.push(...lacking.map(({ message }) => message))
  return found
}

/** The connection to a cluster, its id, and what is seen of its control planes. */
export async function openMesh(
  ctx: Context,
  { name, namespace }: { readonly name: string; readonly namespace: string },
): Promise<{ readonly clusterId: string; readonly kube: Kube; readonly planes: ControlPlanes }> {
  const row = await clusterRow(ctx.db.read, name)
  const silence = silenceOf(row)
  if (silence !== null) throw new Problem('cluster-unreachable', silence)
  const kube = await openCluster(ctx, row.id)
  const planes = await reachable('', namespace, () =>
    controlPlanesOf(kube, { namespace, ingresses: allIngressesOf(row) }),
  )
  return { clusterId: row.id, kube, planes }
}

/** Has what a cluster refuses told as a problem that names the right that is missing. */
export async function reachable<T>(
  map: string,
  namespace: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    if (error.fault === 'conflict') {
      throw new Problem(
        'mesh-changed',
        `ConfigMap ${namespace}/${map} was changed by somebody else just now, and nothing was written: look at it and try again`,
      )
    }
    const rights =
      error.fault === 'forbidden'
        ? `The credentials need "get", and to set it "patch", on ConfigMap ${map} in namespace ${namespace}: `
        : ''
    throw new Problem('cluster-unreachable', `${rights}${error.message}`)
  }
}

import { differences } from '../../audit/differences.ts'
import { type AuditAction, record } from '../../audit/record.ts'
import { type Actor, allowPlatform } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import { misreadsTlsDefaults } from '../checks/mesh.ts'
import { kinds } from '../kubernetes/kinds.ts'
import type { Kube } from '../kubernetes/kube.ts'
import { meshNamespace } from '../rights/table.ts'
import { openMesh, reachable } from './find.ts'
import { defaultRevision, mapName, type Revision, readRevision } from './revision.ts'
import type { MeshTls, MeshTlsChange, MeshTlsQuery, NewMeshTls } from './schema.ts'
import { diffOf, type SettingName, withVersion } from './text.ts'

/** What is to be done to the mesh of which cluster. */
export type MeshTlsOrder = {
  readonly name: string
  readonly query: MeshTlsQuery & { readonly dryRun?: boolean | undefined }
  readonly request: NewMeshTls
}

/** Sets the TLS versions of a mesh in the map of one revision, and changes nothing else there. What is set
 *  already is not written. The order is on record before the map is written, and that it was written after.
 *  Throws cluster-unknown, cluster-unreachable, mesh-unknown, mesh-refused, mesh-owned where something else
 *  writes the map and `force` is not given, mesh-changed where somebody has just changed it. */
export async function putMeshTls(
  ctx: Context,
  actor: Actor,
  { name, query, request }: MeshTlsOrder,
): Promise<MeshTlsChange> {
  allowPlatform(actor, 'write-clusters')
  const { namespace = meshNamespace, dryRun = false } = query
  const { clusterId, kube, planes } = await openMesh(ctx, { name, namespace })
  const revision = query.revision ?? only(planes.revisions)
  const place = { namespace, revision, planes }
  const map = mapName(revision)
  const before = await reachable(map, namespace, () => readRevision(kube, place))
  const { text, diff } = edited(before, request)
  if (diff === '') return { changed: false, dryRun, diff, meshTls: before.meshTls }
  if (request.force !== true) refuseUnforced(before.meshTls, request)
  if (dryRun) {
    await reachable(map, namespace, () => write(kube, before, { text, dryRun }))
    return { changed: true, dryRun, diff, meshTls: before.meshTls }
  }
  const tell = (action: AuditAction, changes: object) =>
    ctx.db.transaction((tx) =>
      record(tx, { actor, now: ctx.now() }, action, {
        subject: { kind: 'cluster', id: clusterId, name, tenantId: null },
        changes: {
          configMap: `${namespace}/${map}`,
          owner: before.meshTls.owner,
          forced: request.force === true,
          changed: differences(versionsOf(before.meshTls), {
            ...versionsOf(before.meshTls),
            ...changes,
          }),
        },
      }),
    )
  const wanted = wantedOf(request)
  await tell('cluster.mesh-tls-ordered', wanted)
  await reachable(map, namespace, () => write(kube, before, { text, dryRun }))
  await tell('cluster.mesh-tls-changed', wanted)
  const after = await reachable(map, namespace, () => readRevision(kube, place))
  return { changed: true, dryRun, diff, meshTls: after.meshTls }
}

function only(revisions: readonly string[]): string {
  if (revisions.length === 1 && revisions[0] !== undefined) return revisions[0]
  throw new Problem(
    'mesh-unknown',
    `The mesh has the revisions ${revisions.join(', ')}: say which one by ?revision=${defaultRevision}`,
  )
}

const names = ['meshMTLS', 'tlsDefaults'] as const satisfies readonly SettingName[]

function edited(before: Revision, request: NewMeshTls): { text: string; diff: string } {
  try {
    return names.reduce(
      ({ text, diff }, name) => {
        const setting = request[name]
        if (setting === undefined) return { text, diff }
        const next = withVersion(text, name, setting.minProtocolVersion)
        return { text: next, diff: diff + diffOf(text, next) }
      },
      { text: before.text, diff: '' },
    )
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new Problem('mesh-refused', `The mesh configuration cannot be read: ${error.message}`)
  }
}

function refuseUnforced({ owner, istioVersion, configMap }: MeshTls, request: NewMeshTls): void {
  if (owner !== null) {
    throw new Problem(
      'mesh-owned',
      `${owner} writes ConfigMap ${configMap.namespace}/${configMap.name} and would undo this: set meshConfig there, or send "force": true`,
      { owner },
    )
  }
  const { minProtocolVersion = null } = request.tlsDefaults ?? {}
  if (minProtocolVersion === null || minProtocolVersion === 'TLS_AUTO') return
  if (istioVersion === null || !misreadsTlsDefaults(istioVersion)) return
  throw new Problem(
    'mesh-refused',
    `Istio ${istioVersion} takes tlsDefaults.minProtocolVersion for a version two lower: state tls.minVersion of each host instead, or send "force": true`,
  )
}

/** By its resourceVersion: what was changed meanwhile is not written over. */
async function write(
  kube: Kube,
  { map, meshTls }: Revision,
  { text, dryRun }: { readonly text: string; readonly dryRun: boolean },
): Promise<void> {
  const { resourceVersion } = map.metadata
  if (resourceVersion === undefined) throw new Error('every object of a cluster has a version')
  const metadata = { ...meshTls.configMap, resourceVersion }
  await kube.apply({ ...kinds.configMap, metadata, data: { mesh: text } }, { force: true, dryRun })
}

function versionsOf({ meshMTLS, tlsDefaults }: MeshTls) {
  return {
    meshMTLS: meshMTLS.minProtocolVersion,
    tlsDefaults: tlsDefaults.minProtocolVersion,
  }
}

function wantedOf({ meshMTLS, tlsDefaults }: NewMeshTls) {
  return {
    ...(meshMTLS === undefined ? {} : { meshMTLS: meshMTLS.minProtocolVersion }),
    ...(tlsDefaults === undefined ? {} : { tlsDefaults: tlsDefaults.minProtocolVersion }),
  }
}

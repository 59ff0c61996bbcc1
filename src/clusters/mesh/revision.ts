import Type from 'typebox'
import { Problem } from '../../shared/problem.ts'
import { conforms } from '../../shared/shape.ts'
import { ask } from '../checks/ask.ts'
import { meshIn, misreadsTlsDefaults } from '../checks/mesh.ts'
import type { AllIngresses } from '../ingresses.ts'
import { selectorText } from '../ingresses.ts'
import { kinds } from '../kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../kubernetes/kube.ts'
import { ownerOf } from './owner.ts'
import type { MeshTls, Setting } from './schema.ts'
import { type SettingName, versionsIn } from './text.ts'

/** The revision that has no name. */
export const defaultRevision = 'default'

/** What was found of the control planes in a namespace. */
export type ControlPlanes = {
  /** Every revision that something speaks of, the default one first. */
  readonly revisions: readonly string[]
  readonly istiods: readonly KubeObject[]
  /** Which ingresses have pods of a revision. */
  readonly followers: ReadonlyMap<string, readonly string[]>
  readonly gateways: readonly KubeObject[]
  readonly warnings: readonly string[]
}

/** Looks for the control planes: by the pods of istiod, and by what the gateway pods follow. What the
 *  credentials do not show is told as a warning. */
export async function controlPlanesOf(
  kube: Kube,
  { namespace, ingresses }: { readonly namespace: string; readonly ingresses: AllIngresses },
): Promise<ControlPlanes> {
  const reply = await ask(() => kube.list(kinds.pod, { namespace, labelSelector: 'app=istiod' }))
  const istiods = 'answer' in reply ? reply.answer : []
  const followers = new Map<string, string[]>()
  const gateways: KubeObject[] = []
  const warnings: string[] = []
  if ('why' in reply || istiods.length === 0) {
    const why = 'why' in reply ? reply.why : `none has the label app=istiod in ${namespace}`
    warnings.push(
      `The pods of istiod are not seen (${why}): further revisions, their versions and a map that SHARED_MESH_CONFIG names may be missed`,
    )
  }
  for (const [name, where] of Object.entries(ingresses)) {
    const labelSelector = selectorText(where.selector)
    const pods = await ask(() =>
      kube.list(kinds.pod, { namespace: where.namespace, labelSelector }),
    )
    if ('why' in pods) {
      warnings.push(`Which revision ingress "${name}" follows is not known: ${pods.why}`)
      continue
    }
    gateways.push(...pods.answer)
    for (const revision of new Set(pods.answer.map(revisionOf))) {
      followers.set(revision, [...(followers.get(revision) ?? []), name])
    }
  }
  const all = new Set([defaultRevision, ...istiods.map(revisionOf), ...followers.keys()])
  return { revisions: [...all], istiods, followers, gateways, warnings }
}

function revisionOf({ metadata }: KubeObject): string {
  return metadata.labels?.['istio.io/rev'] ?? defaultRevision
}

/** The name of the map of a revision. */
export function mapName(revision: string): string {
  return revision === defaultRevision ? 'istio' : `istio-${revision}`
}

/** A revision's map and what it says. */
export type Revision = {
  readonly map: KubeObject
  readonly text: string
  readonly meshTls: MeshTls
}

/** Reads the map of a revision and says what its settings come to. Throws KubeError, mesh-unknown and
 *  mesh-refused. */
export async function readRevision(
  kube: Kube,
  {
    namespace,
    revision,
    planes,
  }: {
    readonly namespace: string
    readonly revision: string
    readonly planes: ControlPlanes
  },
): Promise<Revision> {
  const name = mapName(revision)
  const map = await kube.get({ ...kinds.configMap, namespace, name })
  const text = map?.data?.mesh
  if (!map || text === undefined) {
    throw new Problem(
      'mesh-unknown',
      `There is no ConfigMap ${namespace}/${name} with a key "mesh": name the namespace of the control plane and a revision of it`,
    )
  }
  const own = planes.istiods.filter((pod) => revisionOf(pod) === revision)
  const followers = planes.followers.get(revision) ?? []
  const { version } = meshIn(own.length > 0 ? own : followersOf(planes, revision))
  const shared = await sharedVersions(kube, namespace, own)
  const meshTls: MeshTls = {
    revision,
    configMap: { namespace, name },
    istioVersion: version,
    ingresses: [...followers],
    ...settingsOf(text, { shared: shared.versions, version }),
    owner: ownerOf(map),
    warnings: [...shared.warnings, ...warningsOf({ version, followers, revision })],
  }
  return { map, text, meshTls }
}

function followersOf({ gateways }: ControlPlanes, revision: string): readonly KubeObject[] {
  return gateways.filter((pod) => revisionOf(pod) === revision)
}

type Versions = Readonly<Record<SettingName, string | null>>
const none: Versions = { meshMTLS: null, tlsDefaults: null }

/** What each setting comes to, of the text of a map. Throws mesh-refused for what is not read. */
export function settingsOf(
  text: string,
  { shared, version }: { readonly shared: Versions; readonly version: string | null },
): { readonly meshMTLS: Setting; readonly tlsDefaults: Setting } {
  const stated = readable(text)
  const defect = version !== null && misreadsTlsDefaults(version)
  return {
    meshMTLS: {
      ...settingOf(stated.meshMTLS, shared.meshMTLS, false),
      affects: 'TLS between the workloads of the mesh: what sidecars accept',
      doesNotAffect: 'Clients of an ingress, and hosts that pass through it',
    },
    tlsDefaults: {
      ...settingOf(stated.tlsDefaults, shared.tlsDefaults, defect),
      affects: 'TLS that ends at a gateway or sidecar, where a Gateway’s server states no version',
      doesNotAffect:
        'Servers that state their own, as those of hosts here do where tls.minVersion is set; TLS between workloads; what goes out of the mesh; hosts that pass through',
    },
  }
}

function settingOf(stated: string | null, shared: string | null, defect: boolean) {
  const value = stated ?? shared
  return {
    minProtocolVersion: stated,
    effective: effectiveOf(value, defect),
    source:
      stated !== null
        ? ('set' as const)
        : shared !== null
          ? ('shared' as const)
          : ('default' as const),
  }
}

/** TLS 1.2 is the default of istiod for sidecars, and of Envoy for what ends elsewhere. A version that
 *  misreads takes each for the one two before it. */
function effectiveOf(value: string | null, defect: boolean): Setting['effective'] {
  if (value === null || value === 'TLS_AUTO') return 'TLSV1_2'
  if (value === 'TLSV1_2') return defect ? 'TLSV1_0' : value
  if (value === 'TLSV1_3') return defect ? 'TLSV1_1' : value
  return 'unknown'
}

function readable(text: string): Versions {
  try {
    return versionsIn(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new Problem('mesh-refused', `The mesh configuration cannot be read: ${error.message}`)
  }
}

const Env = Type.Object({
  containers: Type.Array(
    Type.Object({
      env: Type.Optional(
        Type.Array(Type.Object({ name: Type.String(), value: Type.Optional(Type.String()) })),
      ),
    }),
  ),
})

/** What the map says that SHARED_MESH_CONFIG of istiod names: it goes where the revision's own says
 *  nothing. */
async function sharedVersions(
  kube: Kube,
  namespace: string,
  istiods: readonly KubeObject[],
): Promise<{ readonly versions: Versions; readonly warnings: readonly string[] }> {
  const variables = istiods.flatMap(({ spec }) =>
    conforms(Env, spec) ? spec.containers.flatMap(({ env = [] }) => env) : [],
  )
  const name = variables.find((each) => each.name === 'SHARED_MESH_CONFIG')?.value
  if (!name) return { versions: none, warnings: [] }
  const reply = await ask(() => kube.get({ ...kinds.configMap, namespace, name }))
  const what = `ConfigMap ${namespace}/${name}, which SHARED_MESH_CONFIG names, goes where this one says nothing`
  if ('why' in reply) {
    return { versions: none, warnings: [`${what}, and cannot be read: ${reply.why}`] }
  }
  return { versions: readable(reply.answer?.data?.mesh ?? ''), warnings: [what] }
}

function warningsOf(of: {
  readonly version: string | null
  readonly followers: readonly string[]
  readonly revision: string
}): readonly string[] {
  const { version, followers, revision } = of
  const mended = 'mended in 1.27.6, 1.28.4, 1.29.1 and 1.30.0'
  return [
    ...(version === null
      ? [
          `The version of Istio is not known: before 1.30, some take tlsDefaults.minProtocolVersion for a version two lower (${mended})`,
        ]
      : misreadsTlsDefaults(version)
        ? [
            `Istio ${version} takes tlsDefaults.minProtocolVersion for a version two lower (${mended}): state tls.minVersion of each host instead`,
          ]
        : []),
    ...(followers.length === 0 ? [`No ingress of this cluster follows revision ${revision}`] : []),
  ]
}

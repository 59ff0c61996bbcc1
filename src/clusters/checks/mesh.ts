import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'
import { kinds } from '../kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../kubernetes/kube.ts'
import { ask } from './ask.ts'
import { type Check, check } from './schema.ts'

/** The Istio of a cluster, as far as its pods tell. */
export type Mesh = { readonly version: string | null; readonly revision: string | null }

const Containers = Type.Object({
  containers: Type.Array(Type.Object({ image: Type.Optional(Type.String()) })),
})

/** The version and revision of Istio: by the pods of istiod, or else by those of the gateways, whose proxy
 *  is of the same version or one behind. */
export async function meshOf(
  kube: Kube,
  { namespaces, gateways }: { namespaces: readonly string[]; gateways: readonly KubeObject[] },
): Promise<{ readonly mesh: Mesh; readonly check: Check }> {
  const reply = await Promise.all(
    namespaces.map((namespace) =>
      ask(() => kube.list(kinds.pod, { namespace, labelSelector: 'app=istiod' })),
    ),
  )
  const istiods = reply.flatMap((each) => ('answer' in each ? each.answer : []))
  const whys = reply.flatMap((each) => ('why' in each ? [each.why] : []))
  const own = meshIn(istiods)
  const mesh = { ...meshIn(gateways), ...known(own) }
  const { version, revision } = mesh
  if (version === null) {
    const why =
      whys[0] ??
      `no pod in ${namespaces.join(', ')} says so by its image or app.kubernetes.io/version`
    const message = `The version of Istio is not known (${why}): what depends on it is not looked at`
    return { mesh, check: check('istio', 'unknown', message) }
  }
  const source = own.version === null ? ', by the proxy of the gateway' : ''
  const message = `Istio ${version}${source}${revision === null ? '' : `, revision ${revision}`}`
  return { mesh, check: check('istio', 'ok', message) }
}

function known(mesh: Mesh): Partial<Mesh> {
  return Object.fromEntries(Object.entries(mesh).filter(([, value]) => value !== null))
}

/** As the pods say, the oldest version of them: during an upgrade it decides. */
export function meshIn(pods: readonly KubeObject[]): Mesh {
  const versions = pods.flatMap((pod) => versionOf(pod) ?? [])
  const [version = null] = versions.toSorted(compareVersions)
  const revisions = pods.flatMap(({ metadata: { labels = {} } }) => labels['istio.io/rev'] ?? [])
  return { version, revision: [...new Set(revisions)].toSorted().join(', ') || null }
}

function versionOf({ metadata: { labels = {} }, spec }: KubeObject): string | undefined {
  const images = conforms(Containers, spec) ? spec.containers.map(({ image }) => image) : []
  // Not a registry's port, and without the digest that may follow.
  const tags = images.map((image) => /\/(?:pilot|proxyv2):([^@]+)/.exec(image ?? '')?.[1])
  const stated = [labels['app.kubernetes.io/version'], ...tags]
  return stated.find((each) => each !== undefined && numbersOf(each) !== undefined)
}

type Numbers = readonly [major: number, minor: number, patch: number]

/** `1.27.3`, also with something behind it. */
function numbersOf(version: string): Numbers | undefined {
  const [, major, minor, patch = '0'] = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(version) ?? []
  return major === undefined || minor === undefined
    ? undefined
    : [Number(major), Number(minor), Number(patch)]
}

function compareVersions(one: string, other: string): number {
  const [a, b] = [numbersOf(one), numbersOf(other)]
  if (!a || !b) return 0
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
}

/** What is known to go wrong with this version (istio.md 4, 6 and 10), a sentence each. */
export function defects(
  version: string,
  { gatewayApiVersion }: { readonly gatewayApiVersion: string | null },
): readonly string[] {
  const numbers = numbersOf(version)
  if (!numbers) return []
  const [, minor] = numbers
  const bundle = gatewayApiVersion === null ? undefined : numbersOf(gatewayApiVersion)
  const bundleBefore15 = bundle !== undefined && bundle[0] === 1 && bundle[1] < 5
  return [
    ...(misreadsTlsDefaults(version)
      ? [
          `Istio ${version} sets tlsDefaults.minProtocolVersion of the mesh two versions too low (mended in 1.27.6, 1.28.4, 1.29.1 and 1.30.0): hosts here state theirs and are served right, Gateways of others may not be`,
        ]
      : []),
    ...(minor < 22
      ? [
          `Istio ${version} serves its kinds as v1beta1 only, and is no longer maintained: 1.22 and later serve v1`,
        ]
      : []),
    ...(bundleBefore15 && minor >= 30
      ? [
          `Istio ${version} ignores the TLSRoutes of Gateway API ${gatewayApiVersion}: it reads them from 1.5.0 on`,
        ]
      : []),
    ...(bundle !== undefined && !bundleBefore15 && minor < 30
      ? [
          `Istio ${version} does not read the TLSRoutes (v1) of Gateway API ${gatewayApiVersion}: 1.30 and later do`,
        ]
      : []),
    ...(bundle !== undefined && minor < 28
      ? [
          `Istio ${version} does not validate client certificates at Gateways of the Gateway API (tls.frontend): 1.28 and later do`,
        ]
      : []),
  ]
}

/** Whether this version of Istio takes tlsDefaults.minProtocolVersion for one two versions lower (istio.md 4,
 *  checked there tag by tag). */
export function misreadsTlsDefaults(version: string): boolean {
  const [, minor, patch] = numbersOf(version) ?? [0, Number.POSITIVE_INFINITY, 0]
  const mendedIn = new Map([
    [27, 6],
    [28, 4],
    [29, 1],
  ])
  return minor <= 26 || patch < (mendedIn.get(minor) ?? 0)
}

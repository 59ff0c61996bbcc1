import type { ClusterApi } from '../cluster.ts'
import type { Kube } from '../kubernetes/kube.ts'
import { ask } from './ask.ts'
import { type Check, check, type ServedKind } from './schema.ts'

const istio = 'networking.istio.io'
const gatewayApi = 'gateway.networking.k8s.io'

/** The API versions that are asked about, newest first. */
const versions = {
  [istio]: ['v1', 'v1beta1', 'v1alpha3'],
  [gatewayApi]: ['v1', 'v1beta1', 'v1alpha3', 'v1alpha2'],
} as const

/** What hosts become, and what some routes become. */
const needed = ['Gateway', 'VirtualService'] as const
const useful = ['DestinationRule'] as const

/** What hosts become where they are written in the Gateway API. */
const neededOfGatewayApi = ['Gateway', 'HTTPRoute', 'TLSRoute', 'ReferenceGrant'] as const

/** Versions of Istio's kinds that hosts can be written in. */
const spoken: readonly string[] = ['v1', 'v1beta1']

/** Which kinds of Istio and of the Gateway API are served, and in which versions (discovery, which every
 *  authenticated client may read). */
export async function servedKinds(kube: Kube): Promise<readonly ServedKind[]> {
  const groups = Object.entries(versions).flatMap(([group, all]) =>
    all.map((version) => ({ group, version })),
  )
  const found = await Promise.all(
    groups.map(async ({ group, version }) => {
      const kinds = await kube.served(`${group}/${version}`)
      return (kinds ?? []).map((kind) => ({ group, kind, version }))
    }),
  )
  const byKind = Map.groupBy(found.flat(), ({ group, kind }) => `${group} ${kind}`)
  return [...byKind.values()].flatMap((each) => {
    const [first] = each
    return first
      ? [{ group: first.group, kind: first.kind, versions: each.map(({ version }) => version) }]
      : []
  })
}

/** What is said of the kinds that hosts are written in, each by its name. */
export function kindChecks(
  served: readonly ServedKind[],
  api: ClusterApi = 'istio',
): readonly Check[] {
  const further =
    api === 'gateway-api' ? neededOfGatewayApi.map((kind) => gatewayApiKind(served, kind)) : []
  return [
    ...further,
    ...needed.map((kind) => kindCheck(served, kind, 'failed')),
    ...useful.map((kind) => kindCheck(served, kind, 'warning')),
  ]
}

function kindCheck(
  served: readonly ServedKind[],
  kind: string,
  otherwise: 'failed' | 'warning',
): Check {
  const subject = `${istio} ${kind}`
  const found = served.find((each) => each.group === istio && each.kind === kind)
  const version = found?.versions.find((each) => spoken.includes(each))
  if (version === 'v1') return check('kinds', 'ok', `${istio}/v1 ${kind} is served`, subject)
  if (version !== undefined) {
    const message = `${istio}/v1 ${kind} is not served, and ${version} is spoken instead: Istio 1.22 and later serve v1`
    return check('kinds', 'warning', message, subject)
  }
  const message = `The cluster does not serve ${istio}/v1 ${kind}: install the CRDs of Istio (helm chart istio/base)`
  return check('kinds', otherwise, message, subject)
}

function gatewayApiKind(served: readonly ServedKind[], kind: string): Check {
  const subject = `${gatewayApi} ${kind}`
  const found = served.find((each) => each.group === gatewayApi && each.kind === kind)
  if (found?.versions.includes('v1')) {
    return check('kinds', 'ok', `${gatewayApi}/v1 ${kind} is served`, subject)
  }
  const message = `The cluster does not serve ${gatewayApi}/v1 ${kind}, in which its hosts are to be written (api): install the CRDs of the Gateway API, 1.5 or later`
  return check('kinds', 'failed', message, subject)
}

/** Whether a bundle is of 1.5 or later: TLSRoute and ReferenceGrant are of v1 since. */
function isRecent(version: string): boolean {
  const [, major = '0', minor = '0'] = /^v?(\d+)\.(\d+)/.exec(version) ?? []
  return Number(major) > 1 || (Number(major) === 1 && Number(minor) >= 5)
}

/** What is known of the Gateway API: the version of its CRDs, where we may read one of them. */
export async function gatewayApiCheck(
  kube: Kube,
  served: readonly ServedKind[],
  api: ClusterApi = 'istio',
): Promise<{ readonly version: string | null; readonly check: Check }> {
  const kinds = served.filter(({ group }) => group === gatewayApi)
  if (kinds.length === 0) {
    // Where hosts need it, each kind says so.
    const message = 'The Gateway API is not installed'
    return {
      version: null,
      check: check(
        'gateway-api',
        'ok',
        `${message}${api === 'istio' ? '; hosts do without it' : ''}`,
      ),
    }
  }
  const crd = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' }
  const reply = await ask(() => kube.get({ ...crd, namespace: '', name: `gateways.${gatewayApi}` }))
  if ('why' in reply) {
    const message = `The Gateway API is served; its version is not known: ${reply.why}`
    return { version: null, check: check('gateway-api', 'unknown', message) }
  }
  const { annotations = {} } = reply.answer?.metadata ?? {}
  const version = annotations[`${gatewayApi}/bundle-version`] ?? null
  const channel = annotations[`${gatewayApi}/channel`] ?? 'unknown'
  if (version !== null && api === 'gateway-api' && !isRecent(version)) {
    const message = `${version} is too old for hosts that are written in it: install 1.5 or later`
    return { version, check: check('gateway-api', 'failed', message) }
  }
  return version === null
    ? { version, check: check('gateway-api', 'unknown', 'Its CRDs name no bundle-version') }
    : { version, check: check('gateway-api', 'ok', `${version}, channel ${channel}`) }
}

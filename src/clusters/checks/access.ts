import type { ClusterApi } from '../cluster.ts'
import type { Access, Kube } from '../kubernetes/kube.ts'
import { type Feature, type Needed, neededAccess, type Places } from '../rights/table.ts'
import { inTurns } from './ask.ts'
import { type Check, check } from './schema.ts'

/** What the service does without the rights of a feature; none: it cannot serve hosts. */
const otherwise: Readonly<Record<Feature, string | null>> = {
  delivery: null,
  backends: null,
  'backend-tls': null,
  watch: 'changes that others make are found when hosts are compared, not at once',
  restart: 'Deployments are not restarted when their certificate is another one',
  checks: 'some checks stay unknown',
  listeners: 'the listeners of the gateway cannot be read from its pods',
  'mesh-tls': 'the TLS settings of the mesh can neither be read nor set',
  neighbours:
    'Ingresses of Istio and Gateways of the Gateway API that collide with hosts are not found',
}

const words: Readonly<Record<Feature, string>> = {
  delivery: 'delivery of hosts',
  backends: 'Secrets of workloads',
  'backend-tls': 'TLS to backends',
  watch: 'watches',
  restart: 'restarts of Deployments',
  checks: 'checks',
  listeners: 'listeners',
  'mesh-tls': 'TLS of the mesh',
  neighbours: 'objects of others',
}

/** Which rights are missing for what is asked for on the cluster, feature by feature
 *  (SelfSubjectAccessReview). */
export async function rightChecks(
  kube: Kube,
  places: Places,
  api: ClusterApi = 'istio',
): Promise<readonly Check[]> {
  const needed = neededAccess(Object.keys(otherwise).filter(isFeature), places, api)
  const allowed = await inTurns(needed, (access) => kube.can(access))
  return rightFindings(needed, (_, index) => allowed[index] === true)
}

/** What is said of rights that are needed, given which of them there are. */
export function rightFindings(
  needed: readonly Needed[],
  isAllowed: (access: Needed, index: number) => boolean,
): readonly Check[] {
  const missing = needed.filter((access, index) => !isAllowed(access, index))
  return Object.keys(otherwise)
    .filter(isFeature)
    .filter((feature) => needed.some((each) => each.feature === feature))
    .map((feature) => checkOf(feature, missing))
}

function isFeature(text: string): text is Feature {
  return Object.hasOwn(otherwise, text)
}

function checkOf(feature: Feature, missing: readonly Needed[]): Check {
  const lacking = missing.filter((each) => each.feature === feature)
  const subject = words[feature]
  if (lacking.length === 0) return check('rights', 'ok', 'All that is needed is allowed', subject)
  const list = `The credentials do not allow: ${listed(lacking)}`
  const without = otherwise[feature]
  const hint = 'gatesmith rbac prints the rights that are needed'
  return without === null
    ? check('rights', 'failed', `${list}. ${hint}`, subject)
    : check('rights', 'warning', `${list}: ${without}`, subject)
}

/** `get, list secrets in test`: the verbs of a resource together. */
function listed(lacking: readonly Access[]): string {
  const groups = Map.groupBy(lacking, whereOf)
  return [...groups]
    .map(([what, all]) => `${all.map(({ verb }) => verb).join(', ')} ${what}`)
    .join('; ')
}

function whereOf({ resource, namespace, name }: Access): string {
  const what = name === undefined ? resource : `${resource} "${name}"`
  if (namespace !== undefined) return `${what} in ${namespace}`
  return name === undefined ? `${what} in all namespaces` : what
}

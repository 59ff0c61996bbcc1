import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'
import { kinds } from '../kubernetes/kinds.ts'
import { type Kube, KubeError } from '../kubernetes/kube.ts'
import { ask } from './ask.ts'
import { type Check, check } from './schema.ts'
import { podsOf, type Workload } from './workloads.ts'

const PodSpec = Type.Object({ serviceAccountName: Type.String() })

/** Whether the gateway of an ingress gets the Secrets that hosts name: istiod gives them only to a proxy
 *  whose service account may list the Secrets of its namespace (istio.md 1.4). */
export async function secretsCheck(kube: Kube, workload: Workload): Promise<Check> {
  const { name, ingress } = workload
  const { namespace } = ingress
  const specs = podsOf(workload).flatMap(({ spec }) => (conforms(PodSpec, spec) ? [spec] : []))
  const [account] = specs.map(({ serviceAccountName }) => serviceAccountName)
  const item = 'gateway-secrets'
  if (account === undefined) {
    return check(item, 'unknown', 'No pod of it says which service account it has', name)
  }
  const access = { verb: 'list', group: '', resource: 'secrets', namespace }
  const reply = await ask(() => kube.mayAccount({ namespace, name: account }, access))
  if ('why' in reply) {
    const message = `Whether its service account ${account} may list Secrets could not be asked: ${reply.why}`
    return check(item, 'unknown', message, name)
  }
  return reply.answer
    ? check(item, 'ok', `Its service account ${account} may list Secrets in ${namespace}`, name)
    : check(
        item,
        'failed',
        `Its service account ${account} may not list Secrets in ${namespace}, so that istiod gives it no certificate: grant it get, watch and list there (helm chart istio/gateway, rbac.enabled)`,
        name,
      )
}

/** Whether istiod's webhook refuses what Istio cannot serve. It is shown a Gateway that it must refuse, by a
 *  dry run, which nothing comes of. */
export async function validationCheck(
  kube: Kube,
  { namespace, selector }: Workload['ingress'],
): Promise<Check> {
  const item = 'validation'
  try {
    await kube.apply(badGateway(namespace, selector), { dryRun: true })
    const message =
      'Validation is off: the cluster accepts a Gateway that Istio cannot serve. Is istiod running, and has its ValidatingWebhookConfiguration the failurePolicy Fail?'
    return check(item, 'warning', message)
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    const { fault, message } = error
    if (fault === 'unreachable' || fault === 'unauthorized') throw error
    if (fault === 'invalid' && message.includes('denied the request')) {
      return check(item, 'ok', 'The webhook of istiod refuses a Gateway that cannot be served')
    }
    // Its failurePolicy is Fail: so is every Gateway and VirtualService refused.
    if (message.includes('failed calling webhook')) {
      return check(item, 'failed', `No host can be changed: ${message}`)
    }
    return check(item, 'unknown', `It could not be tried out: ${message}`)
  }
}

/** Schemas take it; the webhook must not: a TLS server without a certificate, and istiod's own mark for an
 *  object that is to be refused. */
function badGateway(namespace: string, selector: Workload['ingress']['selector']) {
  const port = { number: 443, name: 'https', protocol: 'HTTPS' }
  const hosts = ['check.gatesmith.invalid']
  return {
    ...kinds.istioGateway,
    metadata: {
      name: 'gatesmith-check',
      namespace,
      annotations: { 'internal.istio.io/webhook-always-reject': 'true' },
    },
    spec: { selector, servers: [{ port, hosts, tls: { mode: 'SIMPLE' } }] },
  }
}

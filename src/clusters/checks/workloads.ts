import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'
import type { Ingress } from '../cluster.ts'
import { type AllIngresses, selectorText } from '../ingresses.ts'
import { kinds } from '../kubernetes/kinds.ts'
import type { Kube, KubeObject } from '../kubernetes/kube.ts'
import { type Answered, ask } from './ask.ts'
import { type Check, check, type FoundIngress } from './schema.ts'

/** The gateway workload of an ingress: what selects it, its pods and the Services that lead to them, or why
 *  they could not be looked at. */
export type Workload = {
  readonly name: string
  readonly ingress: Ingress
  readonly pods: Answered<readonly KubeObject[]>
  readonly services: Answered<readonly KubeObject[]>
}

/** The workload of each ingress. */
export function workloadsOf(kube: Kube, ingresses: AllIngresses): Promise<readonly Workload[]> {
  return Promise.all(
    Object.entries(ingresses).map(async ([name, ingress]) => {
      const { namespace, selector } = ingress
      const [pods, services] = await Promise.all([
        ask(() => kube.list(kinds.pod, { namespace, labelSelector: selectorText(selector) })),
        ask(() => kube.list(kinds.service, { namespace })),
      ])
      return { name, ingress, pods, services }
    }),
  )
}

/** How many pods and Services of an ingress are told of. */
const mostTold = 20

/** The pods and ports of a workload, as far as they are known. */
export function foundIngress(workload: Workload): FoundIngress {
  const { name, ingress } = workload
  return {
    name,
    namespace: ingress.namespace,
    pods: podsOf(workload)
      .slice(0, mostTold)
      .map((pod) => ({ name: pod.metadata.name, ready: isReady(pod) })),
    services: servicesTo(workload)
      .slice(0, mostTold)
      .map((service) => ({ name: service.metadata.name, ports: portsOf(service) })),
  }
}

/** Its pods, those that are ending left out. */
export function podsOf({ pods }: Workload): readonly KubeObject[] {
  return 'answer' in pods ? pods.answer : []
}

/** What is said of an ingress and its workload. */
export function workloadChecks(workloads: readonly Workload[]): readonly Check[] {
  return workloads.map((workload, index) => {
    const { name } = workload
    const fault = faultOf(workload) ?? sharingFault(workload, workloads.slice(0, index))
    if (fault !== undefined) return check('ingress', 'failed', fault, name)
    const advice = adviceOf(workload)
    const status = advice.length > 0 ? 'warning' : 'ok'
    return check('ingress', status, [summaryOf(workload), ...advice].join('. '), name)
  })
}

function faultOf(workload: Workload): string | undefined {
  const { ingress, pods } = workload
  const where = `in namespace ${ingress.namespace}`
  if ('why' in pods) return `The pods of the ingress gateway ${where} cannot be listed: ${pods.why}`
  const labels = selectorText(ingress.selector)
  if (pods.answer.length === 0) {
    return `No pod ${where} has the labels ${labels} of the ingress gateway: correct the ingress, or install the gateway`
  }
  if (pods.answer.some(isReady)) return undefined
  return `None of the ${pods.answer.length} pods with the labels ${labels} ${where} is ready: nothing is served there`
}

/** A pod that two ingresses select serves the hosts of both. */
function sharingFault(workload: Workload, before: readonly Workload[]): string | undefined {
  const { namespace } = workload.ingress
  const names = podsOf(workload).map((pod) => pod.metadata.name)
  const other = before.find(
    (each) =>
      each.ingress.namespace === namespace &&
      podsOf(each).some((pod) => names.includes(pod.metadata.name)),
  )
  return other
    ? `Its pods are those of ingress "${other.name}" too, which would serve the hosts of both: give each labels that the other lacks`
    : undefined
}

function summaryOf(workload: Workload): string {
  const pods = podsOf(workload)
  const ready = pods.filter(isReady).length
  const services = servicesTo(workload)
    .slice(0, mostTold)
    .map(
      (service) =>
        `Service ${service.metadata.name} leads there (${portsOf(service)
          .map(({ port, targetPort }) => `${port} → ${targetPort}`)
          .join(', ')})`,
    )
  return [`${ready} of ${pods.length} pods ready`, ...services].join('; ')
}

/** A server's port is a port of a Service that selects the pods, or else a port of the pods (istio.md 1.1). */
function adviceOf(workload: Workload): readonly string[] {
  const { services } = workload
  if ('why' in services) return [`Which ports lead there is not known: ${services.why}`]
  const ports = servicesTo(workload).flatMap((service) => portsOf(service).map(({ port }) => port))
  if (ports.length === 0) {
    return [
      'No Service in its namespace leads to these pods: hosts take ports 443 and 80 of the pods',
    ]
  }
  const missing = [443, 80].filter((port) => !ports.includes(port))
  return missing.length === 0
    ? []
    : [`No Service that leads there has port ${missing.join(' or ')}, which hosts come in by`]
}

const Selected = Type.Object({ selector: Type.Record(Type.String(), Type.String()) })
const Ports = Type.Object({
  ports: Type.Array(
    Type.Object({
      port: Type.Integer(),
      targetPort: Type.Optional(Type.Union([Type.Integer(), Type.String()])),
    }),
  ),
})

function servicesTo({ services, ...workload }: Workload): readonly KubeObject[] {
  if ('why' in services) return []
  const labels = podsOf({ ...workload, services }).map(({ metadata }) => metadata.labels ?? {})
  return services.answer.filter(({ spec }) => {
    if (!conforms(Selected, spec)) return false
    const wanted = Object.entries(spec.selector)
    return (
      wanted.length > 0 &&
      labels.some((each) => wanted.every(([key, value]) => each[key] === value))
    )
  })
}

function portsOf({ spec }: KubeObject): { port: number; targetPort: string }[] {
  if (!conforms(Ports, spec)) return []
  return spec.ports
    .slice(0, 50)
    .map(({ port, targetPort }) => ({ port, targetPort: String(targetPort ?? port) }))
}

const Conditions = Type.Object({
  conditions: Type.Array(Type.Object({ type: Type.String(), status: Type.String() })),
})

function isReady({ status }: KubeObject): boolean {
  return (
    conforms(Conditions, status) &&
    status.conditions.some((each) => each.type === 'Ready' && each.status === 'True')
  )
}

import type { Violation } from '../shared/problem.ts'
import { forbiddenMessage, isForbiddenAddress, isForbiddenNow, partsOf } from './addresses.ts'
import {
  type AskedIngress,
  defaultIngress,
  type Ingress,
  type Ingresses,
  ingressDefaults,
} from './cluster.ts'
import { includesLabels } from './kubernetes/kube.ts'

/** All ingresses of a cluster, by name, the default one among them. */
export type AllIngresses = Readonly<Record<string, Ingress>>

/** An ingress with what is not said filled in. */
export function completeIngress(request: AskedIngress): Ingress {
  return { ...ingressDefaults, ...request }
}

/** The further ingresses once these changes are made: null takes one away. */
export function changedIngresses(
  before: Ingresses,
  changes: Readonly<Record<string, AskedIngress | null>>,
): Ingresses {
  const kept = Object.entries(before).filter(([name]) => !Object.hasOwn(changes, name))
  const given = Object.entries(changes).flatMap(([name, changed]) =>
    changed === null ? [] : [[name, completeIngress(changed)] as const],
  )
  return Object.fromEntries([...kept, ...given])
}

/** What is wrong with the ingresses of one cluster, taken together. */
export function ingressFaults(ingresses: AllIngresses): readonly Violation[] {
  const all = Object.entries(ingresses)
  return all.flatMap(([name, ingress], index) => {
    const field = fieldOf(name)
    return [
      ...addressFaults(`${field}/address`, ingress.address),
      ...addressFaults(`${field}/plainAddress`, ingress.plainAddress),
      ...addressFaults(`${field}/adminAddress`, ingress.adminAddress),
      ...all.slice(0, index).flatMap((other) => sharingFaults(field, ingress, other)),
    ]
  })
}

/** The largest number of further ingresses of a cluster. */
const mostIngresses = 15

/** What is wrong with the names of further ingresses. */
export function ingressNameFaults(names: readonly string[]): readonly Violation[] {
  const taken = names.includes(defaultIngress)
    ? [
        {
          field: `/ingresses/${defaultIngress}`,
          message: `"${defaultIngress}" is the one under "ingress": give this one another name`,
        },
      ]
    : []
  return names.length > mostIngresses
    ? [
        ...taken,
        { field: '/ingresses', message: `A cluster has at most ${mostIngresses} of these` },
      ]
    : taken
}

function addressFaults(field: string, address: string | undefined): readonly Violation[] {
  if (address === undefined) return []
  const { host, port } = partsOf(address)
  if (port < 1 || port > 65535) {
    return [{ field, message: `${port} is not a port: give host:port with 1 to 65535` }]
  }
  return isForbiddenAddress(host) ? [{ field, message: forbiddenMessage(host) }] : []
}

/** What is wrong with where these lead just now: a name may stand for an address that is never asked. */
export async function leadingFaults(ingresses: AllIngresses): Promise<readonly Violation[]> {
  const addresses = Object.entries(ingresses).flatMap(
    ([name, { address, plainAddress, adminAddress }]) => {
      const field = fieldOf(name)
      return [
        { field: `${field}/address`, address },
        ...(plainAddress ? [{ field: `${field}/plainAddress`, address: plainAddress }] : []),
        ...(adminAddress ? [{ field: `${field}/adminAddress`, address: adminAddress }] : []),
      ]
    },
  )
  const found = await Promise.all(
    addresses.map(async ({ field, address }) => {
      const { host } = partsOf(address)
      return (await isForbiddenNow(host)) ? [{ field, message: forbiddenMessage(host) }] : []
    }),
  )
  return found.flat()
}

function fieldOf(name: string): string {
  return name === defaultIngress ? '/ingress' : `/ingresses/${name}`
}

/** Two ingresses that are one would serve the hosts of both: a Gateway selects pods by their labels, in
 *  every namespace (istio.md 1.1). */
function sharingFaults(
  field: string,
  { selector, address, plainAddress = '' }: Ingress,
  [name, other]: readonly [string, Ingress],
): readonly Violation[] {
  const faults: Violation[] = []
  if (selectsSame(selector, other.selector)) {
    const message = `These labels and those of ingress "${name}" select the same pods, in whatever namespace they are: give each ingress a label whose value the other lacks`
    faults.push({ field: `${field}/selector`, message })
  }
  if (address.toLowerCase() === other.address.toLowerCase()) {
    const message = `This is the address of ingress "${name}": nobody could tell by which of them a host is served`
    faults.push({ field: `${field}/address`, message })
  }
  if (plainAddress !== '' && plainAddress.toLowerCase() === other.plainAddress?.toLowerCase()) {
    const message = `This is the plain address of ingress "${name}": nobody could tell by which of them a host is served`
    faults.push({ field: `${field}/plainAddress`, message })
  }
  return faults
}

/** Whether both may select one pod: the labels of the one go further than those of the other. */
export function selectsSame(one: Ingress['selector'], other: Ingress['selector']): boolean {
  return includesLabels(one, other) || includesLabels(other, one)
}

/** Labels as a labelSelector parameter. */
export function selectorText(selector: Ingress['selector']): string {
  return Object.entries(selector)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}

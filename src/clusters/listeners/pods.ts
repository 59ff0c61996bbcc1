import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'
import type { Ingress } from '../cluster.ts'
import { selectorText } from '../ingresses.ts'
import { kinds } from '../kubernetes/kinds.ts'
import { type Kube, KubeError } from '../kubernetes/kube.ts'
import { type Admin, AdminError, addressedAdmin, forwardedAdmin } from './admin.ts'
import {
  type DynamicListener,
  type DynamicSecret,
  dynamicListeners,
  dynamicSecrets,
  paths,
  staticListeners,
  wanted,
} from './dump.ts'
import { type Chain, chainsOf, type Trouble, troublesOf } from './table.ts'

/** So many pods of an ingress are asked. */
const podLimit = 32

/** How many Envoys a process asks at a time, and how many may wait for their turn: an answer takes some
 *  megabytes and half a second of one core. */
const gateLimits = { open: 4, waiting: 128 } as const

/** What a pod said, or why it said nothing. */
export type PodAnswer<T> = { readonly pod: string | null } & (
  | { readonly told: T }
  | { readonly unread: string }
)

/** The table of one gateway pod. */
export type PodTable = { readonly chains: readonly Chain[]; readonly troubles: readonly Trouble[] }

/** The tables of all gateway pods of an ingress, by the name of the pod. It never throws for what the
 *  cluster does. */
export function tablesOf(kube: Kube, ingress: Ingress): Promise<readonly PodAnswer<PodTable>[]> {
  return askAll(kube, ingress, async (admin) => {
    const dynamic = dynamicListeners(await admin(paths.dynamic, wanted.dynamic))
    const fixed = staticListeners(await admin(paths.static, wanted.static))
    return { chains: chainsOf(dynamic, fixed), troubles: troublesOf(dynamic) }
  })
}

/** What the gateway pods of an ingress refuse, warm up or drain, and why: some hundred octets for each
 *  listener, whatever it holds. A refusal (`state` error) freezes its whole port: what is active there is
 *  from before. It never throws for what the cluster does. */
export function troublesOfIngress(
  kube: Kube,
  ingress: Ingress,
): Promise<readonly PodAnswer<readonly Trouble[]>[]> {
  return askAll(kube, ingress, async (admin) => {
    const states: readonly DynamicListener[] = dynamicListeners(
      await admin(paths.states, wanted.dynamic),
    )
    return troublesOf(states)
  })
}

/** What a gateway pod serves with: its credentials without their keys, and its chains. */
export type PodHoldings = {
  readonly secrets: readonly DynamicSecret[]
  readonly chains: readonly Chain[]
}

/** The same of all gateway pods of an ingress. It never throws for what the cluster does. */
export function holdingsOf(
  kube: Kube,
  ingress: Ingress,
): Promise<readonly PodAnswer<PodHoldings>[]> {
  return askAll(kube, ingress, async (admin) => {
    const secrets = dynamicSecrets(await admin(paths.secrets, wanted.secrets))
    const dynamic = dynamicListeners(await admin(paths.dynamic, wanted.dynamic))
    return { secrets, chains: chainsOf(dynamic, []) }
  })
}

type Pod = { readonly name: string; readonly isReady: boolean }

async function askAll<T>(
  kube: Kube,
  ingress: Ingress,
  ask: (admin: Admin) => Promise<T>,
): Promise<readonly PodAnswer<T>[]> {
  const pods = await podsOf(kube, ingress)
  const { namespace, adminAddress } = ingress
  if (adminAddress !== undefined) {
    // It leads to one Envoy: which pod that is can be told where there is but one.
    const ready = 'unread' in pods ? [] : pods.found.filter(({ isReady }) => isReady)
    const [only, ...others] = ready
    const pod = only && others.length === 0 ? only.name : adminAddress
    return [await told(pod, () => ask(addressedAdmin(adminAddress)))]
  }
  if ('unread' in pods) return [{ pod: null, unread: pods.unread }]
  const { found } = pods
  if (found.length === 0) return [{ pod: null, unread: 'The ingress has no pod' }]
  return Promise.all(
    found.map(async ({ name, isReady }, index): Promise<PodAnswer<T>> => {
      if (!isReady) return { pod: name, unread: 'The pod is not ready' }
      if (index >= podLimit) {
        return { pod: name, unread: `Only the first ${podLimit} pods of an ingress are asked` }
      }
      return told(name, () => ask(forwardedAdmin(kube, { namespace, name })))
    }),
  )
}

async function told<T>(pod: string, ask: () => Promise<T>): Promise<PodAnswer<T>> {
  try {
    return { pod, told: await gate(ask) }
  } catch (error) {
    if (error instanceof AdminError || error instanceof TypeError) {
      return { pod, unread: error.message }
    }
    throw error
  }
}

const PodStatus = Type.Object({
  metadata: Type.Object({ deletionTimestamp: Type.Optional(Type.Undefined()) }),
  status: Type.Object({
    conditions: Type.Array(Type.Object({ type: Type.String(), status: Type.String() })),
  }),
})

/** By name, the ready ones first. */
async function podsOf(
  kube: Kube,
  { namespace, selector }: Ingress,
): Promise<{ readonly found: readonly Pod[] } | { readonly unread: string }> {
  try {
    const labelSelector = selectorText(selector)
    const pods = await kube.list(kinds.pod, { namespace, labelSelector })
    const found = pods.map((pod) => ({
      name: pod.metadata.name,
      isReady:
        conforms(PodStatus, pod) &&
        pod.status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True'),
    }))
    return {
      found: found.toSorted(
        (a, b) => Number(b.isReady) - Number(a.isReady) || (a.name < b.name ? -1 : 1),
      ),
    }
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    return { unread: error.message }
  }
}

let open = 0
const queue: (() => void)[] = []

/** Lets so many in at a time as there is room for in the process. */
async function gate<T>(work: () => Promise<T>): Promise<T> {
  if (open < gateLimits.open) open++
  else if (queue.length >= gateLimits.waiting) {
    throw new AdminError('Too many Envoys are being asked already: ask again')
  } else await new Promise<void>((resolve) => queue.push(resolve))
  try {
    return await work()
  } finally {
    const next = queue.shift()
    if (next) next()
    else open--
  }
}

import Type from 'typebox'
import { isKind, kinds } from '../../clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../clusters/kubernetes/kube.ts'
import { conforms } from '../../shared/shape.ts'
import { nameOf, refOf } from '../plan.ts'

const Conditions = Type.Array(
  Type.Object({
    type: Type.String(),
    status: Type.String(),
    reason: Type.Optional(Type.String()),
    message: Type.Optional(Type.String()),
    observedGeneration: Type.Optional(Type.Integer()),
  }),
)
type Condition = Type.Static<typeof Conditions>[number]
const Told = Type.Object({ conditions: Type.Optional(Conditions) })
const Status = Type.Object({
  conditions: Type.Optional(Conditions),
  listeners: Type.Optional(
    Type.Array(Type.Object({ name: Type.String(), conditions: Type.Optional(Conditions) })),
  ),
  parents: Type.Optional(Type.Array(Told)),
})
const Generation = Type.Object({ metadata: Type.Object({ generation: Type.Integer() }) })

const mostTold = 5

/** What Gateways and routes say themselves of why they are not taken up, each sentence with its object. What was
 *  said of an earlier state of the object is no answer to this one. */
export function conditionFaults(observed: readonly KubeObject[]): readonly string[] {
  const all = observed.filter((object) =>
    [kinds.gateway, kinds.httpRoute, kinds.tlsRoute].some((kind) => isKind(kind, object)),
  )
  return [...new Set(all.flatMap(faultsOf))].slice(0, mostTold)
}

function faultsOf(object: KubeObject): readonly string[] {
  const what = nameOf(refOf(object))
  const { status } = object
  if (!conforms(Status, status)) return []
  const { conditions = [], listeners = [], parents = [] } = status
  const generation = conforms(Generation, object) ? object.metadata.generation : undefined
  const groups = [
    { who: what, conditions },
    ...listeners.map((each) => ({
      who: `Listener ${each.name} of ${what}`,
      conditions: each.conditions ?? [],
    })),
    ...parents.map((each) => ({ who: what, conditions: each.conditions ?? [] })),
  ]
  return groups.flatMap(({ who, conditions: told }) =>
    told
      .filter((each) => isFault(each, generation))
      .map(({ type, reason = 'no reason', message = '' }) =>
        `${who} is not ${said(type)} (${reason}): ${message}`.slice(0, 600),
      ),
  )
}

function isFault(
  { type, status, observedGeneration }: Condition,
  generation: number | undefined,
): boolean {
  const isOld =
    generation !== undefined && observedGeneration !== undefined && observedGeneration < generation
  if (isOld) return false
  if (type === 'Conflicted') return status === 'True'
  return ['Accepted', 'Programmed', 'ResolvedRefs'].includes(type) && status === 'False'
}

function said(type: string): string {
  return type === 'Conflicted' ? 'free of conflicts' : type
}

import Type from 'typebox'
import { type Kind, type KubeRef, kinds } from '../clusters/kubernetes/kinds.ts'
import { Problem } from '../shared/problem.ts'
import { conforms } from '../shared/shape.ts'
import { shown, shownJson } from '../shared/view.ts'
import { ObjectRef } from './host.ts'

/** An object as it is recorded with a placement: without an API version where its kind alone says what it
 *  is, as all that were recorded before other groups came. */
const Recorded = Type.Object({
  apiVersion: Type.Optional(Type.String()),
  kind: Type.String(),
  namespace: Type.String(),
  name: Type.String(),
  digest: Type.Optional(Type.String()),
  applied: Type.Optional(Type.Boolean()),
})
type Recorded = Type.Static<typeof Recorded>
const RecordedList = Type.Array(Recorded)

/** An object that is recorded to carry a host. */
export type RecordedObject = KubeRef & {
  /** Of the object as it is wanted (src/delivery/drift/digest.ts); none for one that is to go, and for
   *  those of earlier releases. */
  readonly digest?: string | undefined
  /** The cluster has taken it as it is wanted; else that is about to happen. */
  readonly applied?: boolean | undefined
}

const plainKinds: readonly Kind[] = [
  kinds.secret,
  kinds.configMap,
  kinds.istioGateway,
  kinds.istioVirtualService,
]

/** The objects that are recorded to carry a host. Throws host-refused for what another release recorded in
 *  words that this one does not know: nothing is done about a host whose objects are not known. */
export function recordedObjects(objects: unknown): readonly RecordedObject[] {
  if (!conforms(RecordedList, objects)) throw unknownObjects('what is recorded')
  return objects.map(({ apiVersion, kind, namespace, name, digest, applied }) => {
    const known = apiVersion ?? plainKinds.find((each) => each.kind === kind)?.apiVersion
    if (known === undefined) throw unknownObjects(`${kind} ${namespace}/${name}`)
    return { apiVersion: known, kind, namespace, name, digest, applied }
  })
}

/** Which they are. Throws host-refused as `recordedObjects` does. */
export function recordedRefs(objects: unknown): readonly KubeRef[] {
  return recordedObjects(objects).map(({ apiVersion, kind, namespace, name }) => ({
    apiVersion,
    kind,
    namespace,
    name,
  }))
}

function unknownObjects(what: string): Problem {
  return new Problem(
    'host-refused',
    `Another release recorded the objects of the host, in words that this one does not know (${what}): it has to be updated`,
  )
}

/** The objects as they are recorded. */
export function recordOf(refs: readonly RecordedObject[]): readonly Recorded[] {
  return refs.map(({ apiVersion, kind, namespace, name, digest, applied }) => {
    const plain = plainKinds.some((each) => each.kind === kind && each.apiVersion === apiVersion)
    return {
      ...(plain ? {} : { apiVersion }),
      ...{ kind, namespace, name },
      ...(digest === undefined ? {} : { digest }),
      ...(applied === undefined ? {} : { applied }),
    }
  })
}

/** The object as it is shown. */
export function objectRef({ kind, namespace, name }: Omit<KubeRef, 'apiVersion'>): ObjectRef {
  return shown(ObjectRef, { kind, namespace, name })
}

/** What is recorded, as it is shown. */
export function shownObjects(objects: unknown): ObjectRef[] {
  return shownJson(Type.Array(ObjectRef), objects).map(objectRef)
}

import type {
  V1LocalSubjectAccessReview,
  V1ResourceAttributes,
  V1SelfSubjectAccessReview,
} from '@kubernetes/client-node'
import Type from 'typebox'
import Value from 'typebox/value'
import { type Access, type Kube, KubeError } from './kube.ts'
import type { Line, Question } from './line.ts'
import { jsonOf } from './refusal.ts'

const Version = Type.Object({ gitVersion: Type.String() })
const Review = Type.Object({ status: Type.Optional(Type.Object({ allowed: Type.Boolean() })) })
const Resources = Type.Object({
  resources: Type.Array(Type.Object({ name: Type.String(), kind: Type.String() })),
})

const reviews = { apiVersion: 'authorization.k8s.io/v1' } as const

/** What a cluster is asked about itself and about rights: four questions of which the library of Kubernetes has the
 *  types. Its code is not loaded for them, which takes half a second and 89 MB. */
export function capabilitiesOf(
  line: Line,
): Pick<Kube, 'version' | 'can' | 'mayAccount' | 'served'> {
  const review = async (path: string, body: object) => {
    const question = { method: 'POST', path: `/apis/${reviews.apiVersion}${path}`, body } as const
    return (await answer(line, question, Review)).status?.allowed === true
  }
  return {
    version: async () =>
      (await answer(line, { method: 'GET', path: '/version/' }, Version)).gitVersion,
    can: (access) =>
      review('/selfsubjectaccessreviews', {
        ...reviews,
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: attributesOf(access) },
      } satisfies V1SelfSubjectAccessReview),
    mayAccount: ({ namespace, name }, access) =>
      review(`/namespaces/${encodeURIComponent(namespace)}/localsubjectaccessreviews`, {
        ...reviews,
        kind: 'LocalSubjectAccessReview',
        metadata: { namespace },
        spec: {
          user: `system:serviceaccount:${namespace}:${name}`,
          groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
          resourceAttributes: attributesOf(access),
        },
      } satisfies V1LocalSubjectAccessReview),
    served: async (apiVersion) => {
      const root = apiVersion.includes('/') ? 'apis' : 'api'
      try {
        const path = `/${root}/${apiVersion}`
        const { resources } = await answer(line, { method: 'GET', path }, Resources)
        return resources.flatMap(({ name, kind }) => (name.includes('/') ? [] : [kind]))
      } catch (error) {
        if (error instanceof KubeError && error.fault === 'unsupported') return undefined
        throw error
      }
    },
  }
}

/** What is not as it should be is no answer. */
async function answer<Schema extends Type.TSchema>(
  line: Line,
  question: Question,
  schema: Schema,
): Promise<Type.Static<Schema>> {
  const { octets } = await line.ask(question)
  const answered = jsonOf(octets.toString('utf8'))
  if (Value.Check(schema, answered)) return answered
  throw new KubeError('unavailable', 'The cluster answers with something else')
}

function attributesOf({ verb, group, resource: path, ...rest }: Access): V1ResourceAttributes {
  const [resource = '', subresource] = path.split('/')
  return { verb, group, resource, ...(subresource === undefined ? {} : { subresource }), ...rest }
}

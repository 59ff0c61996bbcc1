import { stringify } from 'yaml'
import type { ClusterApi } from '../cluster.ts'
import {
  type Feature,
  namespacesOf,
  type Places,
  type Right,
  resourceNamesOf,
  rightsFor,
} from './table.ts'

/** Whom the rights are for, where, and what for. */
export type RbacRequest = {
  readonly account: { readonly namespace: string; readonly name: string }
  readonly features: readonly Feature[]
  readonly api: ClusterApi
  readonly places: Places
  /** With a token that stays, in a Secret of its own. */
  readonly token: boolean
}

type Rule = {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

/** The least rights for these features as YAML to apply: the service account, a ClusterRole for what is
 *  needed in the whole cluster, a Role in each namespace, and their bindings. */
export function rbacManifest(request: RbacRequest): string {
  const { account, api, features, places } = request
  const asked = rightsFor(features, api)
  const namespaces = new Set(asked.flatMap((right) => namespacesOf(right, places)))
  const roles = [...namespaces].flatMap((namespace) => {
    const here = asked.filter((right) => namespacesOf(right, places).includes(namespace))
    return roleOf(account, namespace, rulesOf(here, places))
  })
  const { name, namespace } = account
  const documents = [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } },
    ...(request.token ? [tokenOf(account)] : []),
    ...roles,
  ]
  return documents.map((each) => stringify(each, { aliasDuplicateObjects: false })).join('---\n')
}

/** Kubernetes fills it in, and the token in it holds until the Secret is removed. */
function tokenOf({ name, namespace }: RbacRequest['account']) {
  const annotations = { 'kubernetes.io/service-account.name': name }
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: `${name}-token`, namespace, annotations },
    type: 'kubernetes.io/service-account-token',
  }
}

function roleOf(
  account: RbacRequest['account'],
  namespace: string | undefined,
  rules: readonly Rule[],
) {
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const apiGroup = 'rbac.authorization.k8s.io'
  const cluster = namespace === undefined ? 'Cluster' : ''
  const { name } = account
  const metadata = namespace === undefined ? { name } : { name, namespace }
  return [
    { apiVersion, kind: `${cluster}Role`, metadata, rules },
    {
      apiVersion,
      kind: `${cluster}RoleBinding`,
      metadata,
      roleRef: { apiGroup, kind: `${cluster}Role`, name },
      subjects: [{ kind: 'ServiceAccount', ...account }],
    },
  ]
}

/** One rule for what is said of the same objects; resources of the same verbs stand together. */
function rulesOf(all: readonly Right[], places: Places): readonly Rule[] {
  const single = all.flatMap((right) =>
    right.resources.map((resource) => ({
      ...right,
      resource,
      names: resourceNamesOf(right, places),
    })),
  )
  const byObject = Map.groupBy(single, ({ group, resource, names }) =>
    JSON.stringify([group, resource, names]),
  )
  const merged = [...byObject.values()].flatMap((same) => {
    const [first] = same
    const verbs = [...new Set(same.flatMap(({ verbs }) => verbs))]
    return first ? [{ ...first, verbs }] : []
  })
  const byVerbs = Map.groupBy(merged, ({ group, names, verbs }) =>
    JSON.stringify([group, names, verbs]),
  )
  return [...byVerbs.values()].flatMap((same) => {
    const [first] = same
    if (!first) return []
    const { group, names, verbs } = first
    const resources = same.map(({ resource }) => resource)
    return [
      { apiGroups: [group], resources, ...(names ? { resourceNames: [...names] } : {}), verbs },
    ]
  })
}

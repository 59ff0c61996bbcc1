import type { Fields, Json } from '../json.ts'
import { apiVersion, type Kind } from '../kinds.ts'

const verbs = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
] as const

/** /version. The sandbox says what it is; clients look at major and minor. */
export const version: Fields = {
  major: '1',
  minor: '33',
  gitVersion: 'v1.33.0+gatesmith-sandbox',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'gatesmith',
  platform: 'sandbox',
}

const documentPath = /^\/(version|api(\/[^/]+)?|apis(\/[^/]+){0,2}|openapi\/.*)$/

/** The discovery and OpenAPI documents of the kinds that are served, by path; undefined for a path that is
 *  none of them. */
export function documentAt(path: string, served: () => readonly Kind[]): Json | undefined {
  return documentPath.test(path) ? documentsOf(served()).get(path) : undefined
}

function documentsOf(kinds: readonly Kind[]): Map<string, Json> {
  const groups = [...new Set(kinds.map(({ group }) => group))].filter(Boolean)
  const groupOf = (group: string) => groupIn(kinds, group)
  const reviews = 'authorization.k8s.io'
  const map = new Map<string, Json>([
    ['/version', version],
    ['/api', { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] }],
    ['/api/v1', resourceList(kinds, '', 'v1')],
    [
      '/apis',
      { kind: 'APIGroupList', apiVersion: 'v1', groups: [...groups.map(groupOf), reviewGroup] },
    ],
    [`/apis/${reviews}`, { kind: 'APIGroup', apiVersion: 'v1', ...reviewGroup }],
    [`/apis/${reviews}/v1`, reviewList],
    ['/openapi/v3', { paths: openapiPaths(kinds) }],
    [
      '/openapi/v2',
      { swagger: '2.0', info: { title: 'Gatesmith sandbox', version: 'v1.33.0' }, paths: {} },
    ],
  ])
  for (const group of groups) {
    map.set(`/apis/${group}`, { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(group) })
  }
  for (const { group, versions } of kinds) {
    for (const each of versions) {
      const root = group ? `apis/${group}/${each}` : `api/${each}`
      map.set(`/${root}`, resourceList(kinds, group, each))
      map.set(`/openapi/v3/${root}`, openapi(kinds, { group, version: each, root }))
    }
  }
  return map
}

function groupIn(kinds: readonly Kind[], group: string): { [key: string]: Json } {
  const all = kinds.filter((kind) => kind.group === group).flatMap(({ versions }) => versions)
  const each = [...new Set(all)].map((version) => ({
    groupVersion: apiVersion(group, version),
    version,
  }))
  return { name: group, versions: each, preferredVersion: each[0] ?? {} }
}

const review = { groupVersion: 'authorization.k8s.io/v1', version: 'v1' } as const
const reviewGroup = {
  name: 'authorization.k8s.io',
  versions: [review],
  preferredVersion: review,
} as const
const reviewList: Fields = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: review.groupVersion,
  resources: ['LocalSubjectAccessReview', 'SelfSubjectAccessReview', 'SubjectAccessReview'].map(
    (kind) => ({
      name: `${kind.toLowerCase()}s`,
      singularName: kind.toLowerCase(),
      namespaced: kind.startsWith('Local'),
      kind,
      verbs: ['create'],
    }),
  ),
}

function resourceList(kinds: readonly Kind[], group: string, version: string): Json {
  const served = kinds.filter((kind) => kind.group === group && kind.versions.includes(version))
  const resources = served.map(({ plural, singular, namespaced, kind, shortNames }) => ({
    name: plural,
    singularName: singular,
    namespaced,
    kind,
    verbs,
    ...(shortNames.length > 0 ? { shortNames } : {}),
  }))
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersion(group, version),
    resources,
  }
}

function openapiPaths(kinds: readonly Kind[]): { [path: string]: Json } {
  const roots = kinds.flatMap(({ group, versions }) =>
    versions.map((each) => (group ? `apis/${group}/${each}` : `api/${each}`)),
  )
  return Object.fromEntries(
    [...new Set(roots)].map((root) => [root, { serverRelativeURL: `/openapi/v3/${root}?hash=0` }]),
  )
}

/** As much as kubectl reads before it leaves validation to the server: for each kind, that its PATCH
 *  takes fieldValidation and dryRun. */
function openapi(
  kinds: readonly Kind[],
  { group, version, root }: { group: string; version: string; root: string },
): Json {
  const served = kinds.filter((kind) => kind.group === group && kind.versions.includes(version))
  const paths = Object.fromEntries(
    served.map((kind) => [pathOf(root, kind), { patch: patchOf(kind, version) }]),
  )
  const info = { title: 'Gatesmith sandbox', version: 'v1.33.0' }
  const schemas = Object.fromEntries(
    served.map((kind) => [
      kind.kind,
      { type: 'object', 'x-kubernetes-group-version-kind': [{ group, version, kind: kind.kind }] },
    ]),
  )
  return { openapi: '3.0.0', info, paths, components: { schemas } }
}

function pathOf(root: string, { namespaced, plural }: Kind): string {
  return namespaced
    ? `/${root}/namespaces/{namespace}/${plural}/{name}`
    : `/${root}/${plural}/{name}`
}

function patchOf({ group, kind }: Kind, version: string): Json {
  const parameters = ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map((name) => ({
    name,
    in: 'query',
    schema: { type: name === 'force' ? 'boolean' : 'string', uniqueItems: true },
  }))
  return {
    operationId: `patch${kind}`,
    parameters,
    responses: { 200: { description: 'OK' } },
    'x-kubernetes-action': 'patch',
    'x-kubernetes-group-version-kind': { group, version, kind },
  }
}

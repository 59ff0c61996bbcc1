import assert from 'node:assert/strict'
import { test } from 'node:test'
import Type from 'typebox'
import Value from 'typebox/value'
import { parseAllDocuments } from 'yaml'
import type { ClusterApi } from '../../../src/clusters/cluster.ts'
import { rbacManifest } from '../../../src/clusters/rights/manifest.ts'
import { type Feature, featuresWith, neededAccess } from '../../../src/clusters/rights/table.ts'

const Document = Type.Object({
  kind: Type.String(),
  metadata: Type.Object({ name: Type.String(), namespace: Type.Optional(Type.String()) }),
  rules: Type.Optional(
    Type.Array(
      Type.Object({
        apiGroups: Type.Array(Type.String()),
        resources: Type.Array(Type.String()),
        resourceNames: Type.Optional(Type.Array(Type.String())),
        verbs: Type.Array(Type.String()),
      }),
    ),
  ),
})

const account = { namespace: 'istio-system', name: 'gatesmith' }
const places = {
  ingress: ['istio-system', 'istio-internal'],
  backendTls: ['istio-internal'],
  workload: ['test'],
  backend: ['web'],
  restart: ['test'],
  configMap: [],
  mesh: ['istio-system'],
  revisions: ['default', 'canary'],
}

function documents(features: readonly Feature[], token = false, api: ClusterApi = 'istio') {
  const text = rbacManifest({ account, api, features, places, token })
  return parseAllDocuments(text).map((each) => Value.Parse(Document, each.toJS()))
}

/** What the roles allow, as it is asked for: one by one. */
function allowed(features: readonly Feature[], api: ClusterApi = 'istio'): readonly string[] {
  return documents(features, false, api).flatMap(({ metadata: { namespace }, rules = [] }) =>
    rules.flatMap(({ apiGroups, resources, resourceNames = [''], verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          resourceNames.flatMap((name) =>
            verbs.map((verb) => JSON.stringify([verb, group, resource, namespace ?? '', name])),
          ),
        ),
      ),
    ),
  )
}

const all = featuresWith({ listeners: true, meshTls: true })
for (const [api, features] of [
  ['istio', featuresWith({})],
  ['istio', all],
  ['istio', ['delivery']],
  ['gateway-api', all],
] as const) {
  test(`what is printed for ${api} and ${features.join(', ')} is what a check asks for, each once`, () => {
    const asked = neededAccess(features, places, api).map(
      ({ verb, group, resource, namespace = '', name = '' }) =>
        JSON.stringify([verb, group, resource, namespace, name]),
    )
    assert.deepEqual(allowed(features, api).toSorted(), asked.toSorted())
  })
}

test('a namespace that is both has one Role, and nothing but what is asked for has a token', () => {
  const kinds = (token: boolean) =>
    documents(featuresWith({}), token).map(
      ({ kind, metadata: { name, namespace = '' } }) => `${kind} ${namespace}/${name}`,
    )
  assert.deepEqual(kinds(true), [
    'ServiceAccount istio-system/gatesmith',
    'Secret istio-system/gatesmith-token',
    'Role istio-system/gatesmith',
    'RoleBinding istio-system/gatesmith',
    'Role istio-internal/gatesmith',
    'RoleBinding istio-internal/gatesmith',
    'ClusterRole /gatesmith',
    'ClusterRoleBinding /gatesmith',
    'Role test/gatesmith',
    'RoleBinding test/gatesmith',
  ])
  assert.ok(!kinds(false).includes('Secret istio-system/gatesmith-token'))
})

test('no right is for more than it says: no wildcard, and no Secret outside of namespaces', () => {
  const each = [...allowed(all), ...allowed(all, 'gateway-api')]
  assert.ok(each.length > 80)
  for (const right of each) assert.doesNotMatch(right, /\*|^\["\w+","","secrets",""/)
})

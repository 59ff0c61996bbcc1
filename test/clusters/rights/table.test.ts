import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rightFindings } from '../../../src/clusters/checks/access.ts'
import { neededAccess } from '../../../src/clusters/rights/table.ts'

const places = {
  ingress: ['istio-system'],
  workload: ['test', 'shop'],
  backend: ['test'],
  restart: ['test'],
  configMap: [],
  backendTls: [],
  mesh: ['istio-system'],
}
const all = [
  'delivery',
  'backends',
  'backend-tls',
  'watch',
  'checks',
  'listeners',
  'mesh-tls',
  'neighbours',
] as const

const findings = (isDenied: (access: ReturnType<typeof neededAccess>[number]) => boolean) =>
  rightFindings(neededAccess(all, places), (access) => !isDenied(access)).filter(
    ({ status }) => status !== 'ok',
  )

test('no right is asked for twice, and each namespace of a workload has its own', () => {
  const needed = neededAccess(all, places)
  const keys = needed.map(({ feature: _, ...access }) => JSON.stringify(access))
  assert.equal(new Set(keys).size, keys.length)
  const patches = needed.filter(({ verb, resource }) => verb === 'patch' && resource === 'secrets')
  assert.deepEqual(patches.map(({ namespace }) => namespace).toSorted(), [
    'istio-system',
    'shop',
    'test',
  ])
})

test('rights that are missing are named with their namespace, and fail what cannot do without', () => {
  const found = findings(({ resource, namespace, verb }) => {
    return resource === 'secrets' && namespace === 'shop' && ['patch', 'create'].includes(verb)
  })
  assert.deepEqual(
    found.map(({ subject, status }) => [subject, status]),
    [['Secrets of workloads', 'failed']],
  )
  assert.match(
    found[0]?.message ?? '',
    /do not allow: create, patch secrets in shop\. gatesmith rbac/,
  )
})

test('what the service can do without is a warning that says what is lost', () => {
  const found = findings(({ feature }) => feature === 'watch' || feature === 'mesh-tls')
  assert.deepEqual(
    found.map(({ subject, status }) => [subject, status]),
    [
      ['watches', 'warning'],
      ['TLS of the mesh', 'warning'],
    ],
  )
  assert.match(found[0]?.message ?? '', /watch gateways in all namespaces; .*not at once/)
  assert.match(found[1]?.message ?? '', /get, patch configmaps "istio" in istio-system/)
})

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { operationId } from '../../src/api/operationid.ts'
import { nouns } from '../../src/api/rest/routes.ts'

const cases = [
  ['get', '/v1/tenants', 'listTenants'],
  ['post', '/v1/tenants', 'createTenant'],
  ['patch', '/v1/authorities/{authority}', 'updateAuthority'],
  ['get', '/v1/authorities', 'listAuthorities'],
  ['post', '/v1/authorities/import', 'importAuthority'],
  ['post', '/v1/authorities/{authority}/issuers/{id}/revoke', 'revokeAuthorityIssuer'],
  ['put', '/v1/tenants/{tenant}/hosts/{host}', 'putTenantHost'],
  ['post', '/v1/tenants/{tenant}/hosts/{host}/plan', 'planTenantHost'],
  ['post', '/v1/tenants/{tenant}/certificates:batch', 'batchTenantCertificates'],
  ['get', '/v1/clusters/{cluster}/mesh-tls', 'getClusterMeshTls'],
  ['get', '/pki/{authority}/crl', 'getPkiCrl'],
  ['get', '/pki/{authority}/crl/{key}/{shard}', 'getPkiCrlByShard'],
] as const
for (const [method, path, name] of cases) {
  test(`${method.toUpperCase()} ${path} is called ${name}`, () => {
    assert.equal(operationId(method, path), name)
  })
}

test('every operation has a name of its own', async () => {
  const url = new URL('../../openapi/openapi.json', import.meta.url)
  const { paths }: { paths: Record<string, Record<string, { operationId?: string }>> } = JSON.parse(
    await readFile(url, 'utf8'),
  )
  const names = Object.values(paths).flatMap((item) =>
    Object.values(item).map(({ operationId: name }) => name ?? ''),
  )
  assert.ok(names.length > 60)
  for (const name of names) assert.match(name, /^[a-z][A-Za-z]+$/)
  assert.equal(new Set(names).size, names.length)
  // A route stands in the code under the same name.
  const unknown = nouns.flatMap(Object.keys).filter((name) => !names.includes(name))
  assert.deepEqual(unknown, [])
})

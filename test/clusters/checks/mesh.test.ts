import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defects } from '../../../src/clusters/checks/mesh.ts'

const tlsDefaults = /tlsDefaults/
const table: readonly (readonly [string, string | null, readonly RegExp[]])[] = [
  ['1.21.6', null, [tlsDefaults, /v1beta1 only/]],
  ['1.26.8', null, [tlsDefaults]],
  ['1.27.5', null, [tlsDefaults]],
  ['1.27.6', null, []],
  ['1.28.3', null, [tlsDefaults]],
  ['1.28.3-distroless', null, [tlsDefaults]],
  ['1.28.4', null, []],
  ['1.29.0', null, [tlsDefaults]],
  ['1.29.1', null, []],
  ['1.30.0', null, []],
  ['1.30.0', 'v1.4.1', [/ignores the TLSRoutes/]],
  ['1.31-dev', 'v1.6.0', []],
  ['1.29.1', 'v1.5.0', [/does not read the TLSRoutes/]],
  ['1.27.6', 'v1.4.0', [/tls\.frontend/]],
  ['dev', 'v1.4.0', []],
]

for (const [version, gatewayApiVersion, expected] of table) {
  test(`of Istio ${version} with Gateway API ${gatewayApiVersion} ${expected.length} defects are told`, () => {
    const found = defects(version, { gatewayApiVersion })
    assert.equal(found.length, expected.length, found.join('\n'))
    for (const [index, pattern] of expected.entries()) assert.match(found[index] ?? '', pattern)
  })
}

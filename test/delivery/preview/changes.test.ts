import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { changesOf, secretChangeOf } from '../../../src/delivery/preview/changes.ts'
import { issue } from '../../sandbox/pki.ts'

function object(spec: Record<string, unknown>, annotations = {}): KubeObject {
  const metadata = { name: 'a', namespace: 'b', annotations }
  return { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata, spec }
}

const table: readonly (readonly [
  string,
  KubeObject | undefined,
  KubeObject | undefined,
  unknown,
])[] = [
  ['nothing', object({ a: 1 }), object({ a: 1 }), []],
  [
    'a value',
    object({ a: { b: [{ c: 1 }] } }),
    object({ a: { b: [{ c: 2 }] } }),
    [{ pointer: '/spec/a/b/0/c', change: 'changed', before: 1, after: 2 }],
  ],
  [
    'what comes, leaf by leaf',
    object({}),
    object({ a: { b: 1, c: null } }),
    [
      { pointer: '/spec/a/b', change: 'added', before: null, after: 1 },
      { pointer: '/spec/a/c', change: 'added', before: null, after: null },
    ],
  ],
  [
    'what goes',
    object({ a: [1, 2] }),
    object({ a: [1] }),
    [{ pointer: '/spec/a/1', change: 'removed', before: 2, after: null }],
  ],
  [
    'a list that takes the place of a text',
    object({ a: 'x' }),
    object({ a: ['x'] }),
    [{ pointer: '/spec/a', change: 'changed', before: 'x', after: ['x'] }],
  ],
  [
    'a name with a slash and a tilde (RFC 6901 3)',
    object({}, { 'a/b~c': '1' }),
    object({}, { 'a/b~c': '2' }),
    [{ pointer: '/metadata/annotations/a~1b~0c', change: 'changed', before: '1', after: '2' }],
  ],
]

for (const [what, before, after, expected] of table) {
  test(`of an object is told ${what}`, () => {
    assert.deepEqual(changesOf(before, after), { fields: expected, more: 0 })
  })
}

test('what the server keeps is not told, and much is told in part', () => {
  const at = (resourceVersion: string) => {
    const { metadata, ...rest } = object({ a: 1 })
    return { ...rest, metadata: { ...metadata, resourceVersion, uid: resourceVersion } }
  }
  assert.deepEqual(changesOf(at('1'), at('2')).fields, [])
  const many = object({ list: Array.from({ length: 250 }, (_, index) => index) })
  const { fields, more } = changesOf(undefined, many)
  assert.deepEqual([fields.length, more > 100], [100, true])
  const [long] = changesOf(object({ a: '' }), object({ a: 'x'.repeat(10_000) })).fields
  assert.ok(JSON.stringify(long).length < 2300)
})

test('of a Secret the keys are told, and what is public of its certificate, and nothing else', async () => {
  const [one, two] = [await issue('a.test', 'server'), await issue('a.test', 'server')]
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const secret = (data: Record<string, string>): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'a', namespace: 'b' },
    type: 'kubernetes.io/tls',
    data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)])),
  })
  const before = secret({ 'tls.crt': one.cert, 'tls.key': one.key, old: 'x', same: 's' })
  const after = secret({ 'tls.crt': two.cert, 'tls.key': two.key, new: 'y', same: 's' })
  const found = secretChangeOf(before, after)
  assert.deepEqual(
    found?.keys.map(({ key, change }) => `${key} ${change}`),
    ['new added', 'old removed', 'same kept', 'tls.crt changed', 'tls.key changed'],
  )
  assert.equal(found?.certificateBefore?.serial, one.serial)
  assert.equal(found?.certificateAfter?.serial, two.serial)
  const all = JSON.stringify([found, changesOf(before, after), changesOf(undefined, after)])
  for (const { cert, key } of [one, two]) {
    for (const text of [cert, key]) assert.ok(!all.includes(base64(text).slice(0, 40)))
  }
  assert.deepEqual(secretChangeOf(secret({ 'tls.crt': 'rubbish' }), undefined), {
    keys: [{ key: 'tls.crt', change: 'removed' }],
    certificateBefore: null,
    certificateAfter: null,
  })
  assert.equal(secretChangeOf(object({}), object({})), undefined)
})

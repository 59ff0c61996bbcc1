import assert from 'node:assert/strict'
import { test } from 'node:test'
import { difference, name } from '../../../console/hosts/difference.ts'

const change = {
  action: 'update' as const,
  kind: 'Gateway' as const,
  namespace: 'istio-system',
  name: 'shop',
  fields: [],
  moreFields: 0,
  secret: null,
  warnings: [],
  refused: null,
  heldByOthers: [],
}

test('a change of fields reads as a difference of files', () => {
  const fields = [
    { pointer: '/spec/servers/0/port', change: 'changed' as const, before: 80, after: 443 },
    { pointer: '/spec/tls', change: 'added' as const, before: null, after: { mode: 'SIMPLE' } },
    { pointer: '/metadata/labels/a.b~1c', change: 'removed' as const, before: 'x', after: null },
  ]
  const lines = difference({ ...change, fields, moreFields: 2 })
  assert.deepEqual(
    lines.map(({ sign, text }) => `${sign} ${text}`),
    [
      '- spec.servers[0].port: 80',
      '+ spec.servers[0].port: 443',
      '+ spec.tls: {"mode":"SIMPLE"}',
      '- metadata.labels["a.b/c"]: x',
      '  and 2 more',
    ],
  )
})

test('of a Secret its certificate is told, and of its keys no more than that they change', () => {
  const planned = (serial: string) => ({
    serial,
    notBefore: '2026-11-27T00:00:00Z',
    notAfter: '2027-02-25T00:00:00Z',
  })
  const keys = [
    { key: 'tls.crt', change: 'changed' as const },
    { key: 'ca.crt', change: 'kept' as const },
  ]
  const secret = { keys, certificateBefore: planned('aa'), certificateAfter: planned('bb') }
  assert.deepEqual(difference({ ...change, secret }), [
    { sign: '-', text: 'certificate aa, ends 2027-02-25' },
    { sign: '+', text: 'certificate bb, ends 2027-02-25' },
    { sign: '+', text: 'tls.crt (changed; never shown)' },
  ])
})

test('a pointer reads as a path', () => {
  assert.equal(name('/a/b~1c/0/~0d'), 'a["b/c"][0]["~d"]')
})

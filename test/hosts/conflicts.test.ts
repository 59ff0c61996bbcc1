import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conflicts } from '../../src/hosts/conflicts.ts'

const placed = (tenantId: string, name: string, wanted = true) => ({
  tenantId,
  name,
  cluster: 'one',
  wanted,
})

test('a name conflicts with what other tenants have, and with nothing of one’s own', () => {
  const rows = [
    ['a.test.com', placed('other', 'a.test.com'), 'same-name'],
    ['a.test.com', placed('other', 'a.test.com', false), 'same-name'],
    ['*.test.com', placed('other', 'a.test.com'), 'covers'],
    ['*.test.com', placed('other', 'a.b.test.com'), 'covers'],
    ['*.test.com', placed('other', '*.b.test.com'), 'covers'],
    ['a.test.com', placed('other', '*.test.com'), 'covered'],
    ['a.b.test.com', placed('other', '*.test.com'), 'covered'],
    ['*.b.test.com', placed('other', '*.test.com'), 'covered'],
    ['a.test.com', placed('other', 'b.test.com'), undefined],
    ['test.com', placed('other', '*.test.com'), undefined],
    ['*.test.com', placed('other', 'test.com'), undefined],
    ['a.test.com', placed('own', '*.test.com'), undefined],
    ['*.test.com', placed('own', 'a.test.com'), undefined],
    ['a.test.com', placed('own', 'a.test.com'), undefined],
  ] as const
  for (const [name, other, reason] of rows) {
    const found = conflicts({ tenantId: 'own', name }, [other])
    assert.deepEqual(
      found.map((conflict) => conflict.reason),
      reason ? [reason] : [],
      `${name} beside ${other.tenantId}'s ${other.name}`,
    )
  }
})

test('a conflict names the host in the way and never its owner', () => {
  const secret = '0f0e-tenant'
  const found = conflicts({ tenantId: 'own', name: '*.test.com' }, [
    placed(secret, 'a.test.com'),
    placed(secret, 'b.test.com'),
  ])
  assert.deepEqual(
    found.map(({ host, cluster }) => [host, cluster]),
    [
      ['a.test.com', 'one'],
      ['b.test.com', 'one'],
    ],
  )
  assert.ok(!JSON.stringify(found).includes(secret))
})

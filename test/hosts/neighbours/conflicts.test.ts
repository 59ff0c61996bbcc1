import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conflicts, type Placed } from '../../../src/hosts/neighbours/conflicts.ts'

const simple = { tls: { mode: 'SIMPLE' }, http: 'redirect' } as const

const placed = (tenantId: string, name: string, wanted = true, asked: Spec = simple): Placed => ({
  tenantId,
  name,
  cluster: 'one',
  wanted,
  served: [],
  ...asked,
})

type Spec = Pick<Placed, 'tls' | 'http'>

test('a name conflicts with what other tenants have, and with no SIMPLE host of one’s own', () => {
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
    // Another host of one's own: as an alias, a name may be wanted twice.
    ['a.test.com', placed('own', 'a.test.com'), 'same-name'],
  ] as const
  for (const [name, other, reason] of rows) {
    const found = conflicts({ tenantId: 'own', name, ...simple }, [other])
    assert.deepEqual(
      found.map((conflict) => conflict.reason),
      reason ? [reason] : [],
      `${name} beside ${other.tenantId}'s ${other.name}`,
    )
  }
})

test('a conflict names the host in the way and never its owner', () => {
  const secret = '0f0e-tenant'
  const found = conflicts({ tenantId: 'own', name: '*.test.com', ...simple }, [
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

const mutual = (tls: Partial<Spec['tls']> = {}, http: Spec['http'] = 'redirect'): Spec => ({
  tls: { mode: 'MUTUAL', clientAuthority: 'house', clients: 'tenant', ...tls },
  http,
})

test('no wildcard leads to a MUTUAL host without its clients’ certificates, in either order', () => {
  const through: Spec = { tls: { mode: 'PASSTHROUGH' }, http: 'redirect' }
  const all = mutual({ clients: 'authority' })
  const other = mutual({ clientAuthority: 'other' })
  const open = mutual({ plainHttpWithoutClientCertificate: true }, 'serve')
  const off = mutual({}, 'off')
  const rows = [
    // Asked of nobody on the way in by the wildcard.
    ['*.x.test', simple, 'a.x.test', mutual(), true],
    ['*.x.test', simple, 'a.b.x.test', mutual(), true],
    ['*.x.test', simple, '*.a.x.test', mutual(), true],
    ['*.x.test', through, 'a.x.test', mutual(), true],
    // Asked for another, or of more than may come in.
    ['*.x.test', other, 'a.x.test', mutual(), true],
    ['*.x.test', all, 'a.x.test', mutual(), true],
    // Port 80 has nothing of the name's own.
    ['*.x.test', open, 'a.x.test', off, true],
    ['*.x.test', open, 'a.x.test', mutual(), false],
    // The same is asked of everybody, or less may come in.
    ['*.x.test', mutual(), 'a.x.test', mutual(), false],
    ['*.x.test', mutual(), 'a.x.test', all, false],
    // The exact host’s routes answer for no other name.
    ['*.x.test', mutual(), 'a.x.test', simple, false],
    ['b.x.test', simple, 'a.x.test', mutual(), false],
    ['x.test', simple, 'a.x.test', mutual(), false],
    ['*.x.test', simple, 'x.test', mutual(), false],
  ] as const
  for (const [outer, outerSpec, inner, innerSpec, refused] of rows) {
    const [wide, narrow] = [
      placed('own', outer, true, outerSpec),
      placed('own', inner, true, innerSpec),
    ]
    for (const [host, there] of [[wide, narrow] as const, [narrow, wide] as const]) {
      const found = conflicts(host, [there])
      assert.deepEqual(
        found.map(({ reason }) => reason),
        refused ? ['client-certificate'] : [],
        `${host.name} beside ${there.name}: ${JSON.stringify([outerSpec, innerSpec])}`,
      )
    }
  }
})

test('a wildcard that is asked to demand certificates is judged by how it is served until it does', () => {
  const wide = placed('own', '*.x.test', true, mutual())
  const narrow = placed('own', 'a.x.test', true, mutual())
  const reasons = (host: Placed, there: Placed) =>
    conflicts(host, [there]).map(({ reason }) => reason)
  assert.deepEqual(reasons(narrow, { ...wide, served: [mutual()] }), [])
  for (const before of [simple, mutual({ clients: 'authority' })]) {
    const served = [before, mutual()]
    assert.deepEqual(reasons(narrow, { ...wide, served }), ['client-certificate'])
    // What was under it is asked less of, and may be got at as it is asked.
    assert.deepEqual(reasons(wide, { ...narrow, ...simple, served: [mutual()] }), [])
  }
})

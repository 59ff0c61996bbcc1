import assert from 'node:assert/strict'
import { test } from 'node:test'
import { domainFault, owns, suffixes, within } from '../../../src/tenants/domains/ownership.ts'

test('a domain covers itself and everything below it, by whole labels', () => {
  const rows = [
    ['example.com', 'example.com', true],
    ['a.example.com', 'example.com', true],
    ['*.example.com', 'example.com', true],
    ['a.b.example.com', 'example.com', true],
    ['badexample.com', 'example.com', false],
    ['example.com', 'a.example.com', false],
    ['example.com.evil.test', 'example.com', false],
  ] as const
  for (const [name, domain, expected] of rows) {
    assert.equal(within(name, domain), expected, `${name} within ${domain}`)
  }
})

test('a name belongs to the tenant with the closest domain', () => {
  const claims = [
    { tenantId: 'wide', domain: 'example.com' },
    { tenantId: 'shop', domain: 'shop.example.com' },
    { tenantId: 'twin', domain: 'shop.example.com' },
  ]
  assert.equal(owns('wide', 'www.example.com', claims), true)
  assert.equal(owns('wide', 'pay.shop.example.com', claims), false)
  assert.equal(owns('shop', 'pay.shop.example.com', claims), true)
  assert.equal(owns('twin', 'pay.shop.example.com', claims), true)
  assert.equal(owns('shop', 'www.example.com', claims), false)
  assert.equal(owns('wide', 'example.org', claims), false)
})

test('suffixes are whole labels, longest first', () => {
  assert.deepEqual(suffixes('a.b.c'), ['a.b.c', 'b.c', 'c'])
})

test('what is not a domain says why', () => {
  for (const good of ['example.com', 'xn--bcher-kva.example', 'a-b.c1.test']) {
    assert.equal(domainFault(good), undefined)
  }
  const bad = ['com', '*.example.com', 'Example.com', 'a..b', '-a.b', 'a_b.c', '10.0.0.1', '']
  for (const domain of [...bad, `${'a'.repeat(64)}.b`, 'é.fr']) {
    assert.notEqual(domainFault(domain), undefined, domain)
  }
})

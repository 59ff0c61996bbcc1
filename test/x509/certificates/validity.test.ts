import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backdated, validityOf } from '../../../src/x509/certificates/validity.ts'

const at = (text: string) => new Date(`2026-01-${text}Z`)
const day = 86_400_000
const from = at('10T00:00:00.700')
const wide = { notBefore: at('01T00:00:00'), notAfter: at('31T00:00:00') }
const late = { notBefore: at('10T12:00:00'), notAfter: at('31T00:00:00') }
const short = { notBefore: at('01T00:00:00'), notAfter: at('10T06:00:00') }

const cases = [
  ['whole seconds, the last of them included', [], '10T00:00:00', '10T23:59:59'],
  ['within a longer period', [wide], '10T00:00:00', '10T23:59:59'],
  ['as long, but not before its issuer begins', [late], '10T12:00:00', '11T11:59:59'],
  ['not after its issuer ends', [short], '10T00:00:00', '10T06:00:00'],
  ['not after the first of several ends', [wide, short], '10T00:00:00', '10T06:00:00'],
] as const

for (const [promise, within, notBefore, notAfter] of cases) {
  test(`a certificate is valid ${promise}`, () => {
    const validity = validityOf({ from, milliseconds: day }, within)
    assert.deepEqual(validity, { notBefore: at(notBefore), notAfter: at(notAfter) })
  })
}

test('what is issued now is valid a minute ago, whoever’s clock is late', () => {
  assert.deepEqual(backdated(at('10T00:01:00')), at('10T00:00:00'))
})

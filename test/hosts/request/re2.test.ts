import assert from 'node:assert/strict'
import { test } from 'node:test'
import { re2Fault } from '../../../src/hosts/request/re2.ts'
import { growth } from '../../support/cost.ts'

test('what RE2 reads is a regular expression', () => {
  const rows = [
    ['', 'a', '/api/v[0-9]+/.*', 'a|b|', '(a|b)*c?', 'a{2}', 'a{2,}?', 'a{,2}', '{', 'a{b}', ']'],
    ['(?i)abc', '(?i:abc)', '(?im-s:a)', '(?-s:.)', '(?P<id>[0-9]+)', '(?<id>x)', '(?:a)', '()'],
    ['[]a]', '[^]a]', '[a-z-]', '[-a]', '[\\d-z]', '[[:alpha:][:^digit:]]', '[\\]]', '[+--]'],
    [
      '\\d\\D\\w\\W\\s\\S',
      '\\bx\\B',
      '\\A.*\\z',
      '\\x41\\x{1F600}',
      '\\0\\07',
      '\\Q.*\\E',
      '\\Qab',
    ],
    ['\\pL\\PN', '\\p{Greek}\\p{^Latin}', '\\.\\/\\-\\_', '\\a\\f\\n\\r\\t\\v', 'é😀', '[😀-😁]'],
    ['(a{10}){100}', `(${'a'.repeat(1000)}){100}`, 'x'.repeat(1024)],
  ].flat()
  for (const text of rows) assert.equal(re2Fault(text), undefined, text)
})

test('what RE2 does not read is refused, with the reason', () => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['(?=a)', /lookaround/],
    ['a(?!b)', /lookaround/],
    ['(?<=a)b', /lookaround/],
    ['(?<!a)b', /lookaround/],
    ['(a)\\1', /backreferences/],
    ['(?P<x>a)\\k<x>', /backreferences/],
    ['(?>a)', /no group/],
    ['(?P=x)', /no group/],
    ['(?x)a', /no group/],
    ['(?i', /no group/],
    ['(?P<x>a)(?P<x>b)', /two groups/],
    ['(a', /not closed/],
    ['a)', /closes nothing/],
    ['[a', /not closed/],
    ['[]', /not closed/],
    ['[z-a]', /no range/],
    ['[a-\\d]', /no range/],
    ['[[:foo:]]', /no class/],
    ['*a', /nothing to repeat/],
    ['(|*)', /nothing to repeat/],
    ['(?i){2}', /nothing to repeat/],
    ['a**', /repeated/],
    ['a++', /repeated/],
    ['a{2}{3}', /repeated/],
    ['a{3,1}', /at least/],
    ['a{1001}', /more than 1000/],
    ['((a{11}){10}){10}', /more than 1000/],
    ['\\', /ends in/],
    ['\\c', /has no/],
    ['\\Z', /has no/],
    ['\\é', /has no/],
    ['\\u0041', /has no/],
    ['\\x{110000}', /no character/],
    ['\\p{Nonsense}', /no category/],
    ['\\p{Emoji}', /no category/],
    ['x'.repeat(1025), /1024 bytes/],
    ['é'.repeat(513), /1024 bytes/],
    [`${'('.repeat(101)}${')'.repeat(101)}`, /nested/],
  ]
  for (const [text, reason] of rows) assert.match(re2Fault(text) ?? 'none', reason, text)
})

test('the worst texts take linear time', () => {
  for (const part of ['(?P<a', '[[:a', '\\x{', '(a|', '\\p{a', '{1,', '\\Qa']) {
    const [small, large] = [part.repeat(64).slice(0, 64), part.repeat(1024).slice(0, 1024)]
    const grown = growth({ small, large, times: 16 }, re2Fault)
    assert.ok(grown < 5, `${part}: ${grown}`)
  }
})

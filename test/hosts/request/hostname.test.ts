import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  certifies,
  coversName,
  parseHostname,
  wildcardsOver,
} from '../../../src/hosts/request/hostname.ts'

test('a host name has one spelling', () => {
  const rows = [
    ['www.example.com', 'www.example.com'],
    ['WWW.Example.COM', 'www.example.com'],
    ['www.example.com.', 'www.example.com'],
    ['*.example.com', '*.example.com'],
    ['*.EXAMPLE.com.', '*.example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['*.faß.example', '*.xn--fa-hia.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['ａ.example', 'a.example'],
  ]
  for (const [text = '', name] of rows) assert.deepEqual(parseHostname(text), { name }, text)
})

test('what is not a host name says why', () => {
  const bad = [
    '',
    '.',
    'localhost',
    '*',
    '*.',
    '*.com',
    'a.*.example.com',
    '*a.example.com',
    '*.*.example.com',
    'a..example.com',
    'a_b.example.com',
    'example.com..',
    'example.com:443',
    'https://example.com',
    'a b.example.com',
    '10.0.0.1',
    '0x7f.1',
    '::1',
    '-a.example.com',
    'xn--a.example.com',
    '％41.example.com',
    `${'a'.repeat(64)}.example.com`,
    `${'a.'.repeat(127)}example.com`,
  ]
  for (const text of bad) {
    const parsed = parseHostname(text)
    assert.ok('fault' in parsed && parsed.fault.length > 10, `${text} → ${JSON.stringify(parsed)}`)
  }
})

test('a wildcard routes every depth and certifies one label', () => {
  const rows = [
    ['a.test', 'a.test', true, true],
    ['a.test', 'b.test', false, false],
    ['*.x.test', 'a.x.test', true, true],
    ['*.x.test', 'a.b.x.test', true, false],
    ['*.x.test', 'x.test', false, false],
    ['*.x.test', 'ax.test', false, false],
    ['*.x.test', '*.x.test', true, true],
    ['*.x.test', '*.b.x.test', true, false],
    ['*.b.x.test', '*.x.test', false, false],
    ['a.x.test', '*.x.test', false, false],
  ] as const
  for (const [pattern, name, route, certify] of rows) {
    assert.equal(coversName(pattern, name), route, `${pattern} coversName ${name}`)
    assert.equal(certifies(pattern, name), certify, `${pattern} certifies ${name}`)
  }
})

test('the wildcards over a name are those that route it', () => {
  assert.deepEqual(wildcardsOver('a.b.test'), ['*.b.test', '*.test'])
  for (const wildcard of wildcardsOver('a.b.c.test')) assert.ok(coversName(wildcard, 'a.b.c.test'))
})

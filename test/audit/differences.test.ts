import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differences } from '../../src/audit/differences.ts'

test('every field that differs is told, as it was and as it is', () => {
  const rows = [
    [{ a: 1 }, { a: 1 }, {}],
    [{ a: 1 }, { a: 2 }, { '/a': { before: 1, after: 2 } }],
    [{ a: { b: 1, c: 2 } }, { a: { b: 1, c: 3 } }, { '/a/c': { before: 2, after: 3 } }],
    [{ a: { b: 1 } }, {}, { '/a/b': { before: 1, after: null } }],
    [null, { a: { b: 1 } }, { '/a/b': { before: null, after: 1 } }],
    [{ a: [1] }, { a: [1, 2] }, { '/a': { before: [1], after: [1, 2] } }],
    [{ a: 'x' }, { a: { b: 1 } }, { '/a': { before: 'x', after: { b: 1 } } }],
  ] as const
  for (const [before, after, expected] of rows) {
    assert.deepEqual(differences(before, after), expected)
  }
})

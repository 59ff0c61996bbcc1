import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import Type from 'typebox'
import Value from 'typebox/value'
import { reservedNameFaults } from '../../src/authorities/issuers/store.ts'

const Contract = Type.Object({ paths: Type.Record(Type.String(), Type.Unknown()) })

/** Names that may be chosen, by how paths call them. */
const chosen = new Map<string, (name: string) => boolean>([
  ['{authority}', (name) => reservedNameFaults(name).length > 0],
  ['{tenant}', () => false],
  ['{cluster}', () => false],
  ['{host}', () => false],
])

test('no name can be chosen that stands for something else in a path', async () => {
  const text = await readFile(new URL('../../openapi/openapi.json', import.meta.url), 'utf8')
  const paths = Object.keys(Value.Parse(Contract, JSON.parse(text)).paths).map((path) =>
    path.split('/'),
  )
  const taken = new Set<string>()
  for (const path of paths) {
    for (const [at, parameter] of path.entries()) {
      const refuses = chosen.get(parameter)
      if (!refuses) continue
      const before = path.slice(0, at).join('/')
      for (const other of paths) {
        const literal = other[at] ?? ''
        if (other.slice(0, at).join('/') !== before || !/^[a-z0-9-]+$/.test(literal)) continue
        assert.ok(refuses(literal), `${other.join('/')} stands where ${path.join('/')} has a name`)
        taken.add(literal)
      }
    }
  }
  assert.deepEqual([...taken].sort(), ['import'])
})

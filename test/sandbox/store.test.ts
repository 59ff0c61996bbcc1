import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Json } from '../../sandbox/json.ts'
import { gateways, type Kind } from '../../sandbox/kinds.ts'
import { openStore } from '../../sandbox/store.ts'

const directory = await mkdtemp(join(tmpdir(), 'gatesmith-store-'))
after(() => rm(directory, { recursive: true }))

const others: Kind = { ...gateways, group: 'gateway.networking.k8s.io', versions: ['v1'] }

function named(apiVersion: string): { readonly [key: string]: Json } {
  return { apiVersion, kind: 'Gateway', metadata: { name: 'www', namespace: 'ns' } }
}

test('two kinds of one plural are kept apart, and a log of before is read', async () => {
  const store = await openStore(directory)
  await store.put(gateways, named('networking.istio.io/v1'))
  await store.put(others, named('gateway.networking.k8s.io/v1'))
  assert.equal(store.get(gateways, 'ns', 'www')?.apiVersion, 'networking.istio.io/v1')
  assert.equal(store.list(others).length, 1)
  await store.remove(others, named('gateway.networking.k8s.io/v1'))
  assert.equal(store.list(gateways).length, 1)
  await store.close()
  const log = join(directory, 'objects.jsonl')
  const before = await readFile(log, 'utf8')
  await writeFile(
    log,
    before.replaceAll('"resource":"gateways.networking.istio.io"', '"plural":"gateways"'),
  )
  const again = await openStore(directory)
  assert.equal(again.get(gateways, 'ns', 'www')?.apiVersion, 'networking.istio.io/v1')
  await again.close()
})

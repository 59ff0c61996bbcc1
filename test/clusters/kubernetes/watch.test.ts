import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { startCluster } from '../../../sandbox/cluster.ts'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import { type Kube, KubeError, type KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { type Pace, reflect, type Sink } from '../../../src/clusters/kubernetes/reflector.ts'
import { until } from '../../support/process.ts'
import { openRelay } from '../../support/relay.ts'

// What is on a cluster, followed over a network that fails.

const free = { host: '127.0.0.1', apiPort: 0, tlsPort: 0, plainPort: 0 }
const directory = await mkdtemp(join(tmpdir(), 'gatesmith-watch-'))
after(() => rm(directory, { recursive: true, force: true }))
const sandbox = await startCluster({ directory: directory, ...free })
after(() => sandbox.stop())

function portOf(url: string): number {
  return Number(new URL(url).port)
}

const port = portOf(sandbox.apiUrl)
const relay = await openRelay(() => port)
const kube = opened(sandbox.kubeconfig)
const relayed = opened(sandbox.kubeconfig.replace(`:${port}`, `:${relay.port}`))

function opened(kubeconfig: string): Kube {
  const made = connect(kubeconfig)
  after(() => made.close())
  return made
}

function secret(name: string, text = 'a', labels: Record<string, string> = { mine: 'yes' }) {
  const data = { text: Buffer.from(text).toString('base64') }
  return { ...kinds.secret, metadata: { name, namespace: 'test', labels }, type: 'Opaque', data }
}

const mine = { kind: kinds.secret, namespace: 'test', labelSelector: 'mine=yes' }
const quick: Pace = { compare: 600_000, list: 200, relist: 0, retry: [20, 200] }

/** Follows what is labelled `mine`; `there` is what was told of, by name. */
function follow(over: Kube, pace: Pace = quick) {
  const there = new Map<string, string | undefined>()
  const seen = { lists: 0, mode: '', failures: 0 }
  const put = ({ metadata, data }: KubeObject) => there.set(metadata.name, data?.text)
  const sink: Sink = {
    listed: async (pages) => {
      const found = new Map<string, string | undefined>()
      for await (const page of pages) {
        for (const { metadata, data } of page) found.set(metadata.name, data?.text)
      }
      there.clear()
      for (const [name, text] of found) there.set(name, text)
      seen.lists++
    },
    changed: async (object, gone) => {
      if (gone) there.delete(object.metadata.name)
      else put(object)
    },
    mode: (mode) => {
      seen.mode = mode
    },
    failed: () => {
      seen.failures++
    },
  }
  const controller = new AbortController()
  const ended = reflect(over, mine, sink, { signal: controller.signal, pace })
  const stop = () => {
    controller.abort()
    return ended
  }
  after(stop)
  const names = (wanted: readonly string[]) =>
    until(`there is ${wanted.join(', ') || 'nothing'}`, () =>
      [...there.keys()].sort().join() === [...wanted].sort().join() ? true : undefined,
    )
  return { there, seen, names, stop }
}

test('what is there is listed, and what happens after is told', async () => {
  await kube.apply(secret('first'))
  await kube.apply(secret('other', 'a', { mine: 'no' }))
  const { there, names, seen, stop } = follow(kube)
  await names(['first'])
  await until('it is watched', () => seen.mode === 'watching' || undefined)
  await kube.apply(secret('second'))
  await names(['first', 'second'])
  await kube.apply(secret('second', 'b'))
  await until('the change', () => (there.get('second') === 'Yg==' ? true : undefined))
  // What loses its label is gone for who watches by it.
  await kube.apply(secret('second', 'b', {}))
  await names(['first'])
  await kube.remove({ ...kinds.secret, namespace: 'test', name: 'first' })
  await names([])
  assert.deepEqual([seen.lists, seen.failures], [1, 0])
  await stop()
})

test('a lost connection loses nothing', async () => {
  const { names, seen, stop } = follow(relayed, { ...quick, relist: 600_000 })
  await until('it is watched', () => seen.mode === 'watching' || undefined)
  relay.block()
  await kube.apply(secret('meanwhile'))
  await until('it fails more than once', () => (seen.failures > 1 ? true : undefined))
  relay.mend()
  await names(['meanwhile'])
  // It went on by resourceVersion.
  assert.equal(seen.lists, 1)
  await kube.remove({ ...kinds.secret, namespace: 'test', name: 'meanwhile' })
  await names([])
  await stop()
})

test('connections that were kept and are closed meanwhile cost nobody an answer', async () => {
  const ask = () => relayed.list(kinds.secret, { namespace: 'test' })
  const many = () => Promise.all(Array.from({ length: 12 }, ask))
  await many()
  assert.ok(relay.open() > 1)
  // They are not known to be closed before something is sent over them.
  relay.cut()
  assert.equal((await many()).length, 12)
})

test('a cluster that is restored from an older state is seen whole', async () => {
  const home = await mkdtemp(join(tmpdir(), 'gatesmith-watch-'))
  after(() => rm(home, { recursive: true, force: true }))
  const before = await startCluster({ directory: home, ...free })
  const writer = opened(before.kubeconfig)
  await writer.apply(secret('one'))
  const backup = await readFile(join(home, 'objects.jsonl'))
  for (const name of ['two', 'three', 'four']) await writer.apply(secret(name))
  const { names, seen, stop } = follow(opened(before.kubeconfig))
  await names(['one', 'two', 'three', 'four'])
  await until('it is watched', () => seen.mode === 'watching' || undefined)
  await before.stop()
  // A watch from the version of before would wait in silence until the cluster has come as far again.
  await writeFile(join(home, 'objects.jsonl'), backup)
  const again = await startCluster({ directory: home, ...free, apiPort: portOf(before.apiUrl) })
  after(() => again.stop())
  await names(['one'])
  await stop()
})

test('versions that are not kept any more have all listed anew', async () => {
  const page = await kube.pages(kinds.secret, { namespace: 'test' })[Symbol.asyncIterator]().next()
  assert.ok(page.value)
  // As an API server answers that has forgotten: inside an answer that began well.
  const directory = await mkdtemp(join(tmpdir(), 'gatesmith-watch-'))
  after(() => rm(directory, { recursive: true, force: true }))
  const first = await startCluster({ directory, ...free })
  const writer = opened(first.kubeconfig)
  await writer.apply(secret('kept'))
  await first.stop()
  const again = await startCluster({ directory, ...free })
  after(() => again.stop())
  const reader = opened(again.kubeconfig)
  const { signal } = new AbortController()
  const events = await reader.watch(kinds.secret, { resourceVersion: '1', signal })
  await assert.rejects(
    async () => {
      for await (const event of events) assert.fail(event.type)
    },
    (error) => error instanceof KubeError && error.fault === 'expired',
  )
  let expired = false
  const forgetful: Kube = {
    ...reader,
    watch: (kind, asked) => {
      const resourceVersion = expired ? asked.resourceVersion : '1'
      expired = true
      return reader.watch(kind, { ...asked, resourceVersion })
    },
  }
  const { seen, names } = follow(forgetful)
  await names(['kept'])
  await until('all is listed again', () => (seen.lists === 2 ? true : undefined))
  await reader.apply(secret('after'))
  await names(['kept', 'after'])
  assert.deepEqual([seen.lists, seen.failures], [2, 0])
})

test('where there is no right to watch, all is listed again and again', async () => {
  const forbidden: Kube = {
    ...kube,
    watch: () => Promise.reject(new KubeError('forbidden', 'cannot watch resource "secrets"')),
  }
  const { seen, names, stop } = follow(forbidden)
  await until('it is known', () => (seen.mode === 'listing' ? true : undefined))
  await kube.apply(secret('listed'))
  await names(['listed'])
  assert.equal(seen.failures, 0)
  await stop()
  await kube.remove({ ...kinds.secret, namespace: 'test', name: 'listed' })
})

test('a kind that is not served is asked for again in its time', async () => {
  const unknown = { apiVersion: 'nothing.test/v1', kind: 'Nothing' }
  await assert.rejects(
    kube.list(unknown),
    (error) =>
      error instanceof KubeError &&
      error.fault === 'unsupported' &&
      /does not serve nothing\.test\/v1 Nothing/.test(error.message),
  )
})

test('a list is read page by page, with the state that it is of', async () => {
  for (let index = 0; index < 110; index++) await kube.apply(secret(`page-${index}`))
  const sizes: number[] = []
  for await (const { objects, resourceVersion } of kube.pages(kinds.secret, {
    namespace: 'test',
  })) {
    sizes.push(objects.length)
    assert.match(resourceVersion, /^\d+$/)
  }
  assert.equal(sizes[0], 100)
  assert.equal(sizes.length, 2)
  assert.ok((sizes[1] ?? 0) >= 10)
})

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { startCluster } from '../../sandbox/cluster.ts'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import { onErrand } from '../../src/clusters/kubernetes/errand.ts'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../src/clusters/kubernetes/kube.ts'
import { labels, manager } from '../../src/delivery/renderer.ts'
import { asWanted } from '../../src/delivery/snapshot.ts'

const directory = await mkdtemp(join(tmpdir(), 'gatesmith-snapshot-'))
after(() => rm(directory, { recursive: true, force: true }))
const sandbox = await startCluster({
  ...{ directory, host: '127.0.0.1', apiPort: 0, tlsPort: 0, plainPort: 0 },
})
after(() => sandbox.stop())
const real = connect(sandbox.kubeconfig)
after(() => real.close())

const objects = Array.from({ length: 12 }, (_, at): KubeObject => {
  const metadata = {
    ...{ name: `s${at}`, namespace: 'test' },
    labels: { [labels.managedBy]: manager },
  }
  return { ...kinds.secret, metadata, type: 'Opaque', data: { a: 'YQ==' } }
})
await Promise.all(objects.map((object) => real.apply(object)))

/** Which of these are as they are wanted, and how often all were listed for that. */
async function look(wanted: readonly KubeObject[], errand = { urgent: false, since: Infinity }) {
  let lists = 0
  const pages: typeof real.pages = (...asked) => {
    lists++
    return real.pages(...asked)
  }
  const kube = { ...real, pages }
  const found = await Promise.all(
    wanted.map((object) => onErrand(errand, () => asWanted(kube, object))),
  )
  return { lists, found: found.flatMap((object) => object?.metadata.name ?? []) }
}

test('many that are looked for at once are listed once, and one that differs is found', async () => {
  const [first, ...rest] = objects
  assert.ok(first)
  const changed = { ...first, data: { a: 'Yg==' } }
  const { lists, found } = await look([changed, ...rest])
  assert.equal(lists, 1)
  assert.deepEqual(
    found,
    rest.map(({ metadata }) => metadata.name),
  )
})

test('few are asked for one by one, and so is whatever is urgent', async () => {
  assert.deepEqual(await look(objects.slice(1)), { lists: 0, found: [] })
  assert.deepEqual(await look(objects, { urgent: true, since: Infinity }), { lists: 0, found: [] })
})

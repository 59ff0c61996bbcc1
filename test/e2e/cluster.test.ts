import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import { labels, manager } from '../../src/delivery/renderer.ts'
import type { Host, ObjectRef } from '../../src/hosts/host.ts'
import { recordedRefs } from '../../src/hosts/objects.ts'
import { openTestDatabase } from '../support/context.ts'
import { openFolder, settingsFor, startProcess, until, untilReady } from '../support/process.ts'
import { routeCases } from './routes.ts'
import { type Http, httpOf, runbookCases, type Stage, serve } from './runbook.ts'

// The runbook's cases on a cluster that somebody else runs: a real API server and a real Istio, with the
// workloads of examples/workloads.yaml. GATESMITH_TEST_KUBECONFIG names its kubeconfig,
// GATESMITH_TEST_INGRESS host:port of its ingress gateway's TLS port, GATESMITH_TEST_PLAIN_PORT the port
// of plain HTTP on that host, if it can be reached. The rights of docs/operating.md are enough. nginx
// reads its certificate when it starts: where it does not serve the new one, restart its pod.

const { GATESMITH_TEST_KUBECONFIG: kubeconfigPath, GATESMITH_TEST_INGRESS: ingress } = process.env
const plain = process.env.GATESMITH_TEST_PLAIN_PORT

/** Other names than last time: what a run left behind belongs to a database that is gone. */
const run = randomUUID().slice(0, 8)

if (kubeconfigPath === undefined || ingress === undefined) {
  const why = 'GATESMITH_TEST_KUBECONFIG and GATESMITH_TEST_INGRESS are not set'
  test(`the runbook on a real cluster (skipped: ${why})`, { skip: why })
} else {
  const stage = await openStage(kubeconfigPath, ingress)
  await Promise.all(
    (['simple', 'hello', 'mutual', 'through'] as const).map((host) => serve(stage, host)),
  )
  runbookCases(stage)
  routeCases(stage)
  test('hosts that are removed leave nothing on the cluster', () => clear(stage, kubeconfigPath))
}

/** A server and a worker on a database of their own, told of the cluster. */
async function openStage(path: string, address: string): Promise<Stage> {
  const settings = await settingsFor(await openTestDatabase())
  const key = startProcess(['admin-key'], settings)
  await key.ended
  const server = startProcess(['serve'], settings)
  startProcess(['worker'], settings)
  const http = httpOf(await untilReady(server, settings), key.said.out.trim())
  const kubeconfig = await readFile(path, 'utf8')
  await http
    .post('/v1/clusters')
    .send({ name: 'real', kubeconfig, ingress: { address } })
    .expect(201)
  const { body: checked } = await http.post('/v1/clusters/real/check').expect(200)
  assert.deepEqual([checked.status, checked.message], ['Ready', null])
  await seedAuthorities(http)
  const folder = await openFolder()
  const { body: root } = await http.get('/v1/authorities/example-root').expect(200)
  await writeFile(join(folder, 'ca.crt'), root.pem)
  const colon = address.lastIndexOf(':')
  const name = (host: string) => `${host}-${run}.example.com`
  return {
    http,
    cluster: 'real',
    address: (await lookup(address.slice(0, colon).replace(/^\[|\]$/g, ''))).address,
    tlsPort: Number(address.slice(colon + 1)),
    plainPort: plain === undefined ? undefined : Number(plain),
    folder,
    names: {
      simple: name('httpbin'),
      hello: name('helloworld'),
      mutual: name('mutual'),
      through: name('passthrough'),
      off: name('off'),
    },
    patienceSeconds: 150,
  }
}

async function seedAuthorities(http: Http): Promise<void> {
  const root = { name: 'example-root', kind: 'root', subject: { commonName: 'example.com' } }
  await http.post('/v1/authorities').send(root).expect(201)
  const subject = { commonName: 'example.com issuing CA' }
  const issuing = { name: 'example-issuing', kind: 'intermediate', parent: 'example-root', subject }
  await http.post('/v1/authorities').send(issuing).expect(201)
  const own = { name: 'example', domains: ['example.com'], namespaces: ['test'] }
  await http
    .post('/v1/tenants')
    .send({ ...own, defaultAuthority: 'example-issuing' })
    .expect(201)
}

async function clear({ http, patienceSeconds }: Stage, path: string): Promise<void> {
  const hosts = '/v1/tenants/example/hosts'
  const carried = await carriers(http)
  const { body } = await http.get(`${hosts}?limit=500`).expect(200)
  const names: readonly string[] = body.items.map(({ name }: Host) => name)
  for (const name of names) await http.delete(`${hosts}/${name}`).expect(202)
  await until(
    'every host is taken off',
    async () => {
      const { body } = await http.get(hosts).expect(200)
      return body.items.length === 0 ? true : undefined
    },
    patienceSeconds,
  )
  const kube = connect(await readFile(path, 'utf8'))
  // Only where objects were: no right to list Secrets elsewhere is asked for (docs/operating.md).
  const places = new Map(recordedRefs(carried).map((ref) => [`${ref.kind} ${ref.namespace}`, ref]))
  assert.deepEqual([...new Set(carried.map(({ kind }) => kind))].toSorted(), [
    'Gateway',
    'Secret',
    'VirtualService',
  ])
  const labelSelector = `${labels.managedBy}=${manager}`
  for (const { apiVersion, kind, namespace } of places.values()) {
    const left = await kube.list({ apiVersion, kind }, { namespace, labelSelector })
    const names = left.map(({ metadata }) => metadata.name)
    for (const { name } of carried) assert.ok(!names.includes(name), `${kind} ${namespace}/${name}`)
  }
  kube.close()
}

/** The objects that carry the hosts of tenant `example`. */
async function carriers(http: Http): Promise<readonly ObjectRef[]> {
  const { body } = await http.get('/v1/tenants/example/hosts').expect(200)
  const items: readonly Host[] = body.items
  return items.flatMap(({ status }) => status.clusters.flatMap(({ objects }) => objects))
}

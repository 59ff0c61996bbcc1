import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { startCluster } from '../../sandbox/cluster.ts'
import { openTestDatabase } from '../support/context.ts'
import {
  adminKey,
  kill,
  openFolder,
  settingsFor,
  startProcess,
  until,
  untilReady,
} from '../support/process.ts'
import { httpOf } from './stage.ts'

// kill -9 of a worker in the middle of its work: server, worker and cluster are separate processes or
// machines, and what the killed one had taken is done by the next.

const free = { apiPort: 0, tlsPort: 0, plainPort: 0 }
const sandbox = await startCluster({ directory: await openFolder(), host: '127.0.0.1', ...free })
after(() => sandbox.stop())

const settings = await settingsFor(await openTestDatabase())
const token = await adminKey(settings)
const http = httpOf(await untilReady(startProcess(['serve'], settings), settings), token)
const { kubeconfig, tlsPort } = sandbox
const ingress = { address: `127.0.0.1:${tlsPort}` }
await http.post('/v1/clusters').send({ name: 'sandbox', kubeconfig, ingress }).expect(201)
const root = { name: 'root', kind: 'root', subject: { commonName: 'root' } }
await http.post('/v1/authorities').send(root).expect(201)
const own = { domains: ['shop.test'], namespaces: ['test'], defaultAuthority: 'root' }
await http
  .post('/v1/tenants')
  .send({ name: 'shop', ...own })
  .expect(201)

type Shown = {
  readonly name: string
  readonly status: { readonly clusters: readonly { readonly status: string }[] }
}

async function synced(): Promise<number> {
  const { body } = await http.get('/v1/tenants/shop/hosts?limit=100').expect(200)
  const items: readonly Shown[] = body.items
  return items.filter(({ status }) => status.clusters[0]?.status === 'Synced').length
}

test('a worker that is killed while it delivers is replaced by the next: all are Synced, nothing twice', async () => {
  const hosts = Array.from({ length: 20 }, (_, index) => `host-${index}.shop.test`)
  const routes = [{ to: { service: 'httpbin', namespace: 'test', port: 80 } }]
  const bodyOf = { routes, clusters: ['sandbox'] }
  const worker = startProcess(['worker'], settings)
  for (const name of hosts) {
    await http.put(`/v1/tenants/shop/hosts/${name}`).send(bodyOf).expect(201)
  }
  // Some are being delivered, and none has been confirmed: hosts of one cluster are Synced together.
  await until('some have a certificate', async () => {
    const { body } = await http.get('/v1/certificates?limit=100').expect(200)
    return body.items.length >= 4 ? true : undefined
  })
  await kill(worker)
  assert.ok((await synced()) < 20, 'it was killed in the middle')
  startProcess(['worker'], settings)
  await until('all are Synced', async () => ((await synced()) === 20 ? true : undefined))
  const { body } = await http.get('/v1/certificates?limit=100').expect(200)
  const certified = body.items.map(({ host }: { host: string }) => host)
  assert.deepEqual(certified.toSorted(), hosts.toSorted())
  const issued = await http.get('/v1/audit-events?action=certificate.issued&limit=100').expect(200)
  assert.equal(issued.body.items.length, 20)
})

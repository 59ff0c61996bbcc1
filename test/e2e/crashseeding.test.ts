import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { labels, manager } from '../../src/delivery/renderer.ts'
import { ask } from '../support/clients.ts'
import { kill, openFolder, until, untilSaid } from '../support/process.ts'
import { type DevPorts, devPorts, startDev, tokenIn, untilUp } from './dev.ts'
import { type Http, httpOf } from './stage.ts'

// kill -9 while development mode makes the runbook's hosts. Seeding goes through the public API and the
// worker, so this is what any client and any process may do to it.

const folder = await openFolder()

type Moment = (said: (words: string) => Promise<void>) => Promise<unknown>

/** A start that is killed when `moment` has come; answers the ids of the certificates that it had shown,
 *  whether signed or still being signed. */
async function cutShort(
  state: string,
  ports: DevPorts,
  moment: Moment,
): Promise<readonly string[]> {
  const running = startDev(state, ports)
  await moment((words) => untilSaid(running, words))
  const shown = await tokenIn(state)
    .then((token) => certificates(httpOf(`http://127.0.0.1:${ports.api}`, token)))
    .catch(() => [])
  await kill(running)
  return shown.map(({ id }) => id)
}

type Shown = {
  readonly id: string
  readonly host: string | null
  readonly status: string
  readonly serial: string
}

async function certificates(http: Http): Promise<readonly Shown[]> {
  const { body } = await http.get('/v1/certificates?limit=500').timeout(60_000).expect(200)
  return body.items
}

/** The certificates when none is being signed any more: one may be seen before its signature is stored. */
function settled(http: Http): Promise<readonly Shown[]> {
  const look = async () => {
    const found = await certificates(http)
    return found.some(({ status }) => status === 'signing') ? undefined : found
  }
  return until('no certificate is being signed', look)
}

async function names(http: Http, url: string): Promise<readonly string[]> {
  const { body } = await http.get(url).expect(200)
  return body.items.map(({ name }: { name: string }) => name)
}

/** Everything that is seeded is there once, works, and what was shown before is still there. */
async function isWhole(http: Http, state: string, ports: DevPorts, shown: ReadonlySet<string>) {
  assert.deepEqual(await names(http, '/v1/authorities'), ['example-issuing', 'example-root'])
  assert.deepEqual(await names(http, '/v1/clusters'), ['sandbox'])
  assert.deepEqual(await names(http, '/v1/tenants'), ['example'])
  const hosts = ['helloworld', 'httpbin', 'mutual', 'passthrough'].map(
    (name) => `${name}.example.com`,
  )
  assert.deepEqual(await names(http, '/v1/tenants/example/hosts'), hosts)
  const found = await settled(http)
  assert.deepEqual(found.map(({ host }) => host ?? 'a client').toSorted(), ['a client', ...hosts])
  assert.deepEqual([...new Set(found.map(({ status }) => status))], ['active'])
  assert.equal(new Set(found.map(({ serial }) => serial)).size, 5)
  const lost = [...shown].filter((each) => !found.some((it) => it.id === each))
  assert.deepEqual(lost, [])
  const { body } = await http.get('/v1/audit-events?limit=500').expect(200)
  const told: readonly { action: string; subject: { id: string } }[] = body.items
  const once = ['authority.created', 'cluster.created', 'tenant.created', 'host.created']
  // Certificates that MUTUAL hosts are proved by are in no list, and each process makes its own.
  const ids = new Set(found.map(({ id }) => id))
  const events = told.filter(
    ({ action, subject }) =>
      once.includes(action) || (action === 'certificate.issued' && ids.has(subject.id)),
  )
  assert.equal(new Set(events.map(({ subject }) => subject.id)).size, events.length)
  assert.equal(events.length, 2 + 1 + 1 + 4 + 5)
  const kube = connect(await readFile(join(state, 'kubeconfig'), 'utf8'))
  for (const kind of [kinds.secret, kinds.istioGateway, kinds.istioVirtualService]) {
    const ours = await kube.list(kind, { labelSelector: `${labels.managedBy}=${manager}` })
    // The trust of the MUTUAL host has a Secret of its own.
    assert.equal(ours.length, kind === kinds.secret ? 5 : 4, kind.kind)
  }
  kube.close()
  const told418 = await ask({
    ...{ name: 'mutual.example.com', address: '127.0.0.1', port: ports.tls, path: '/status/418' },
    ca: join(state, 'ca.crt'),
    cert: join(state, 'client.crt'),
    key: join(state, 'client.key'),
  })
  assert.deepEqual([told418.refused, told418.status], [null, 418])
}

test('killed after a line that it prints and at a random moment after that, seeding is finished by the next start', async (t) => {
  const state = join(folder, 'state')
  const ports = await devPorts()
  const shown = new Set<string>()
  const cut = async (moment: Moment) => {
    for (const each of await cutShort(state, ports, moment)) shown.add(each)
  }
  // One of these each time: over the runs each line has its turn.
  const lines = [
    'Gatesmith development mode',
    'PostgreSQL is running',
    'the sandbox cluster is running',
    'making the runbook',
  ]
  const line = lines[randomInt(lines.length)] ?? ''
  const milliseconds = randomInt(20, 700)
  t.diagnostic(`killed after "${line}", and ${milliseconds} ms into seeding`)
  await cut((said) => said(line))
  await cut(async (said) => {
    await said('making the runbook')
    await delay(milliseconds)
  })
  await isWhole(await untilUp(startDev(state, ports), state, ports), state, ports, shown)
})

import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, test } from 'node:test'
import { finishCertificates } from '../../src/certificates/issuance/finish.ts'
import { readConfig } from '../../src/core/config.ts'
import { openContext } from '../../src/core/context.ts'
import { openTestDatabase } from '../support/context.ts'
import { adminKey, freePorts, settingsFor, until } from '../support/process.ts'
import { realCluster } from '../support/real.ts'
import { type Asked, askAgain, load } from './chaos/load.ts'
import { randomOf } from './chaos/random.ts'
import { killAtRandom, openProcess, openReal, openSandbox } from './chaos/victims.ts'
import { hostsOf, isAsAsked, isExact, isOnRecord } from './chaos/whole.ts'
import { httpOf } from './stage.ts'

// Servers, workers and API servers are killed at random while clients ask for this and that. In the end every
// cluster holds exactly what the database asks for, and no certificate exists that is not on record.
// GATESMITH_CHAOS_KILLS says how often those of each kind are killed, GATESMITH_CHAOS_SEED with which numbers.

const times = Number(process.env.GATESMITH_CHAOS_KILLS ?? 1)
const seed = Number(process.env.GATESMITH_CHAOS_SEED ?? randomInt(1_000_000))
const random = randomOf(seed)

const real = realCluster()
const clusters = real
  ? [await openReal(real)]
  : await Promise.all(['one', 'two'].map((name) => openSandbox(name)))

const settings = await settingsFor(await openTestDatabase())
const quiet = () => undefined
const ctx = openContext(readConfig(settings), { info: quiet, warn: quiet, error: console.error })
after(() => ctx.db.close())

const ports = await freePorts(2)
const servers = await Promise.all(
  ports.map((port) =>
    openProcess(`the server at ${port}`, 'serve', { ...settings, GATESMITH_PORT: String(port) }),
  ),
)
const workers = await Promise.all(
  ['first', 'second'].map((name) => openProcess(`the ${name} worker`, 'worker', settings)),
)
const token = await adminKey(settings)
const urls = ports.map((port) => `http://127.0.0.1:${port}`)
const http = httpOf(urls[0] ?? '', token)

for (const { name, kubeconfig, ingress } of clusters) {
  const made = await http.post('/v1/clusters').send({ name, kubeconfig, ingress })
  assert.equal(made.status, 201, made.text)
}
const root = { name: 'root', kind: 'root', subject: { commonName: 'chaos' } }
await http.post('/v1/authorities').send(root).expect(201)
const tenant = { name: 'shop', domains: ['chaos.test'], namespaces: ['test'] }
await http
  .post('/v1/tenants')
  .send({ ...tenant, defaultAuthority: 'root' })
  .expect(201)

test(`killed at random, all ends as it was asked for (${times} times each, seed ${seed})`, {
  timeout: (times * 60 + 900) * 1000,
}, async (t) => {
  t.diagnostic(`GATESMITH_CHAOS_KILLS=${times} GATESMITH_CHAOS_SEED=${seed}`)
  const asked: Asked = { hosts: new Map(), orders: new Map() }
  let over = false
  const loaded = load(
    { urls, token },
    {
      ...{ asked, random, isOver: () => over },
      clusters: clusters.map(({ name }) => name),
      suffix: `-${seed}.chaos.test`,
    },
  )
  const apis = clusters.flatMap(({ victim }) => victim ?? [])
  const kills = await Promise.all(
    [servers, workers, apis].map((victims) => killAtRandom(victims, { random, times })),
  ).finally(() => {
    over = true
  })
  await loaded
  for (const [name, count] of kills.flatMap((each) => [...each])) {
    t.diagnostic(`${name} was killed ${count} times`)
  }
  t.diagnostic(`${asked.hosts.size} hosts and ${asked.orders.size} certificates were asked for`)
  await askAgain({ urls, token }, asked, random)
  const begun = Date.now()
  let left = ''
  await until(
    'all is as asked for',
    async () => {
      const hosts = await hostsOf(http)
      const behind = hosts.flatMap(({ name, removedAt, status }) =>
        [...status.clusters]
          .filter((each) => removedAt !== null || each.status !== 'Synced')
          .map(({ cluster, status, message }) => `${name} on ${cluster}: ${status}, ${message}`),
      )
      left = behind.join('\n')
      return behind.length === 0 ? true : undefined
    },
    600,
  ).catch((error: unknown) => {
    throw new Error(`seed ${seed}, left:\n${left}`, { cause: error })
  })
  t.diagnostic(`all is Synced ${((Date.now() - begun) / 1000).toFixed(1)} s after the last kill`)
  await isAsAsked(http, asked)
  for (const cluster of clusters) await isExact(http, cluster)
  // Who asked for a certificate and was killed before it was signed has it settled two minutes later.
  await finishCertificates({ ...ctx, now: () => new Date(Date.now() + 180_000) })
  t.diagnostic(`${await isOnRecord(ctx, asked)} certificates, each on record once`)
})

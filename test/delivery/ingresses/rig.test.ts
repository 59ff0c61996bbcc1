import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { get } from 'node:http'
import { delimiter } from 'node:path'
import { after, test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { findListeners } from '../../../src/clusters/listeners/find.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import type { Context } from '../../../src/core/context.ts'
import { shakeHands } from '../../../src/delivery/proof/handshake.ts'
import { getHost } from '../../../src/hosts/find.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { removeHost } from '../../../src/hosts/remove.ts'
import { startWorker, type Worker } from '../../../src/jobs/worker.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestContext } from '../../support/context.ts'
import { until } from '../../support/process.ts'
import { secondGateway, startSecondGateway } from '../../support/secondgateway.ts'

// Two ingress gateways of one cluster, each a real Envoy with an istiod's configuration of its own.

const { GATESMITH_RIG_KUBECONFIG: own, PATH = '' } = process.env
const skip = own === undefined && 'GATESMITH_RIG_KUBECONFIG names no rig'
const [bin = ''] = PATH.split(delimiter)
const address = '127.0.0.1:4443'
const to = { service: 'httpbin', namespace: 'test', port: 80 }

test('each host is served by the gateways that it names, and by no other', { skip }, async () => {
  let worker: Worker | undefined
  // Before the database goes.
  after(() => worker?.stop())
  await startSecondGateway(bin)
  const ctx = await openTestContext()
  worker = await startWorker(ctx, 4)
  await createCluster(ctx, admin, {
    name: 'rig',
    kubeconfig: await readFile(own ?? '', 'utf8'),
    ingress: { address, adminAddress: '127.0.0.1:15000', plainAddress: '127.0.0.1:4480' },
    ingresses: { internal: { ...secondGateway, selector: { ...secondGateway.selector } } },
  })
  await createAuthority(ctx, admin, { name: 'house', kind: 'root', subject: { commonName: 'h' } })
  await createTenant(ctx, admin, {
    ...{ name: 'two', domains: ['two.test'], namespaces: ['test'], defaultAuthority: 'house' },
  })
  const put = (name: string, clusters: string[], mode: 'SIMPLE' | 'MUTUAL' = 'SIMPLE') =>
    putHost(ctx, admin, {
      tenant: 'two',
      name,
      spec: { tls: { mode }, clusters, routes: [{ to }] },
    })
  await put('outer.two.test', ['rig'])
  await put('inner.two.test', ['rig/internal'])
  await put('both.two.test', ['rig', 'rig/internal'], 'MUTUAL')
  for (const name of ['outer.two.test', 'inner.two.test', 'both.two.test']) await synced(ctx, name)
  assert.deepEqual(await served('outer.two.test'), ['let in', 'unknown'])
  assert.deepEqual(await served('inner.two.test'), ['unknown', 'let in'])
  assert.deepEqual(await served('both.two.test'), ['refused', 'refused'])
  // Plain HTTP goes by the same rule.
  assert.equal(await plainStatus(4580, 'inner.two.test'), 301)
  assert.equal(await plainStatus(4480, 'inner.two.test'), 404)
  assert.deepEqual(await listed(ctx), [
    'default both.two.test',
    'default outer.two.test',
    'internal both.two.test',
    'internal inner.two.test',
  ])

  await put('both.two.test', ['rig/internal'])
  await synced(ctx, 'both.two.test')
  await until('the first gateway has let go of the host', async () => {
    const [first] = await served('both.two.test')
    return first === 'unknown' ? true : undefined
  })
  assert.deepEqual(await served('both.two.test'), ['unknown', 'let in'])

  for (const name of ['outer.two.test', 'inner.two.test', 'both.two.test']) {
    await removeHost(ctx, admin, { tenant: 'two', name })
  }
  await until('nothing is left of the hosts', async () =>
    (await ctx.db.read.placement.count()) === 0 ? true : undefined,
  )
})

async function synced(ctx: Context, name: string): Promise<void> {
  await until(`${name} is Synced`, async () => {
    const { clusters } = (await getHost(ctx, admin, { tenant: 'two', name })).status
    return clusters.every(({ status }) => status === 'Synced') ? true : undefined
  })
}

/** What each gateway makes of a client without a certificate. */
function served(name: string): Promise<readonly ('let in' | 'refused' | 'unknown')[]> {
  return Promise.all(
    [address, secondGateway.address].map(async (each) => {
      const { accepted, tls } = await shakeHands({ address: each, name })
      if (accepted) return 'let in'
      return tls ? 'refused' : 'unknown'
    }),
  )
}

function plainStatus(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = get({ host: '127.0.0.1', port, headers: { host } }, (answer) => {
      answer.destroy()
      resolve(answer.statusCode)
    })
    asked.on('error', reject)
  })
}

/** The hosts in the listener table of each gateway's TLS port. */
async function listed(ctx: Context): Promise<readonly string[]> {
  const { items } = await findListeners(ctx, admin, { name: 'rig', query: { limit: 200 } })
  const hosts = items.flatMap(({ ingress, host, port }) =>
    host !== null && [4443, 4543].includes(port ?? 0) ? [`${ingress} ${host}`] : [],
  )
  return [...new Set(hosts)].toSorted()
}

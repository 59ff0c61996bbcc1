import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { startCluster } from '../../../sandbox/cluster.ts'
import { createAcmeKey } from '../../../src/acme/keys/lifecycle.ts'
import type { NewCaChallenge } from '../../../src/authorities/acme/schema.ts'
import { createAuthority } from '../../../src/authorities/create.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import type { AcmeSettings } from '../../../src/core/settings/acme.ts'
import { getHost } from '../../../src/hosts/find.ts'
import type { Host, HostSpec } from '../../../src/hosts/host.ts'
import { putHost } from '../../../src/hosts/put.ts'
import { startWorker, type Worker } from '../../../src/jobs/worker.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { openChallenges } from '../../support/acme.ts'
import { openTestApi } from '../../support/api.ts'
import { admin } from '../../support/context.ts'

/** A sandbox cluster with ingress, and where it listens. */
export async function openSandbox() {
  const directory = await mkdtemp(join(tmpdir(), 'gatesmith-elsewhere-'))
  const free = { apiPort: 0, tlsPort: 0, plainPort: 0 }
  const sandbox = await startCluster({ directory, host: '127.0.0.1', ...free })
  after(async () => {
    await sandbox.stop()
    await rm(directory, { recursive: true })
  })
  return sandbox
}

export const webhookSecret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

/** A CA elsewhere, which is another installation of this service on a database of its own, without a worker: it looks for challenges as
 *  `acme` says. */
export async function openCa(acme: AcmeSettings, preauthorized = false) {
  const ca = await openTestApi({}, { acme })
  const subject = { commonName: 'root of a CA elsewhere' }
  const root = await createAuthority(ca.ctx, admin, { name: 'root', kind: 'root', subject })
  await createAuthority(ca.ctx, admin, {
    ...{ name: 'issuing', kind: 'intermediate', parent: 'root' },
    subject: { commonName: 'a CA elsewhere' },
  })
  const customer = { name: 'customer', domains: ['shop.test'], defaultAuthority: 'issuing' }
  await createTenant(ca.ctx, admin, customer)
  const { id: keyId, hmacKey } = await createAcmeKey(ca.ctx, admin, {
    tenant: 'customer',
    request: { name: 'gatesmith', preauthorized },
  })
  return { ca, root, binding: { keyId, hmacKey } }
}

/** A CA elsewhere, which is another installation of this service on a database of its own; a service that is a
 *  customer of it, with a cluster `sandbox`; and a DNS in which both look, which is `dns` (host:port) if there is one. */
export async function openElsewhere({ preauthorized = false, dns = '' } = {}) {
  const workers: Worker[] = []
  after(async () => {
    for (const worker of workers) await worker.stop()
  })
  const sandbox = await openSandbox()
  const world = await openChallenges()
  const resolvers = [dns === '' ? `127.0.0.1:${world.dnsPort}` : dns]
  const seen = { httpPort: sandbox.plainPort, tlsPort: sandbox.tlsPort, resolvers }
  const acme = { ...seen, ranges: ['127.0.0.0/8'] }
  const { ca, root, binding } = await openCa(acme, preauthorized)
  workers.push(await startWorker(ca.ctx, 2))
  const own = await openTestApi({}, { acme, caRanges: ['127.0.0.0/8'] })
  const { ctx } = own
  const { kubeconfig, tlsPort, plainPort } = sandbox
  const at = (port: number) => `127.0.0.1:${port}`
  const ingress = { address: at(tlsPort), plainAddress: at(plainPort) }
  await createCluster(ctx, admin, { name: 'sandbox', kubeconfig, ingress })
  workers.push(await startWorker(ctx, 4))
  const webhook = await openWebhook(world.txt)
  const ways: Readonly<Record<'http' | 'dns', NewCaChallenge>> = {
    http: { type: 'http-01' },
    dns: { type: 'dns-01', webhook: { url: webhook.url, secret: webhookSecret } },
  }
  const account = (name: string, challenge: NewCaChallenge, more: object = {}) =>
    createAuthority(ctx, admin, {
      ...{ name, kind: 'acme', directory: `${ca.url}/acme/issuing/directory` },
      externalAccountBinding: binding,
      ...{ trustedRoots: root.pem, challenge, termsOfServiceAgreed: true, ...more },
    })
  await account('public', ways.http)
  await account('by-dns', ways.dns)
  const tenant = { name: 'shop', domains: ['shop.test'], namespaces: ['test'] }
  await createTenant(ctx, admin, { ...tenant, defaultAuthority: 'public' })
  return { ca, own, ctx, world, sandbox, webhook, account, ways, root, workers }
}

/** Takes the calls of a DNS webhook as its page has it: signed, and answered when the record is there. `told` hears what
 *  a name has from then on, where another DNS is to have it. */
export async function openWebhook(
  txt: Map<string, readonly string[]>,
  told: (name: string, values: readonly string[]) => Promise<void> = async () => undefined,
) {
  const calls: { type: string; name: string; value: string }[] = []
  const state = { refuses: 0, deaf: false }
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const body = Buffer.concat(parts).toString()
    const {
      'webhook-id': id,
      'webhook-timestamp': at,
      'webhook-signature': given,
    } = request.headers
    const key = Buffer.from(webhookSecret.slice(6), 'base64')
    const mac = createHmac('sha256', key).update(`${id}.${at}.${body}`).digest('base64')
    assert.equal(given, `v1,${mac}`)
    const { type, data } = JSON.parse(body)
    const { name, value } = data.record
    calls.push({ type, name, value })
    if (state.refuses-- > 0) return void response.writeHead(500).end()
    const before = txt.get(name) ?? []
    const others = before.filter((each) => each !== value)
    if (!state.deaf) txt.set(name, type === 'dns-01.present' ? [...others, value] : others)
    await told(name, txt.get(name) ?? [])
    if (txt.get(name)?.length === 0) txt.delete(name)
    response.writeHead(204).end()
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  after(() => server.close())
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/dns`, calls, state }
}

type Elsewhere = Awaited<ReturnType<typeof openElsewhere>>

/** Puts a host of tenant `shop` on the sandbox. */
export function putOn({ ctx }: Pick<Elsewhere, 'ctx'>, name: string, spec: Partial<HostSpec> = {}) {
  const to = { service: 'httpbin', namespace: 'test', port: 80 }
  const all = { routes: [{ to }], clusters: ['sandbox'], ...spec }
  return putHost(ctx, admin, { tenant: 'shop', name, spec: all })
}

/** The host when this holds of it. */
export function hostWhen(
  { ctx }: Pick<Elsewhere, 'ctx'>,
  name: string,
  holds: (host: Host) => boolean,
): Promise<Host> {
  return eventually(async () => {
    const host = await getHost(ctx, admin, { tenant: 'shop', name })
    assert.ok(holds(host), JSON.stringify(host.status))
    return host
  }, 120_000)
}

/** Whether it is as it should be on all of its clusters. */
export function isSynced({ status }: Host): boolean {
  return status.clusters.length > 0 && status.clusters.every((each) => each.status === 'Synced')
}

/** The account of an authority when it is valid. */
export function accountWhen({ ctx }: Pick<Elsewhere, 'ctx'>, name: string, state: string) {
  return eventually(async () => {
    const { acme } = await getAuthority(ctx, admin, name)
    assert.equal(acme?.state, state, JSON.stringify(acme))
    return acme
  }, 20_000)
}

/** What `work` answers when it throws no more; after so long, what it throws. */
export async function eventually<T>(work: () => Promise<T>, patience = 20_000): Promise<T> {
  const end = performance.now() + patience
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (performance.now() > end) throw error
      await wait(100)
    }
  }
}

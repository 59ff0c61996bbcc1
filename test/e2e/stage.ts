import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import supertest from 'supertest'
import Value from 'typebox/value'
import { parseAllDocuments } from 'yaml'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import { KubeObject } from '../../src/clusters/kubernetes/kube.ts'
import { openTestDatabase } from '../support/context.ts'
import {
  adminKey,
  openFolder,
  settingsFor,
  startProcess,
  until,
  untilReady,
} from '../support/process.ts'
import type { RealCluster } from '../support/real.ts'
import { devPorts, startDev, untilUp } from './dev.ts'

/** A platform admin's hand on the API at `url`. */
export type Http = ReturnType<typeof httpOf>

export function httpOf(url: string, token: string) {
  return supertest.agent(url).set('authorization', `Bearer ${token}`)
}

/** An authority, and a tenant that has its certificates from it. */
export async function makeShop(http: Http): Promise<void> {
  const root = { name: 'ca', kind: 'root', subject: { commonName: 'ca' } }
  await http.post('/v1/authorities').send(root).expect(201)
  const tenant = { name: 'shop', domains: ['shop.test'], defaultAuthority: 'ca' }
  await http.post('/v1/tenants').send(tenant).expect(201)
}

/** A running Gatesmith with a cluster on which the runbook's workloads are, and tenant `example`. */
export type Stage = {
  readonly http: Http
  /** Of the API. */
  readonly url: string
  /** Of the cluster, as the API knows it. */
  readonly cluster: string
  /** IP address and TLS port of the ingress. */
  readonly address: string
  readonly tlsPort: number
  /** Port of plain HTTP; undefined where it is not told. */
  readonly plainPort: number | undefined
  /** Of the cluster, as it was registered. */
  readonly kubeconfig: string
  /** Of who may do everything there; undefined where it is not told. */
  readonly admin: string | undefined
  /** Has the service given the rights that are printed for what is on the cluster by now; undefined where nobody may. */
  readonly grant: (() => Promise<void>) | undefined
  /** Whether backends take a certificate up as soon as it is in their Secret. */
  readonly backendsReload: boolean
  /** Where files may be put; `ca.crt` and the admin's `token` are there. */
  readonly folder: string
  /** The hosts; those of the runbook are served already. */
  readonly names: Readonly<Record<'simple' | 'hello' | 'mutual' | 'through' | 'off', string>>
  /** How long a cluster may take to serve a host. */
  readonly timeoutSeconds: number
}

const to = (service: string, port: number) => ({ service, namespace: 'test', port })

/** What is asked for, host by host. */
export const specs = {
  simple: {
    tls: { mode: 'SIMPLE' },
    http: 'serve',
    certificate: { organization: 'httpbin organization' },
    routes: [{ to: to('httpbin', 80) }],
  },
  hello: {
    tls: { mode: 'SIMPLE' },
    http: 'redirect',
    certificate: { organization: 'helloworld organization' },
    routes: [{ match: { exact: '/hello' }, to: to('helloworld', 5000) }],
  },
  mutual: { tls: { mode: 'MUTUAL' }, routes: [{ to: to('httpbin', 80) }] },
  // The Secret that examples/workloads.yaml has its nginx mount.
  through: {
    tls: { mode: 'PASSTHROUGH' },
    http: 'serve',
    certificate: { secretName: 'passthrough-example-com-tls' },
    routes: [
      { to: to('nginx-service', 443) },
      { match: { port: 80 }, to: to('nginx-service', 80) },
    ],
  },
  off: { tls: { mode: 'SIMPLE' }, http: 'off', routes: [{ to: to('httpbin', 80) }] },
} as const

/** Asks for a host on the stage's cluster, and waits until it is served. */
export async function serve(
  stage: Stage,
  host: keyof typeof specs,
  name = stage.names[host],
): Promise<void> {
  await serveSpec(stage, name, specs[host])
}

/** The same for whatever is asked for. */
export async function serveSpec(stage: Stage, name: string, spec: object): Promise<void> {
  const url = `/v1/tenants/example/hosts/${name}`
  const put = await stage.http.put(url).send({ ...spec, clusters: [stage.cluster] })
  assert.ok([200, 201].includes(put.status), put.text)
  await untilSynced(stage, name)
}

/** Waits until a host is served as asked for; fails saying why it is not. */
export async function untilSynced({ http, timeoutSeconds }: Stage, name: string): Promise<void> {
  let last = ''
  const look = async () => {
    const { body } = await http.get(`/v1/tenants/example/hosts/${name}`)
    const [placement] = body.status?.clusters ?? []
    last = `${placement?.status}: ${placement?.message}`
    return placement?.status === 'Synced' ? true : undefined
  }
  await until(`${name} is Synced`, look, timeoutSeconds).catch((error: unknown) => {
    throw new Error(last, { cause: error })
  })
}

/** What `npm start` shows: nothing is done by hand. */
export async function openSandboxStage(): Promise<Stage> {
  const folder = join(await openFolder(), 'state')
  const ports = await devPorts()
  const http = await untilUp(startDev(folder, ports), folder, ports)
  const kubeconfig = await readFile(join(folder, 'kubeconfig'), 'utf8')
  return {
    http,
    url: `http://127.0.0.1:${ports.api}`,
    cluster: 'sandbox',
    address: '127.0.0.1',
    tlsPort: ports.tls,
    plainPort: ports.plain,
    kubeconfig,
    admin: kubeconfig,
    grant: undefined,
    backendsReload: true,
    folder,
    names: {
      simple: 'httpbin.example.com',
      hello: 'helloworld.example.com',
      mutual: 'mutual.example.com',
      through: 'passthrough.example.com',
      off: 'off.example.com',
    },
    timeoutSeconds: 150,
  }
}

/** Whether the tests run on the rig. */
export const ofRig = process.env.GATESMITH_TEST_RIG === '1'

/** Gives the rig's service account the rights that are printed for it, as its administrator would. */
async function grantPrinted(http: Http, ruler: string): Promise<void> {
  const printed = await http.get('/v1/clusters/real/rbac?listeners=true&meshTls=true').expect(200)
  const kube = connect(await readFile(ruler, 'utf8'))
  for (const document of parseAllDocuments(printed.text)) {
    await kube.apply(Value.Parse(KubeObject, document.toJS()), { force: true })
  }
  kube.close()
}

/** A server and a worker on a database of their own, told of a cluster that is there. */
export async function openClusterStage(real: RealCluster): Promise<Stage> {
  const settings = await settingsFor(await openTestDatabase())
  const token = await adminKey(settings)
  const server = startProcess(['serve'], settings)
  startProcess(['worker'], settings)
  const url = await untilReady(server, settings)
  const http = httpOf(url, token)
  const kubeconfig = await readFile(real.kubeconfig, 'utf8')
  const { ingress: address, envoyAdmin, plainPort } = real
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon)
  const ingress = {
    address,
    ...(plainPort === undefined ? {} : { plainAddress: `${host}:${plainPort}` }),
    ...(envoyAdmin === undefined ? {} : { adminAddress: envoyAdmin }),
  }
  const made = await http.post('/v1/clusters').send({ name: 'real', kubeconfig, ingress })
  assert.equal(made.status, 201, made.text)
  const ruler = ofRig ? real.admin : undefined
  const grant = ruler === undefined ? undefined : () => grantPrinted(http, ruler)
  await grant?.()
  const { body: checked } = await http.post('/v1/clusters/real/check').expect(200)
  assert.deepEqual([checked.status, checked.message], ['Ready', null])
  await seedAuthorities(http)
  const folder = await openFolder()
  const { body: root } = await http.get('/v1/authorities/example-root').expect(200)
  await writeFile(join(folder, 'ca.crt'), root.pem)
  await writeFile(join(folder, 'token'), token, { mode: 0o600 })
  // Other names than last time: what a run left behind belongs to a database that is gone.
  const run = randomUUID().slice(0, 8)
  const name = (of: string) => `${of}-${run}.example.com`
  const stage: Stage = {
    http,
    url,
    cluster: 'real',
    address: (await lookup(host.replace(/^\[|\]$/g, ''))).address,
    tlsPort: Number(address.slice(colon + 1)),
    plainPort,
    kubeconfig,
    admin: real.admin === undefined ? undefined : await readFile(real.admin, 'utf8'),
    grant,
    backendsReload: ofRig,
    folder,
    names: {
      simple: name('httpbin'),
      hello: name('helloworld'),
      mutual: name('mutual'),
      through: name('passthrough'),
      off: name('off'),
    },
    timeoutSeconds: 150,
  }
  const hosts = ['simple', 'hello', 'mutual', 'through'] as const
  await Promise.all(hosts.map((of) => serve(stage, of)))
  return stage
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

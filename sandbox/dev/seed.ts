import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import Value from 'typebox/value'
import { type Client, eventually, RefusedError } from './client.ts'
import { writeWhole } from './files.ts'

/** Where the sandbox is, as seeding tells the API. */
export type Sandboxed = {
  readonly kubeconfig: string
  readonly ingressAddress: string
}

/** The runbook's hosts. */
const route = (service: string, port: number, match?: object) => ({
  ...(match ? { match } : {}),
  to: { service, namespace: 'test', port },
})
const hosts = {
  'httpbin.example.com': {
    tls: { mode: 'SIMPLE' },
    http: 'serve',
    certificate: { organization: 'httpbin organization' },
    routes: [route('httpbin', 80)],
  },
  'helloworld.example.com': {
    tls: { mode: 'SIMPLE' },
    http: 'redirect',
    certificate: { organization: 'helloworld organization' },
    routes: [route('helloworld', 5000, { exact: '/hello' })],
  },
  'mutual.example.com': { tls: { mode: 'MUTUAL' }, routes: [route('httpbin', 80)] },
  'passthrough.example.com': {
    tls: { mode: 'PASSTHROUGH' },
    http: 'serve',
    routes: [route('nginx-service', 443), route('nginx-service', 80, { port: 80 })],
  },
} as const

/** Makes through the API what the runbook makes by hand, each step only if it is not there, so that
 *  it can be cut short anywhere and run again. Writes ca.crt, client.crt and client.key into
 *  `directory`. Returns when every host is served. */
export async function seed(
  client: Client,
  { kubeconfig, ingressAddress }: Sandboxed,
  { directory, signal }: { directory: string; signal: AbortSignal },
): Promise<void> {
  await seedAuthorities(client)
  await seedCluster(client, { kubeconfig, ingressAddress })
  await seedTenant(client)
  for (const [name, spec] of Object.entries(hosts)) {
    const body = { ...spec, clusters: ['sandbox'] }
    await client.send('PUT', `/v1/tenants/example/hosts/${name}`, body)
  }
  await writeClientFiles(client, directory)
  for (const name of Object.keys(hosts)) await untilSynced(client, name, signal)
}

async function seedAuthorities(client: Client): Promise<void> {
  await create(client, '/v1/authorities', 'authority-exists', {
    name: 'example-root',
    kind: 'root',
    subject: { commonName: 'example.com', organization: 'example Inc.' },
  })
  await create(client, '/v1/authorities', 'authority-exists', {
    name: 'example-issuing',
    kind: 'intermediate',
    parent: 'example-root',
    subject: { commonName: 'example.com issuing CA', organization: 'example Inc.' },
  })
}

async function seedTenant(client: Client): Promise<void> {
  await create(client, '/v1/tenants', 'tenant-exists', {
    name: 'example',
    displayName: 'Example Inc.',
    domains: ['example.com'],
    namespaces: ['test'],
    defaultAuthority: 'example-issuing',
  })
}

/** The sandbox may listen elsewhere than last time: then the cluster is told. */
async function seedCluster(client: Client, sandbox: Sandboxed): Promise<void> {
  const { kubeconfig, ingressAddress } = sandbox
  const ingress = {
    namespace: 'istio-system',
    selector: { istio: 'ingressgateway' },
    address: ingressAddress,
  }
  await create(client, '/v1/clusters', 'cluster-exists', { name: 'sandbox', kubeconfig, ingress })
  const Registered = Type.Object({
    server: Type.String(),
    ingress: Type.Object({ address: Type.String() }),
  })
  const found = Value.Parse(Registered, await client.send('GET', '/v1/clusters/sandbox'))
  const moved = !kubeconfig.includes(found.server) || found.ingress.address !== ingressAddress
  if (moved) await client.send('PATCH', '/v1/clusters/sandbox', { kubeconfig, ingress })
}

async function create(client: Client, path: string, exists: string, body: object): Promise<void> {
  try {
    await client.send('POST', path, body)
  } catch (error) {
    if (!(error instanceof RefusedError && error.type === exists)) throw error
  }
}

async function writeClientFiles(client: Client, directory: string): Promise<void> {
  const Pem = Type.Object({ pem: Type.String() })
  const root = Value.Parse(Pem, await client.send('GET', '/v1/authorities/example-root'))
  await writeFile(join(directory, 'ca.crt'), root.pem)
  // The key makes it the same certificate at every start: one that names its tenant.
  const Made = Type.Object({ id: Type.String(), pem: Type.String() })
  const asked = {
    profile: 'client',
    subject: { commonName: 'client.example.com', organization: 'client organization' },
    dnsNames: ['client.example.com'],
  }
  const path = '/v1/tenants/example/certificates'
  const { id, pem } = Value.Parse(Made, await client.send('POST', path, asked, 'seed-client-named'))
  const written = await readFile(join(directory, 'client.crt'), 'utf8').catch(() => undefined)
  if (written?.includes(pem.trim())) return
  const bundle = await client.text(`${path}/${id}/bundle?privateKey=true`)
  const cut = bundle.indexOf('-----BEGIN PRIVATE KEY-----')
  await writeWhole(join(directory, 'client.key'), bundle.slice(cut))
  await writeWhole(join(directory, 'client.crt'), bundle.slice(0, cut))
}

async function untilSynced(client: Client, name: string, signal: AbortSignal): Promise<void> {
  const Status = Type.Object({
    status: Type.Object({
      clusters: Type.Array(Type.Object({ status: Type.String(), message: Type.Unknown() })),
    }),
  })
  await eventually(
    async () => {
      const host = await client.send('GET', `/v1/tenants/example/hosts/${name}`)
      const { clusters } = Value.Parse(Status, host).status
      return clusters.every(({ status }) => status === 'Synced') ? true : undefined
    },
    { milliseconds: 60_000, what: `Serving ${name}`, signal },
  )
}

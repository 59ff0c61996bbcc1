import type { Server, Socket } from 'node:net'
import { createApi } from './apiserver/api.ts'
import { certify, findIdentity, type Identity, kubeconfigOf } from './apiserver/identity.ts'
import { ingressPod, seed } from './apiserver/seeds.ts'
import { createIngress } from './ingress/connections.ts'
import { createUpstreams } from './ingress/upstreams.ts'
import { type Fields, fields } from './json.ts'
import { configMaps, gateways, resourceName, secrets, services, virtualServices } from './kinds.ts'
import { createAdmin } from './pod/admin.ts'
import { openStore, type Store } from './store.ts'
import { createWorkloads, sampleNamespace } from './workloads.ts'

/* The Gatesmith sandbox: one process that stands in for a Kubernetes cluster with an Istio ingress gateway,
 * for trying and for tests. It is a sandbox and says so wherever it can. It knowingly differs from the real
 * thing in this:
 *
 * API server: whoever has the token may do everything (no RBAC, access reviews always allow). Few kinds,
 * no subresources but pods/portforward (of the gateway's admin port), no controllers; a CRD says whether its kind is served, and no more: a Service has no endpoints, a Pod is a record, a deleted namespace
 * is empty at once. Lists are not consistent snapshots (`continue` counts objects). Changes are kept for watches
 * until a restart or some thousands later; then a watch gets 410. A PUT cannot set managedFields. Strategic
 * merge knows the lists of Services only. Validation of names, Secrets, ConfigMaps and Services is the part
 * that matters here; schemas of Istio's kinds leave rarely used depths open.
 *
 * istiod: changes act at once, not debounced; istioctl and xDS are not there; a regular expression is
 * JavaScript's, not RE2.
 *
 * Ingress: HTTP/1.1, and HTTP/2 where TLS ends; a TCP server
 * takes its port and leads nowhere; no AUTO_PASSTHROUGH and ISTIO_MUTUAL, one of several credentialNames, no
 * pins, cipherSuites or configmap credentials. Why a client certificate is refused is told by an alert, but for one of
 * a wrong or revoked kind by TLS 1.2: that connection ends right after the handshake, before a byte of HTTP. What
 * Envoy keeps serving after a Secret is deleted or spoilt is kept until a restart, as there. What else it has in
 * common with Envoy is in test/sandbox/envoy.test.ts, which runs against both. */

/** Where the admin interface of an Envoy listens inside its pod. */
const envoyAdminPort = 15000

/** A running sandbox: the text of a kubeconfig for it, and where it listens. `stop` may be called twice. */
export type Sandbox = {
  readonly kubeconfig: string
  readonly apiUrl: string
  readonly tlsPort: number
  readonly plainPort: number
  stop(): Promise<void>
}

/** `directory` is the sandbox's own; `log` gets one line at a time. */
export type SandboxOptions = {
  readonly directory: string
  readonly host: string
  readonly apiPort: number
  readonly tlsPort: number
  readonly plainPort: number
  readonly log?: (line: string) => void
}

/** Starts the sandbox in `directory`, where its objects live and survive a kill; port 0 is any free
 *  one. Throws one sentence when a port is taken; then nothing is left running. */
export async function startCluster(options: SandboxOptions): Promise<Sandbox> {
  const store = await openStore(options.directory)
  const stops: (() => Promise<void>)[] = [store.close]
  const stop = async (): Promise<void> => {
    for (let next = stops.pop(); next; next = stops.pop()) await next()
  }
  const serve: Serve = async (server, { port, host, what }) => {
    const connections = connectionsOf(server)
    const taken = await listen(server, port, host, what)
    stops.push(() => ended(server, connections))
    return taken
  }
  try {
    const identity = await findIdentity(options.directory)
    await seed(store)
    const workloads = await startWorkloads(store, serve)
    const { adminPort, ...ports } = await startIngress({ options, store, workloads, serve })
    const apiUrl = await startApi({ options, store, identity, adminPort, serve })
    return { kubeconfig: kubeconfigOf(identity, apiUrl), apiUrl, ...ports, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Listens until the sandbox is stopped; answers the port. */
type Serve = (server: Server, at: { port: number; host: string; what: string }) => Promise<number>

async function startWorkloads(store: Store, serve: Serve) {
  const subject = { commonName: 'nginx of the Gatesmith sandbox' }
  const nginx = await certify(subject, ['nginx.test'], undefined)
  const workloads = createWorkloads(() => mounted(store), nginx)
  for (const server of workloads.flatMap(({ ports }) => [...ports.values()])) {
    await serve(server, { port: 0, host: '127.0.0.1', what: 'a sample workload' })
  }
  return workloads
}

async function startIngress(parts: {
  readonly options: SandboxOptions
  readonly store: Store
  readonly workloads: Awaited<ReturnType<typeof startWorkloads>>
  readonly serve: Serve
}) {
  const { options, store, workloads, serve } = parts
  const { host, log = () => {} } = options
  const secret = (name: string) => store.get(secrets, ingressPod.namespace, name)
  const ingress = createIngress({
    log,
    upstreams: createUpstreams(store, workloads),
    secret,
    world: () => ({
      gateways: store.list(gateways),
      virtualServices: store.list(virtualServices),
      services: store.list(services),
      pod: ingressPod,
    }),
  })
  const served = [gateways, virtualServices, services].map(resourceName)
  store.watch((change) => {
    if (served.includes(change.resource)) ingress.refresh()
  })
  const tls = { port: options.tlsPort, host, what: "the sandbox's TLS ingress" }
  const tlsPort = await serve(ingress.tls, tls)
  const plain = { port: options.plainPort, host, what: "the sandbox's plain ingress" }
  const plainPort = await serve(ingress.plain, plain)
  const admin = createAdmin(ingress.configuration, secret)
  const adminPort = await serve(admin, {
    port: 0,
    host: '127.0.0.1',
    what: "the ingress's admin interface",
  })
  return { tlsPort, plainPort, adminPort }
}

/** The API server; answers its URL. */
async function startApi(parts: {
  readonly options: SandboxOptions
  readonly store: Store
  readonly identity: Identity
  readonly adminPort: number
  readonly serve: Serve
}): Promise<string> {
  const { options, store, identity, adminPort, serve } = parts
  const { host, apiPort: port, log = () => {} } = options
  const names = [...new Set(['localhost', 'kubernetes.default.svc', '127.0.0.1', host])]
  const subject = { commonName: 'Gatesmith sandbox API server' }
  const credential = await certify(subject, names, identity.ca)
  const portIn = (namespace: string, pod: string, wanted: number) =>
    namespace === ingressPod.namespace && pod === ingressPod.name && wanted === envoyAdminPort
      ? adminPort
      : undefined
  const api = createApi({ store, identity, credential, log, portIn })
  const what = "the sandbox's Kubernetes API"
  const apiPort = await serve(api, { port, host, what })
  return `https://${host}:${apiPort}`
}

/** The connections that are open, from now on: also those that have not said anything, which an HTTPS server does not
 *  know of yet and would wait for. */
function connectionsOf(server: Server): ReadonlySet<Socket> {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  return open
}

/** Stops listening and ends every connection. */
async function ended(server: Server, connections: ReadonlySet<Socket>): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  for (const socket of connections) socket.destroy()
  await closed
}

/** Listens and answers the port; 0 is any free one. Throws one sentence when the port is taken. */
function listen(server: Server, port: number, host: string, what: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: Error & { code?: string }) => {
      if (error.code !== 'EADDRINUSE') return reject(error)
      reject(
        new Error(`Port ${port} on ${host} is already in use: choose another port for ${what}`),
      )
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}

/** What the sample workloads find their certificates in: Secrets, and ConfigMaps of the same keys. */
function mounted(store: Store): readonly Fields[] {
  const maps = store.list(configMaps, sampleNamespace).map((map) => {
    const encoded = Object.entries(fields(map, 'data')).map(([key, value]) => [
      key,
      Buffer.from(String(value)).toString('base64'),
    ])
    return { ...map, type: 'kubernetes.io/tls', data: Object.fromEntries(encoded) }
  })
  return [...store.list(secrets, sampleNamespace), ...maps]
}

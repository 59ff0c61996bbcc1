import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { promisify } from 'node:util'
import { must } from '../../src/shared/must.ts'
import { until } from './process.ts'

const run = promisify(execFile)

/** The labels by which a Gateway selects it, and where it listens. */
export const secondGateway = {
  selector: { istio: 'internal' },
  address: '127.0.0.1:4543',
  adminAddress: '127.0.0.1:15100',
} as const

const namespace = 'istio-system'
const name = 'internal-gateway'
const labels = { app: name, ...secondGateway.selector }
const ports = { plain: 4580, tls: 4543, admin: 15100, status: 15120, ready: 15121, metrics: 15190 }

/** Starts a second Envoy beside the rig's, run by Istio's own agent, with a Service and a Pod of its own. `bin` is the
 *  rig's folder of programs; the administrator's kubeconfig is in KUBECONFIG. It is ended and removed when the tests of the
 *  file are over. */
export async function startSecondGateway(bin: string): Promise<void> {
  await apply(objects)
  await kubectl(['patch', 'pod', name, '-n', namespace, '--subresource=status', '-p', podStatus])
  const folder = await mkdtemp(join(tmpdir(), 'gatesmith-gateway-'))
  const secrets = join(folder, 'var/run/secrets')
  for (const each of ['tokens', 'istio']) await mkdir(join(secrets, each), { recursive: true })
  await mkdir(join(folder, 'etc/istio/proxy'), { recursive: true })
  const rootOf = ['get', 'configmap', 'istio-ca-root-cert', '-n', namespace]
  const root = await kubectl([...rootOf, '-o', 'jsonpath={.data.root-cert\\.pem}'])
  await writeFile(join(secrets, 'istio/root-cert.pem'), root)
  const token = await kubectl(['create', 'token', account, '-n', namespace, '--audience=istio-ca'])
  await writeFile(join(secrets, 'tokens/istio-token'), token.trim(), { mode: 0o600 })
  const args = ['proxy', 'router', '--domain', `${namespace}.svc.cluster.local`]
  const agent = spawn(join(bin, 'pilot-agent'), [...args, '--concurrency', '1'], {
    cwd: folder,
    env: { ...process.env, ...environment(bin) },
    stdio: 'ignore',
    // Its Envoy ends with it.
    detached: true,
  })
  const ended = once(agent, 'exit')
  after(async () => {
    process.kill(-must(agent.pid, 'it was started'), 'SIGKILL')
    await ended
    await kubectl(['delete', 'pod,service', name, '-n', namespace, '--force', '--grace-period=0'])
    await rm(folder, { recursive: true, force: true })
  })
  await until('the second gateway is ready', async () => {
    const url = `http://${secondGateway.adminAddress}/ready`
    const answer = await fetch(url).catch(() => undefined)
    await answer?.body?.cancel()
    return answer?.ok ? true : undefined
  })
}

const account = 'istio-ingressgateway-service-account'

function environment(bin: string): NodeJS.ProcessEnv {
  return {
    POD_NAME: name,
    POD_NAMESPACE: namespace,
    INSTANCE_IP: '127.0.0.1',
    SERVICE_ACCOUNT: account,
    CA_ADDR: 'localhost:4412',
    ENVOY_STATUS_PORT: String(ports.ready),
    ENVOY_PROMETHEUS_PORT: String(ports.metrics),
    ISTIO_META_CLUSTER_ID: 'Kubernetes',
    ISTIO_META_WORKLOAD_NAME: name,
    ISTIO_METAJSON_LABELS: JSON.stringify(labels),
    PROXY_CONFIG: JSON.stringify({
      discoveryAddress: 'localhost:4412',
      binaryPath: join(bin, 'envoy'),
      configPath: './etc/istio/proxy',
      proxyBootstrapTemplatePath: join(bin, 'envoy_bootstrap.json'),
      proxyAdminPort: ports.admin,
      statusPort: ports.status,
      drainDuration: '2s',
    }),
  }
}

const metadata = { name, namespace, labels }
const objects = [
  {
    ...{ apiVersion: 'v1', kind: 'Service', metadata },
    spec: {
      selector: labels,
      ports: [
        { name: 'http2', port: 80, targetPort: ports.plain },
        { name: 'https', port: 443, targetPort: ports.tls },
      ],
    },
  },
  {
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: { ...metadata, labels: { ...labels, 'istio.io/rev': 'default' } },
    spec: {
      nodeName: 'rig',
      serviceAccountName: account,
      containers: [
        {
          name: 'istio-proxy',
          image: 'rig.invalid/proxyv2',
          ports: [{ containerPort: ports.plain }, { containerPort: ports.tls }],
        },
      ],
    },
  },
]
const podStatus = JSON.stringify({
  status: {
    phase: 'Running',
    podIP: '127.0.0.1',
    podIPs: [{ ip: '127.0.0.1' }],
    conditions: [{ type: 'Ready', status: 'True' }],
  },
})

async function kubectl(args: readonly string[]): Promise<string> {
  return (await run('kubectl', [...args])).stdout
}

async function apply(items: readonly object[]): Promise<void> {
  const child = run('kubectl', ['apply', '--server-side', '-f', '-'])
  child.child.stdin?.end(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
  await child
}

import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { forwardPort } from '../../../sandbox/pod/portforward.ts'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { tablesOf, troublesOfIngress } from '../../../src/clusters/listeners/pods.ts'
import { featuresWith } from '../../../src/clusters/rights/table.ts'
import { issue } from '../../sandbox/pki.ts'
import { kubeconfigFor, openAccount } from '../../support/account.ts'
import { columns } from './support.ts'

// Against a real istiod and a real Envoy, whose admin interface is on this machine; istioctl is on the path.

const kubeconfig = process.env.GATESMITH_RIG_KUBECONFIG
const skip = kubeconfig === undefined && 'GATESMITH_RIG_KUBECONFIG names no rig'
const admin = '127.0.0.1:15000'
const ingress = {
  namespace: 'istio-system',
  selector: { istio: 'ingressgateway' },
  address: '127.0.0.1:4443',
  adminAddress: admin,
}
const account = 'gatesmith-forwarding'
const run = promisify(execFile)

test('the table is that of istioctl, row by row, and a refusal is told', { skip }, async () => {
  const kube = connect(await readFile(kubeconfig ?? '', 'utf8'))
  after(() => kube.close())
  const { cert, key } = await issue('listeners-a.test', 'server')
  const secret: KubeObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'listeners-test', namespace: 'istio-system' },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': btoa(cert), 'tls.key': btoa(key) },
  }
  const objects = [secret, gateway('listeners-a', servers), virtualService]
  after(async () => {
    for (const { apiVersion, kind, metadata } of [...objects, rival]) {
      await kube.remove({ apiVersion, kind, namespace: 'istio-system', name: metadata.name })
    }
  })
  for (const object of objects) await kube.apply(object)
  const read = async () => {
    const [table, ...others] = await tablesOf(kube, ingress)
    assert.deepEqual(others, [])
    assert.ok(table && 'told' in table, JSON.stringify(table))
    assert.equal(table.pod, 'istio-ingressgateway-rig')
    return table.told
  }
  const until = async (holds: (told: Awaited<ReturnType<typeof read>>) => boolean) => {
    for (let round = 0; round < 240; round++) {
      const told = await read()
      if (holds(told)) return told
      await pause(250)
    }
    assert.fail(`the listeners stay ${JSON.stringify(await read())}`)
  }

  const served = await until(({ chains }) =>
    chains.some(({ match }) => match.includes('listeners-pass.test')),
  )
  assert.deepEqual(columns(served.chains), await istioctl())
  const strict = served.chains.find(({ serverNames }) => serverNames.includes('listeners-b.test'))
  assert.deepEqual(strict?.tls, {
    minVersion: 'TLSv1_3',
    maxVersion: null,
    credential: 'kubernetes://listeners-test',
    clientCertificate: false,
  })

  // The same name from another namespace's list of hosts: istiod sends it, and Envoy refuses the port.
  await kube.apply(rival)
  const frozen = await until(({ troubles }) => troubles.some(({ state }) => state === 'error'))
  assert.deepEqual(columns(frozen.chains), await istioctl())
  const [cause] = frozen.troubles.filter(({ state }) => state === 'error')
  assert.equal(cause?.port, 4443)
  assert.match(cause?.reason ?? '', /same matching rules.*listeners-b\.test/)
  const [told] = await troublesOfIngress(kube, ingress)
  assert.ok(told && 'told' in told)
  assert.ok(told.told.some(({ reason }) => reason === cause?.reason))
})

test('a port is forwarded through the API server, given the right to it', { skip }, async () => {
  const ruler = await readFile(process.env.KUBECONFIG ?? '', 'utf8')
  const root = connect(ruler)
  // Other files may have given more to the account that all share.
  const places = {
    ...{ ingress: ['istio-system'], backendTls: [], mesh: ['istio-system'] },
    ...{ workload: ['test'], backend: [], restart: [], configMap: [] },
  }
  const given = { name: account, api: 'istio', features: featuresWith({}), places } as const
  const kube = connect(kubeconfigFor(ruler, await openAccount(root, given)))
  const { adminAddress, ...forwarded } = ingress
  const stop = await startKubelet()
  after(async () => {
    for (const { apiVersion, kind, metadata } of rights.toReversed()) {
      await root.remove({ apiVersion, kind, namespace: 'istio-system', name: metadata.name })
    }
    kube.close()
    root.close()
    stop()
  })
  const [denied] = await tablesOf(kube, forwarded)
  assert.ok(denied && 'unread' in denied)
  assert.match(
    denied.unread,
    /lack "get" and "create" on pods\/portforward in namespace istio-system/,
  )
  for (const object of rights) await root.apply(object)
  const [table] = await tablesOf(kube, forwarded)
  const [direct] = await tablesOf(kube, { ...forwarded, adminAddress })
  assert.ok(table && 'told' in table, JSON.stringify(table))
  assert.ok(direct && 'told' in direct)
  assert.deepEqual(table.told.chains, direct.told.chains)
})

/** The rig has no kubelet: this one forwards ports, and knows nothing else. Answers how to stop it. */
async function startKubelet(): Promise<() => void> {
  const { cert, key } = await issue('rig', 'server')
  const kubelet = createServer({ cert, key })
  kubelet.on('upgrade', (request, socket) => {
    assert.match(request.url ?? '', /^\/portForward\/istio-system\/istio-ingressgateway-rig\?/)
    forwardPort(request, socket, { asked: 15000, port: 15000 })
  })
  await once(kubelet.listen(0, '127.0.0.1'), 'listening')
  const address = kubelet.address()
  assert.ok(address && typeof address === 'object')
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'rig' } }
  const status = {
    addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
    daemonEndpoints: { kubeletEndpoint: { Port: address.port } },
  }
  const kubectl = (args: readonly string[], input = '') =>
    execFileSync('kubectl', [...args], { input, stdio: 'pipe' })
  kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(node))
  const patch = JSON.stringify({ status })
  kubectl(['patch', 'node', 'rig', '--subresource=status', '--type=merge', '-p', patch])
  return () => {
    kubectl(['delete', 'node', 'rig'])
    kubelet.closeAllConnections()
    kubelet.close()
  }
}

const role = {
  apiGroup: 'rbac.authorization.k8s.io',
  kind: 'Role',
  name: 'gatesmith-listeners',
}
const rights = [
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: role.name, namespace: 'istio-system' },
    rules: [{ apiGroups: [''], resources: ['pods/portforward'], verbs: ['get', 'create'] }],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: role.name, namespace: 'istio-system' },
    roleRef: role,
    subjects: [{ kind: 'ServiceAccount', name: account, namespace: 'istio-system' }],
  },
]

async function istioctl(): Promise<readonly (readonly string[])[]> {
  const directory = await mkdtemp(join(tmpdir(), 'gatesmith-listeners-'))
  try {
    const mask = 'mask=dynamic_listeners,static_listeners'
    const dump = await (await fetch(`http://${admin}/config_dump?${mask}`)).text()
    const file = join(directory, 'dump.json')
    await writeFile(file, dump)
    const { stdout } = await run('istioctl', ['proxy-config', 'listener', '--file', file])
    const [heading = '', ...lines] = stdout.trimEnd().split('\n')
    const at = ['ADDRESSES', 'PORT', 'MATCH', 'DESTINATION'].map((name) => heading.indexOf(name))
    assert.ok(
      at.every((from) => from >= 0),
      heading,
    )
    return lines.map((line) => at.map((from, index) => line.slice(from, at[index + 1]).trim()))
  } finally {
    await rm(directory, { recursive: true })
  }
}

const tls = { mode: 'SIMPLE', credentialName: 'listeners-test' }
const servers = [
  server('https-a', 'HTTPS', ['listeners-a.test', 'listeners-0.test'], tls),
  server('https-b', 'HTTPS', ['listeners-b.test'], { ...tls, minProtocolVersion: 'TLSV1_3' }),
  server('https-w', 'HTTPS', ['*.listeners-w.test'], tls),
  server('tls-p', 'TLS', ['listeners-pass.test'], { mode: 'PASSTHROUGH' }),
  {
    port: { number: 80, name: 'http-a', protocol: 'HTTP' },
    hosts: ['istio-system/listeners-a.test'],
  },
]

function server(name: string, protocol: string, hosts: readonly string[], tls: object) {
  const port = { number: 443, name, protocol }
  return { port, hosts: hosts.map((host) => `istio-system/${host}`), tls }
}

function gateway(name: string, all: readonly object[]): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: 'istio-system' },
    spec: { selector: { istio: 'ingressgateway' }, servers: all },
  }
}

const rival = gateway('listeners-rival', [
  { ...server('https-r', 'HTTPS', [], tls), hosts: ['test/listeners-b.test'] },
])

const virtualService: KubeObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'listeners-a', namespace: 'istio-system' },
  spec: {
    hosts: ['listeners-a.test', 'listeners-b.test', '*.listeners-w.test', 'listeners-pass.test'],
    gateways: ['istio-system/listeners-a'],
    http: [{ route: [{ destination: to('httpbin', 80) }] }],
    tls: [
      {
        match: [{ port: 443, sniHosts: ['listeners-pass.test'] }],
        route: [{ destination: to('nginx-service', 443) }],
      },
    ],
  },
}

function to(service: string, number: number) {
  return { host: `${service}.test.svc.cluster.local`, port: { number } }
}

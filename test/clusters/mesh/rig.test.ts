import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { tablesOf } from '../../../src/clusters/listeners/pods.ts'
import { findMeshTls } from '../../../src/clusters/mesh/find.ts'
import { putMeshTls } from '../../../src/clusters/mesh/put.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import { featuresWith } from '../../../src/clusters/rights/table.ts'
import { issue } from '../../sandbox/pki.ts'
import { kubeconfigFor, openAccount } from '../../support/account.ts'
import { admin, openTestContext } from '../../support/context.ts'

// Against a real istiod and a real Envoy. Our service account may not read the mesh's map: the administrator gives it
// the right on the way.

const { GATESMITH_RIG_KUBECONFIG: own, KUBECONFIG: ruler } = process.env
const skip = own === undefined && 'GATESMITH_RIG_KUBECONFIG names no rig'
const account = 'gatesmith-mesh'
const address = '127.0.0.1:4443'
const adminAddress = '127.0.0.1:15000'
const ingress = {
  namespace: 'istio-system',
  selector: { istio: 'ingressgateway' },
  address,
  adminAddress,
}
const host = 'mesh-tls.test'

test('a minimum version that is set is taken up by istiod, by Envoy, and at the handshake', {
  skip,
}, async () => {
  const text = await readFile(ruler ?? '', 'utf8')
  const root = connect(text)
  const places = {
    ...{ ingress: ['istio-system'], backendTls: [], mesh: [] },
    ...{ workload: ['test'], backend: [], restart: [], configMap: [] },
  }
  const given = { name: account, api: 'istio', features: featuresWith({}), places } as const
  const kubeconfig = kubeconfigFor(text, await openAccount(root, given))
  const kube = connect(kubeconfig)
  const ctx = await openTestContext()
  after(() => {
    kube.close()
    root.close()
  })
  await createCluster(ctx, admin, { name: 'rig', kubeconfig, ingress })
  const asked = { name: 'rig', query: {} }

  await assert.rejects(findMeshTls(ctx, admin, asked), {
    type: 'cluster-unreachable',
    message: /need "get".*configmaps "istio" is forbidden/,
  })
  const { cert, key } = await issue(host, 'server')
  const objects = [...rights, ...gatewayOf(cert, key)]
  after(async () => {
    for (const { apiVersion, kind, metadata } of objects.toReversed()) {
      await root.remove({ apiVersion, kind, namespace: 'istio-system', name: metadata.name })
    }
  })
  for (const object of objects) await root.apply(object)

  const map = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'istio-system', name: 'istio' }
  const before = (await kube.get(map))?.data?.mesh ?? ''
  const strict = {
    meshMTLS: { minProtocolVersion: 'TLSV1_3' },
    tlsDefaults: { minProtocolVersion: 'TLSV1_3' },
  } as const
  await until(async () => (await shakes('TLSv1.2')) === 'TLSv1.2')
  assert.equal(await minimum(kube), null)

  const done = await putMeshTls(ctx, admin, { ...asked, request: strict })
  assert.equal(
    done.diff,
    '+meshMTLS:\n+  minProtocolVersion: TLSV1_3\n+tlsDefaults:\n+  minProtocolVersion: TLSV1_3\n',
  )
  const changed = (await kube.get(map))?.data?.mesh ?? ''
  assert.ok(changed.startsWith(before.trimEnd()), 'everything else stays, comments among it')

  const mesh = async () => (await fetch('http://127.0.0.1:4418/debug/mesh')).json()
  await until(async () => Object(await mesh()).meshMTLS?.minProtocolVersion === 'TLSV1_3')
  await until(async () => (await minimum(kube)) === 'TLSv1_3')
  await until(async () => (await shakes('TLSv1.2')) === 'refused')
  assert.equal(await shakes('TLSv1.3'), 'TLSv1.3')

  const none = { meshMTLS: { minProtocolVersion: null }, tlsDefaults: { minProtocolVersion: null } }
  await putMeshTls(ctx, admin, { ...asked, request: none })
  assert.equal((await kube.get(map))?.data?.mesh, before)
  await until(async () => (await shakes('TLSv1.2')) === 'TLSv1.2')
})

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let round = 0; round < 240; round++) {
    if (await holds()) return
    await pause(250)
  }
  assert.fail('it does not come about')
}

/** The minimum that Envoy has for the host, whose Gateway states none. */
async function minimum(kube: ReturnType<typeof connect>): Promise<string | null | undefined> {
  const [table] = await tablesOf(kube, ingress)
  assert.ok(table && 'told' in table)
  return table.told.chains.find(({ serverNames }) => serverNames.includes(host))?.tls?.minVersion
}

/** The version of a handshake that offers none above `maxVersion`. */
function shakes(maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<string> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port: 4443, servername: host, rejectUnauthorized: false }
    const socket = connectTls({ ...options, maxVersion }, () => {
      resolve(socket.getProtocol() ?? '')
      socket.destroy()
    })
    socket.on('error', () => resolve('refused'))
  })
}

const role = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'gatesmith-mesh-tls' }
const rights = [
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: role.name, namespace: 'istio-system' },

    rules: [
      {
        apiGroups: [''],
        resources: ['configmaps'],
        resourceNames: ['istio'],
        verbs: ['get', 'patch'],
      },
    ],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: role.name, namespace: 'istio-system' },

    roleRef: role,
    subjects: [{ kind: 'ServiceAccount', name: account, namespace: 'istio-system' }],
  },
]

function gatewayOf(cert: string, key: string): readonly KubeObject[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'mesh-tls-test', namespace: 'istio-system' },
      type: 'kubernetes.io/tls',
      data: { 'tls.crt': btoa(cert), 'tls.key': btoa(key) },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'mesh-tls-test', namespace: 'istio-system' },
      spec: {
        selector: ingress.selector,
        servers: [
          {
            port: { number: 443, name: 'https-mesh-tls', protocol: 'HTTPS' },
            hosts: [host],
            tls: { mode: 'SIMPLE', credentialName: 'mesh-tls-test' },
          },
        ],
      },
    },
  ]
}

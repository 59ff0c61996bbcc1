import { type Fields, fields, text } from '../json.ts'
import {
  configMaps,
  customResourceDefinitions,
  isCustom,
  type Kind,
  kinds,
  namespaces,
  pods,
  resourceName,
  services,
} from '../kinds.ts'
import type { Store } from '../store.ts'
import { createObject } from './objects.ts'

/** What the sandbox cluster holds when it is new: the namespaces, the ingress gateway's pod, Service and
 *  mesh configuration as an Istio installation leaves them, and the Services of the sample workloads. */
export async function seed(store: Store): Promise<void> {
  for (const [kind, object] of seeds) {
    const namespace = text(object, 'metadata', 'namespace')
    const name = text(fields(object, 'metadata'), 'name')
    if (store.get(kind, namespace, name)) continue
    const how = {
      manager: 'gatesmith-sandbox',
      dryRun: false,
      force: false,
      fieldValidation: 'Strict',
    }
    await createObject(store, { kind, version: 'v1', namespace, name, ...how }, object)
  }
}

/** The one ingress gateway pod. */
export const ingressPod = {
  name: 'istio-ingressgateway-sandbox',
  namespace: 'istio-system',
  labels: { app: 'istio-ingressgateway', istio: 'ingressgateway' },
} as const

function namespace(name: string): readonly [Kind, Fields] {
  return [namespaces, { metadata: { name } }]
}

function service(
  name: string,
  of: string,
  selector: Fields,
  ports: readonly (readonly [name: string, port: number, target: number])[],
): readonly [Kind, Fields] {
  const each = ports.map(([name, port, targetPort]) => ({ name, port, targetPort }))
  return [
    services,
    { metadata: { name, namespace: of, labels: selector }, spec: { selector, ports: each } },
  ]
}

const mesh = `accessLogFile: /dev/stdout
defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
meshMTLS:
  minProtocolVersion: TLSV1_2
rootNamespace: istio-system
trustDomain: cluster.local
`

const pod: Fields = {
  metadata: {
    name: ingressPod.name,
    namespace: ingressPod.namespace,
    labels: ingressPod.labels,
    annotations: { 'gatesmith.dev/sandbox': 'stands in for an Istio ingress gateway' },
  },
  spec: {
    serviceAccountName: 'istio-ingressgateway-service-account',
    containers: [
      {
        name: 'istio-proxy',
        image: 'gatesmith-sandbox',
        ports: [{ containerPort: 8080 }, { containerPort: 8443 }],
      },
    ],
  },
  status: { phase: 'Running', podIP: '127.0.0.1', conditions: [{ type: 'Ready', status: 'True' }] },
}

/** As the control plane of the Istio that the sandbox takes after. */
const istiod: Fields = {
  metadata: {
    name: 'istiod-sandbox',
    namespace: ingressPod.namespace,
    labels: {
      app: 'istiod',
      istio: 'pilot',
      'istio.io/rev': 'default',
      'app.kubernetes.io/version': '1.31.0',
    },
    annotations: { 'gatesmith.dev/sandbox': 'stands in for istiod' },
  },
  spec: {
    serviceAccountName: 'istiod',
    containers: [{ name: 'discovery', image: 'gatesmith-sandbox' }],
  },
  status: pod.status ?? {},
}

function definition(kind: Kind): readonly [Kind, Fields] {
  const { group, plural, singular, shortNames, namespaced } = kind
  const names = { kind: kind.kind, plural, singular, shortNames: [...shortNames] }
  const versions = kind.versions.map((version, index) => ({
    name: version,
    served: true,
    storage: index === 0,
  }))
  const scope = namespaced ? 'Namespaced' : 'Cluster'
  return [
    customResourceDefinitions,
    { metadata: { name: resourceName(kind) }, spec: { group, names, scope, versions } },
  ]
}

const seeds: readonly (readonly [Kind, Fields])[] = [
  ...['default', 'kube-system', 'istio-system', 'test'].map(namespace),
  [
    configMaps,
    {
      metadata: { name: 'istio', namespace: 'istio-system', labels: { 'istio.io/rev': 'default' } },
      data: { mesh, meshNetworks: 'networks: {}' },
    },
  ],
  [pods, pod],
  [pods, istiod],
  ...kinds.filter(isCustom).map(definition),
  service('istio-ingressgateway', ingressPod.namespace, ingressPod.labels, [
    ['http2', 80, 8080],
    ['https', 443, 8443],
  ]),
  service('httpbin', 'test', { app: 'httpbin' }, [['http', 80, 8080]]),
  service('helloworld', 'test', { app: 'helloworld' }, [['http', 5000, 5000]]),
  service('nginx-service', 'test', { app: 'nginx' }, [
    ['http', 80, 80],
    ['https', 443, 443],
  ]),
]

import type { Schema } from './schema.ts'

const strings = ['string'] as const
const stringMap = { '*': 'string' }
const version = 'TLS_AUTO|TLSV1_0|TLSV1_1|TLSV1_2|TLSV1_3'
const stringMatch = { exact: 'string', prefix: 'string', regex: 'string' }
const portNumber = { number: 'integer' }
const destination = { 'host!': 'string', subset: 'string', port: portNumber }
const headerChanges = { set: stringMap, add: stringMap, remove: strings }
const headers = { request: headerChanges, response: headerChanges }
const clientTls = {
  mode: 'DISABLE|SIMPLE|MUTUAL|ISTIO_MUTUAL',
  clientCertificate: 'string',
  privateKey: 'string',
  caCertificates: 'string',
  credentialName: 'string',
  subjectAltNames: strings,
  sni: 'string',
  insecureSkipVerify: 'boolean',
  caCrl: 'string',
}
const trafficPolicy = {
  loadBalancer: 'any',
  connectionPool: 'any',
  outlierDetection: 'any',
  tls: clientTls,
  portLevelSettings: ['any'],
  tunnel: 'any',
  proxyProtocol: 'any',
  retryBudget: 'any',
} as const
const weighted = [{ 'destination!': destination, weight: 'integer', headers }] as const
const l4Match = {
  destinationSubnets: strings,
  port: 'integer',
  sourceLabels: stringMap,
  gateways: strings,
  sourceNamespace: 'string',
} as const

const metadata = {
  name: 'string',
  generateName: 'string',
  namespace: 'string',
  labels: stringMap,
  annotations: stringMap,
  finalizers: strings,
  ownerReferences: ['any'],
  uid: 'string',
  resourceVersion: 'string',
  generation: 'integer',
  creationTimestamp: 'string',
  deletionTimestamp: 'string',
  deletionGracePeriodSeconds: 'integer',
  managedFields: ['any'],
  selfLink: 'string',
} as const

const head = { apiVersion: 'string', kind: 'string', metadata } as const

const tls = {
  httpsRedirect: 'boolean',
  mode: 'PASSTHROUGH|SIMPLE|MUTUAL|AUTO_PASSTHROUGH|ISTIO_MUTUAL|OPTIONAL_MUTUAL',
  serverCertificate: 'string',
  privateKey: 'string',
  caCertificates: 'string',
  caCrl: 'string',
  tlsCertificates: ['any'],
  credentialName: 'string',
  credentialNames: strings,
  caCertCredentialName: 'string',
  subjectAltNames: strings,
  verifyCertificateSpki: strings,
  verifyCertificateHash: strings,
  minProtocolVersion: version,
  maxProtocolVersion: version,
  cipherSuites: strings,
  insecureSkipVerify: 'boolean',
} as const

const server = {
  'port!': {
    'number!': 'integer',
    'protocol!': 'string',
    'name!': 'string',
    targetPort: 'integer',
  },
  'hosts!': strings,
  bind: 'string',
  defaultEndpoint: 'string',
  name: 'string',
  tls,
} as const

const httpRoute = {
  name: 'string',
  match: [
    {
      name: 'string',
      uri: stringMatch,
      scheme: stringMatch,
      method: stringMatch,
      authority: stringMatch,
      headers: { '*': stringMatch },
      withoutHeaders: { '*': stringMatch },
      queryParams: { '*': stringMatch },
      port: 'integer',
      sourceLabels: stringMap,
      gateways: strings,
      ignoreUriCase: 'boolean',
      sourceNamespace: 'string',
      statPrefix: 'string',
    },
  ],
  route: weighted,
  redirect: {
    uri: 'string',
    authority: 'string',
    scheme: 'string',
    port: 'integer',
    derivePort: 'FROM_PROTOCOL_DEFAULT|FROM_REQUEST_PORT',
    redirectCode: 'integer',
  },
  directResponse: { 'status!': 'integer', body: { string: 'string', bytes: 'string' } },
  delegate: { name: 'string', namespace: 'string' },
  rewrite: {
    uri: 'string',
    authority: 'string',
    uriRegexRewrite: { match: 'string', rewrite: 'string' },
  },
  timeout: 'duration',
  retries: {
    attempts: 'integer',
    perTryTimeout: 'duration',
    retryOn: 'string',
    retryRemoteLocalities: 'boolean',
    retryIgnorePreviousHosts: 'boolean',
    backoff: 'duration',
  },
  fault: 'any',
  mirror: destination,
  mirrors: ['any'],
  mirrorPercent: 'integer',
  mirrorPercentage: 'any',
  corsPolicy: {
    allowOrigin: strings,
    allowOrigins: [stringMatch],
    allowMethods: strings,
    allowHeaders: strings,
    exposeHeaders: strings,
    maxAge: 'duration',
    allowCredentials: 'boolean',
    unmatchedPreflights: 'UNSPECIFIED|FORWARD|IGNORE',
  },
  headers,
} as const

/** The members an object of each kind may have, by the name of its resource; Istio's as its CRDs of 1.29 to 1.31 declare
 *  them, with rarely used depths left open. */
export const schemas: Readonly<Record<string, Schema>> = {
  namespaces: { ...head, spec: { finalizers: strings }, status: 'any' },
  secrets: {
    ...head,
    type: 'string',
    immutable: 'boolean',
    data: stringMap,
    stringData: stringMap,
  },
  configmaps: { ...head, immutable: 'boolean', data: stringMap, binaryData: stringMap },
  services: { ...head, spec: 'any', status: 'any' },
  pods: { ...head, spec: 'any', status: 'any' },
  'deployments.apps': { ...head, spec: 'any', status: 'any' },
  'gateways.networking.istio.io': {
    ...head,
    spec: { selector: stringMap, servers: [server] },
    status: 'any',
  },
  'destinationrules.networking.istio.io': {
    ...head,
    status: 'any',
    spec: {
      'host!': 'string',
      trafficPolicy,
      subsets: [{ 'name!': 'string', labels: stringMap, trafficPolicy }],
      exportTo: strings,
      workloadSelector: 'any',
    },
  },
  'virtualservices.networking.istio.io': {
    ...head,
    status: 'any',
    spec: {
      hosts: strings,
      gateways: strings,
      exportTo: strings,
      http: [httpRoute],
      tls: [{ 'match!': [{ ...l4Match, 'sniHosts!': strings }], route: weighted }],
      tcp: [{ match: [{ ...l4Match, sourceSubnet: 'string' }], route: weighted }],
    },
  },
}

import { rootCertificates } from 'node:tls'

// What a file may say of each kind, twice: as it is first, and changed. test/cli/cli.test.ts holds the list to the contract.

/** A member by its path in the spec: what it is first, what it becomes, and what must stand beside it. */
export type Changed = {
  readonly kind: 'Tenant' | 'Authority' | 'Cluster' | 'Host'
  readonly path: string
  readonly from: unknown
  readonly to: unknown
  readonly beside?: object
  /** It is part of what was signed or of a key: a change is refused (default: it is made), or told. */
  readonly end?: 'refused' | 'told'
}

/** The schemas of the contract whose members are of a kind. */
export const schemas = {
  Tenant: ['NewTenant', 'TenantPatch'],
  Authority: ['NewAuthority', 'ImportedAuthority', 'AuthorityPatch'],
  Cluster: ['NewCluster', 'ClusterPatch'],
  Host: ['HostSpec'],
} as const

/** Members that are tried elsewhere: the name of a thing, and credentials, which are never answered. */
export const elsewhere: readonly string[] = [
  ...['Tenant name', 'Authority name', 'Cluster name'],
  ...['Cluster kubeconfig', 'Cluster ca', 'Cluster token', 'Cluster server'],
  ...['Authority externalAccountBinding', 'Authority termsOfServiceAgreed'],
  ...['Authority certificate', 'Authority privateKey', 'Authority pkcs12', 'Authority passphrase'],
  // It goes with `http`, and those with each other: the member `certificate` has both.
  'Host tls.plainHttpWithoutClientCertificate',
  ...['Host certificate.store', 'Host certificate.privateKeyInConfigMap'],
  // It names a certificate that has to be there: test/api/uploads.test.ts.
  'Host certificate.uploaded',
]

/** As kubectl writes it; nobody answers there. */
export const kubeconfig = {
  'current-context': 'k',
  contexts: [{ name: 'k', context: { cluster: 'k', user: 'k' } }],
  clusters: [{ name: 'k', cluster: { server: 'https://127.0.0.1:1' } }],
  users: [{ name: 'k', user: { token: 'the-secret-token' } }],
}

const route = { to: { service: 'web', namespace: 'test', port: 80 } }
const mutual = { tls: { mode: 'MUTUAL' } }
const through = { tls: { mode: 'PASSTHROUGH' }, certificate: { secretName: 'web' } }
const workload = { service: 'web', namespace: 'test', port: 443 }
const tls443 = { ...through, routes: [{ to: workload }] }
const stored = { secretName: 'web', store: 'configMap', privateKeyInConfigMap: true }

export const members: readonly Changed[] = [
  ...tenant('displayName', 'One', 'Two'),
  ...tenant('domains', ['a.members.test'], ['a.members.test', 'b.members.test']),
  ...tenant('namespaces', ['one'], ['two']),
  ...tenant('defaultAuthority', 'root', 'issuing'),
  ...tenant('labels', { team: 'one' }, { team: 'two' }),
  ...tenant('owner', 'one', 'two'),
  ...tenant('contact', 'one', null),
  ...tenant('policy.maxValidityDays', 30, 60),
  ...tenant('policy.keyAlgorithms', ['ECDSA_P256'], ['ED25519']),
  ...tenant('policy.profiles', ['server'], ['server', 'client']),
  ...tenant('policy.wildcards', true, false),
  ...tenant('policy.ipRanges', ['10.0.0.0/8'], []),
  ...tenant('policy.renewBefore', { days: 10 }, { percent: 40 }),
  ...tenant('policy.renewalWindows', windows('Monday'), windows('Tuesday')),
  ...tenant('policy.subject', { country: ['DE'] }, { country: ['FR'] }),
  ...tenant('policy.onHostRemoval', 'keep', 'revoke'),
  ...tenant('policy.csrSubject', 'refuse', 'leave-out'),
  ...tenant('policy.subjectAttributes', ['userId'], ['userId', 'title']),
  ...tenant('quotas.hosts', 5, 6),
  ...tenant('quotas.certificatesPerDay', 5, 6),
  ...tenant('quotas.deliveries', 5, 6),
  ...tenant('quotas.apiKeys', 5, 6),
  ...tenant('quotas.revocationsPerDay', 5, 6),
  ...tenant('quotas.replacementsPerDay', 5, 6),

  ...authority('displayName', 'One', 'Two'),
  ...authority('outlive', 'truncate', 'refuse'),
  ...authority('listOverflow', 'refuse', 'tell'),
  ...authority('approval', 'one-person', 'two-people'),
  ...authority('maxValidityDays', 90, 80),
  ...authority('defaultValidityDays', 60, 50),
  ...authority('profiles', ['server'], ['client']),
  ...authority('retired', undefined, true),
  ...authority('kind', 'root', 'intermediate', { end: 'refused' }),
  ...authority('parent', 'root', 'issuing', { end: 'refused', beside: { kind: 'intermediate' } }),
  ...authority('tenant', null, 'shop', { end: 'refused' }),
  ...authority('subject.commonName', 'one', 'two', { end: 'refused' }),
  ...authority('subject.organization', 'one', undefined, { end: 'refused' }),
  ...authority('subject.organizationalUnit', 'one', 'two', { end: 'refused' }),
  ...authority('subject.country', 'DE', 'FR', { end: 'refused' }),
  ...authority('subject.locality', 'one', 'two', { end: 'refused' }),
  ...authority('subject.state', 'one', 'two', { end: 'refused' }),
  ...authority('subject.organizationalUnits', ['one', 'two'], ['two', 'one'], { end: 'refused' }),
  ...authority('subject.domainComponents', ['com', 'one'], ['com', 'two'], { end: 'refused' }),
  ...authority('subject.street', 'one', 'two', { end: 'refused' }),
  ...authority('subject.title', 'one', 'two', { end: 'refused' }),
  ...authority('subject.givenName', 'one', 'two', { end: 'refused' }),
  ...authority('subject.surname', 'one', 'two', { end: 'refused' }),
  ...authority('subject.userId', 'one', 'two', { end: 'refused' }),
  ...authority('subject.serialNumber', 'one', 'two', { end: 'refused' }),
  ...authority('keyAlgorithm', 'ECDSA_P256', 'ECDSA_P384', { end: 'refused' }),
  ...authority('key', undefined, { pkcs11: { label: 'one' } }, { end: 'refused' }),
  ...authority('pathLength', 1, 2, { end: 'refused' }),
  ...authority('crlShards', 1, 2, { end: 'refused' }),
  ...authority(
    'nameConstraints.permitted',
    { dnsNames: ['one.test'] },
    { dnsNames: ['two.test'] },
    {
      end: 'refused',
    },
  ),
  ...authority('nameConstraints.excluded', { dnsNames: ['one.test'] }, undefined, {
    end: 'refused',
  }),
  ...authority('validityDays', 400, 500, { end: 'told' }),
  ...ca('directory', 'https://ca.fair.test/one', 'https://ca.fair.test/two', { end: 'refused' }),
  ...ca('contact', ['one@fair.test'], ['two@fair.test']),
  ...ca('trustedRoots', rootCertificates[0], rootCertificates[1]),
  ...ca('profile', 'one', 'two'),
  ...ca(
    'challenge',
    { type: 'http-01' },
    {
      type: 'dns-01',
      webhook: { url: 'https://dns.fair.test/', secret: `whsec_${'A'.repeat(32)}` },
    },
  ),

  ...cluster('api', 'istio', 'gateway-api'),
  ...cluster('drift', 'repair', 'report'),
  ...cluster('ingress.namespace', 'one', 'two'),
  ...cluster('ingress.selector', { istio: 'one' }, { istio: 'two' }),
  ...cluster('ingress.address', '127.0.0.1:1', '127.0.0.1:2'),
  ...cluster('ingress.plainAddress', '127.0.0.1:3', undefined),
  ...cluster('ingress.adminAddress', '127.0.0.1:4', '127.0.0.1:5'),
  ...cluster('ingresses', { inner: { address: '127.0.0.1:7', selector: { istio: 'inner' } } }, {}),

  ...host('aliases', ['a.also.fair.test'], ['b.also.fair.test']),
  ...host('annotations', { 'external-dns.alpha.kubernetes.io/ttl': '60' }, {}),
  ...host('tls.mode', 'SIMPLE', 'MUTUAL'),
  ...host('tls.minVersion', 'TLSV1_2', 'TLSV1_3'),
  ...host('tls.maxVersion', 'TLSV1_2', 'TLSV1_3'),
  ...host('tls.clientAuthority', 'issuing', 'root', mutual),
  ...host('tls.clients', 'tenant', 'authority', mutual),
  ...host('onRemoval', 'keep', 'revoke'),
  ...host('http', 'redirect', 'off'),
  ...host('certificate.authority', 'issuing', 'root'),
  ...host('certificate.keyAlgorithm', 'ECDSA_P256', 'ECDSA_P384'),
  ...host('certificate.validityDays', 30, 31),
  ...host('certificate.organization', 'The One', undefined),
  ...host('certificate.secretName', 'one', 'two', tls443),
  ...host('certificate', { secretName: 'web', store: 'secret' }, stored, tls443),
  ...host('certificate.restart', { deployment: 'one' }, { deployment: 'two' }, tls443),
  ...host('routes', [route], [{ ...route, match: { prefix: '/x' } }]),
  ...host('clusters', ['one'], ['two']),
  ...host('labels', { env: 'one' }, { env: 'two' }),
  ...host('owner', 'one', 'two'),
  ...host('contact', 'one', undefined),
]

function windows(day: string): object {
  return { timeZone: 'UTC', windows: [{ days: [day], from: '01:00', to: '02:00' }] }
}

function tenant(path: string, from: unknown, to: unknown): readonly Changed[] {
  return [{ kind: 'Tenant', path, from, to }]
}

function authority(path: string, from: unknown, to: unknown, more: Partial<Changed> = {}) {
  return [{ kind: 'Authority', path, from, to, ...more } as const]
}

/** A CA elsewhere; nobody answers there. */
function ca(path: string, from: unknown, to: unknown, more: Partial<Changed> = {}) {
  const directory = 'https://ca.fair.test/directory'
  const said = {
    kind: 'acme',
    directory,
    termsOfServiceAgreed: true,
    challenge: { type: 'http-01' },
  }
  return authority(path, from, to, { beside: { subject: undefined, ...said }, ...more })
}

function cluster(path: string, from: unknown, to: unknown) {
  return [{ kind: 'Cluster', path, from, to } as const]
}

function host(path: string, from: unknown, to: unknown, beside: object = {}) {
  return [{ kind: 'Host', path, from, to, beside } as const]
}

/** The least that a file says of a thing of this kind. */
const least = {
  Tenant: () => ({ domains: [] }),
  Authority: (name: string) => ({ kind: 'root', subject: { commonName: name } }),
  Cluster: () => ({
    kubeconfig: JSON.stringify(kubeconfig),
    ingress: { address: '127.0.0.1:1' },
  }),
  Host: () => ({ clusters: ['one'], routes: [route] }),
} as const

/** A thing of its own for the change of one member, as a file says it. */
export function documentOf(changed: Changed, which: 'from' | 'to'): object {
  const { kind, path, beside = {} } = changed
  const word = path.toLowerCase().replace('.', '-')
  const name = kind === 'Host' ? `${word}.fair.test` : `m-${word}`
  const spec = structuredClone({ ...least[kind](name), ...beside })
  return {
    apiVersion: 'gatesmith.dev/v1',
    kind,
    metadata: { name, ...(kind === 'Host' ? { tenant: 'shop' } : {}) },
    spec: withMember(spec, path.split('.'), changed[which]),
  }
}

function withMember(
  spec: object,
  [first = '', ...rest]: readonly string[],
  value: unknown,
): object {
  const before: unknown = Object.entries(spec).find(([name]) => name === first)?.[1]
  const inner = typeof before === 'object' && before !== null ? before : {}
  const { [first]: _, ...others } = Object.fromEntries(Object.entries(spec))
  const next = rest.length > 0 ? withMember(inner, rest, value) : value
  return next === undefined ? others : { ...others, [first]: next }
}

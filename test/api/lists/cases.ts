import { createHash, X509Certificate } from 'node:crypto'
import type { ListOperation } from './contract.ts'
import { deep, ended, http, wild } from './stock.ts'

/** An item of any list, as far as filters look at it. */
export type Item = {
  readonly id?: string
  readonly name?: string
  readonly seq?: string
  readonly spkiSha256?: string
  readonly aliases?: readonly string[]
  readonly state?: string
  readonly role?: string
  readonly kind?: string
  readonly parent?: string | null
  readonly tenant?: string | null
  readonly retiredAt?: string | null
  readonly domains?: readonly string[]
  readonly defaultAuthority?: string | null
  readonly owner?: string | null
  readonly labels?: Readonly<Record<string, string>>
  readonly status?: unknown
  readonly secret?: { readonly namespace: string }
  readonly certificate?: { readonly authority?: string }
  readonly profile?: string
  readonly autoRenew?: boolean
  readonly replacedBy?: string | null
  readonly authority?: string
  readonly host?: string | null
  readonly dnsNames?: readonly string[]
  readonly serial?: string
  readonly fingerprintSha256?: string
  readonly pem?: string
  readonly keyAlgorithm?: string
  readonly at?: string
  readonly action?: string
  readonly requestId?: string | null
  readonly subject?: { readonly kind: string; readonly id: string; readonly name: string }
  readonly actor?: { readonly kind: string; readonly id: string | null; readonly name: string }
  readonly createdAt?: string
  readonly askedAt?: string
  readonly since?: string
  readonly notAfter?: string
  readonly endedAt?: string | null
}

/** What a list is asked for, by the names of its parameters. */
export type Query = Readonly<Record<string, string>>

/** What a filter is asked for, and what it says of an item where all of that is asked. */
export type Case = readonly [asked: string, holds: (item: Item, all: Query) => boolean]

const day = 24 * 60 * 60 * 1000
const spaced = (hex = '') => hex.match(/../g)?.join(':').toUpperCase() ?? ''
const keyOf = ({ pem = '' }: Item) =>
  createHash('sha256')
    .update(new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')

type Standing = { readonly clusters: readonly { cluster: string; status: string }[] }

function standings({ status }: Item): Standing['clusters'] {
  return (status as Standing).clusters
}

const labels: readonly Case[] = [
  ['team', ({ labels = {} }) => 'team' in labels],
  ['env=prod', ({ labels = {} }) => labels.env === 'prod'],
  ['env=prod, team=shop', ({ labels = {} }) => labels.env === 'prod' && labels.team === 'shop'],
]

/** How a thing stands on clusters: a status is that on the cluster which is asked for. */
const placed = {
  status: (words: readonly string[]): readonly Case[] => words.map((word) => [word, isPlaced]),
  cluster: ['east', 'west'].map((name): Case => [name, isPlaced]),
}

function isPlaced(item: Item, { cluster, status }: Query): boolean {
  return standings(item).some(
    (each) => each.cluster === (cluster ?? each.cluster) && each.status === (status ?? each.status),
  )
}

const hosts: readonly Item[] = (await http.get('/v1/hosts').expect(200)).body.items
const hostsOn = new Set(hosts.filter((item) => isPlaced(item, { cluster: 'east' })).map(keyOfItem))
const trail: readonly Item[] = (await http.get('/v1/audit-events?limit=500').expect(200)).body.items
const known = (item: Item | undefined): Item => {
  if (!item) throw new Error('the trail has something of everything')
  return item
}
const made = known(trail.find(({ action }) => action === 'host.created'))
const [early = made, late = made] = [
  known(trail.findLast(({ subject }) => subject?.name === 'www.one.test')),
  known(trail.find(({ subject }) => subject?.name === 'www.one.test')),
]
const ofTrail: Readonly<Record<string, readonly Case[]>> = {
  action: [['host.created', ({ action }) => action === 'host.created']],
  actor: [
    [made.actor?.name ?? '', ({ actor }) => actor?.name === made.actor?.name],
    [made.actor?.id ?? '', ({ actor }) => actor?.id === made.actor?.id],
  ],
  actorKind: ['api-key', 'system'].map((kind): Case => [kind, ({ actor }) => actor?.kind === kind]),
  requestId: [early, late].map(
    ({ requestId }): Case => [requestId ?? '', (item) => item.requestId === requestId],
  ),
  from: [[late.at ?? '', ({ at = '' }) => at >= (late.at ?? '')]],
  to: [[late.at ?? '', ({ at = '' }) => at < (late.at ?? '')]],
}

const certificates: Readonly<Record<string, readonly Case[]>> = {
  status: ['active', 'expired', 'revoked'].map(
    (word): Case => [word, ({ status }) => status === word],
  ),
  expiringWithin: [
    [
      'P30D',
      ({ status, notAfter = '' }) =>
        status === 'active' && Date.parse(notAfter) < Date.now() + 30 * day,
    ],
  ],
  notAfterFrom: [[wild.notAfter, ({ notAfter = '' }) => notAfter >= wild.notAfter]],
  notAfterTo: [[wild.notAfter, ({ notAfter = '' }) => notAfter < wild.notAfter]],
  renewal: [
    [
      'off',
      ({ status, autoRenew, replacedBy }) =>
        status === 'active' && autoRenew === false && replacedBy === null,
    ],
  ],
  profile: [['peer', ({ profile }) => profile === 'peer']],
  authority: [['issuing', ({ authority }) => authority === 'issuing']],
  host: [
    ['www.one.test', ({ host }) => host === 'www.one.test'],
    ['WWW.one.test.', ({ host }) => host === 'www.one.test'],
  ],
  cluster: [['east', ({ host }) => hostsOn.has(host ?? '')]],
  name: [
    ['C.one.test', ({ dnsNames = [] }) => dnsNames.includes('c.one.test')],
    ['*.b.one.test', ({ dnsNames = [] }) => dnsNames.some((name) => name.endsWith('.b.one.test'))],
    ['*.test', ({ dnsNames = [] }) => dnsNames.some((name) => name.endsWith('.test'))],
  ],
  dnsName: [['*.one.test', ({ dnsNames = [] }) => dnsNames.includes('*.one.test')]],
  serial: [
    [spaced(deep.serial), ({ serial }) => serial === deep.serial],
    [`0x00${ended.serial}`, ({ serial }) => serial === ended.serial],
  ],
  fingerprint: [
    [
      spaced(deep.fingerprintSha256),
      ({ fingerprintSha256: print }) => print === deep.fingerprintSha256,
    ],
  ],
  publicKey: [[keyOf(deep), (item) => keyOf(item) === keyOf(deep)]],
  keyAlgorithm: [['ECDSA_P384', ({ keyAlgorithm }) => keyAlgorithm === 'ECDSA_P384']],
  label: labels,
}

const ofHosts: Readonly<Record<string, readonly Case[]>> = {
  ...{ cluster: placed.cluster, label: labels },
  status: placed.status(['Pending', 'Applied', 'Synced', 'Failed', 'Conflict']),
  authority: [['issuing', ({ certificate }) => certificate?.authority === 'issuing']],
  name: [
    ['WWW.one.test', ({ name }) => name === 'www.one.test'],
    ['rest.one.example', ({ aliases = [] }) => aliases.includes('rest.one.example')],
    ['*.example', ({ aliases = [] }) => aliases.some((alias) => alias.endsWith('.example'))],
  ],
}

const apiKeys: Readonly<Record<string, readonly Case[]>> = {
  role: [['auditor', ({ role }) => role === 'auditor']],
  name: [['one-operator', ({ name }) => name === 'one-operator']],
}

/** What each filter of each list is asked for. */
const cases: Readonly<Record<string, Readonly<Record<string, readonly Case[]>>>> = {
  ...{ listApiKeys: apiKeys, listTenantApiKeys: apiKeys },
  ...{ listCertificates: certificates, listTenantCertificates: certificates },
  ...{ listHosts: ofHosts, listTenantHosts: ofHosts },
  listTenants: {
    domain: [['one.TEST', ({ domains = [] }) => domains.includes('one.test')]],
    authority: [['first', ({ defaultAuthority }) => defaultAuthority === 'first']],
    owner: [['the shop team', ({ owner }) => owner === 'the shop team']],
    label: labels,
  },
  listAuthorities: {
    kind: ['root', 'intermediate'].map((word): Case => [word, ({ kind }) => kind === word]),
    tenant: [['one', ({ tenant }) => tenant === 'one']],
    parent: [['first', ({ parent }) => parent === 'first']],
    retired: [
      ['true', ({ retiredAt }) => retiredAt !== null],
      ['false', ({ retiredAt }) => retiredAt === null],
    ],
  },
  listAuthorityApprovals: {
    pending: [
      ['true', ({ state }) => state === 'pending'],
      ['false', ({ state }) => state !== 'pending'],
    ],
  },
  listTenantAcmeKeys: { name: [['mail', ({ name }) => name === 'mail']] },
  listAuthorityOrders: {
    state: ['authorizing', 'failed', 'issued'].map(
      (word): Case => [word, ({ state }) => state === word],
    ),
    open: [
      ['true', ({ endedAt }) => endedAt === null],
      ['false', ({ endedAt }) => endedAt !== null],
    ],
  },
  listTenantAcmeAccounts: {
    status: ['valid', 'revoked'].map((word): Case => [word, ({ status }) => status === word]),
  },
  listBlockedKeys: {
    spkiSha256: [['b'.repeat(64), (item) => item.spkiSha256 === 'b'.repeat(64)]],
  },
  listClusters: {
    status: ['Unknown', 'Ready', 'Failed'].map(
      (word): Case => [word, ({ status }) => status === word],
    ),
  },
  listTenantDeliveries: {
    ...{ status: placed.status(['Synced', 'Failed', 'Pending']), cluster: placed.cluster },
    namespace: [['other', ({ secret }) => secret?.namespace === 'other']],
  },
  listAuditEvents: {
    ...ofTrail,
    tenant: [['two', ({ tenant }) => tenant === 'two']],
    subjectKind: [['host', ({ subject }) => subject?.kind === 'host']],
    subjectId: [[made.subject?.id ?? '', ({ subject }) => subject?.id === made.subject?.id]],
    subject: [['www.one.test', ({ subject }) => subject?.name === 'www.one.test']],
    address: [['127.0.0.1', ({ subject }) => subject?.kind === 'address']],
  },
  getTenantHostHistory: ofTrail,
}

/** What each filter of a list is asked for. Throws where the contract has one that nothing is asked of. */
export function casesOf({ id, filters }: ListOperation): ReadonlyMap<string, readonly Case[]> {
  return new Map(
    filters.map((name) => {
      const some = cases[id]?.[name]
      if (!some) throw new Error(`nothing is asked of ${name} of ${id}`)
      return [name, some]
    }),
  )
}

/** By what an item is known. */
export function keyOfItem({ id, name, seq, spkiSha256 }: Item): string {
  return id ?? name ?? seq ?? spkiSha256 ?? ''
}

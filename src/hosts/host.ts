import Type from 'typebox'
import { PlaceText } from '../clusters/cluster.ts'
import { askedMarks, shownMarks } from '../shared/lists/labels.ts'
import {
  closed,
  HostnameText,
  Id,
  KeyAlgorithm,
  Name,
  Namespace,
  Timestamp,
} from '../shared/schema.ts'
import { OnRemoval } from '../tenants/tenant.ts'
import { AskedRoute, Route } from './route.ts'

export const TlsMode = Type.Enum(['SIMPLE', 'MUTUAL', 'PASSTHROUGH'], { title: 'TlsMode' })
export type TlsMode = Type.Static<typeof TlsMode>

const TlsVersion = Type.Enum(['TLSV1_2', 'TLSV1_3'], { title: 'TlsVersion' })
const PlainHttp = Type.Enum(['serve', 'redirect', 'off'], {
  title: 'PlainHttp',
  description: 'What port 80 does for this host (redirect)',
})
const Clients = Type.Enum(['tenant', 'authority'], {
  title: 'Clients',
  description:
    'MUTUAL only. tenant: only clients whose certificate was issued to this tenant (tenant). authority: everybody who has a certificate of clientAuthority, whichever tenant it was issued to',
})
const PlainHttpWithoutClientCertificate = Type.Boolean({
  description:
    'MUTUAL with http "serve" only: port 80 serves everybody, without asking for a certificate',
})
const SecretName = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
  description: 'PASSTHROUGH only: the kubernetes.io/tls Secret for the workload to mount',
})
const Clusters = Type.Array(PlaceText, { minItems: 1, maxItems: 200, uniqueItems: true })

/** What a host may say, each field once: as it is stored and shown, complete with defaults. What a release
 *  adds is optional here, since hosts are stored that know nothing of it (test/hosts/stored.test.ts). */
const tls = {
  mode: TlsMode,
  minVersion: Type.Optional(TlsVersion),
  maxVersion: Type.Optional(TlsVersion),
  clientAuthority: Type.Optional(Name),
  clients: Type.Optional(Clients),
  plainHttpWithoutClientCertificate: Type.Optional(PlainHttpWithoutClientCertificate),
}
const Store = Type.Enum(['secret', 'configMap'], {
  title: 'CertificateStore',
  description:
    'PASSTHROUGH only: where the workload finds its certificate (secret); a ConfigMap takes privateKeyInConfigMap, too',
})
const PrivateKeyInConfigMap = Type.Boolean({
  description:
    'With store "configMap" only: the private key may lie where everybody who may read ConfigMaps of that namespace has it',
})
const Restart = closed(
  {
    deployment: Type.String({
      pattern: '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$',
      description:
        'PASSTHROUGH only: a Deployment of the workload’s namespace that is rolled out anew whenever another certificate is there',
    }),
  },
  { title: 'WorkloadRestart' },
)
const Uploaded = Type.String({
  ...Id,
  description:
    'Id of an uploaded certificate to serve, or of one whose place it took; none is issued, and nothing renews it here',
})
/** Of a host with an uploaded certificate the first three are not there. */
const certificate = {
  authority: Type.Optional(Name),
  keyAlgorithm: Type.Optional(KeyAlgorithm),
  validityDays: Type.Optional(Type.Integer({ minimum: 1, maximum: 825 })),
  uploaded: Type.Optional(Uploaded),
  organization: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  secretName: Type.Optional(SecretName),
  store: Type.Optional(Store),
  privateKeyInConfigMap: Type.Optional(PrivateKeyInConfigMap),
  restart: Type.Optional(Restart),
}
const Aliases = Type.Array(HostnameText, {
  minItems: 1,
  maxItems: 31,
  description: 'Further names, served as the host is, with one certificate for all',
})
/** Keys are of Kubernetes: a prefix that is a DNS name, and a name. */
const Annotations = Type.Record(
  Type.String({
    pattern: '^[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$',
  }),
  Type.String({ maxLength: 1024 }),
  {
    additionalProperties: false,
    maxProperties: 32,
    description: 'For the Gateway, as external-dns reads them; which ones is the operator’s choice',
  },
)
const complete = {
  annotations: Type.Optional(Annotations),
  aliases: Type.Optional(Aliases),
  onRemoval: Type.Optional(OnRemoval),
  tls: closed(tls, { title: 'HostTls' }),
  http: PlainHttp,
  certificate: closed(certificate, { title: 'HostCertificate' }),
  routes: Type.Array(Route),
  clusters: Type.Array(PlaceText, {
    maxItems: 200,
    uniqueItems: true,
    description: 'Empty once the last one was removed by force',
  }),
}

/** The same fields, none of which has to be there. */
function asked<Fields extends Type.TProperties>(title: string, fields: Fields) {
  return Type.Optional(closed(Type.Partial(Type.Object(fields)).properties, { title }))
}

/** What is asked for. What is left out is filled in by src/hosts/request/complete.ts; no `default` stands here,
 *  since filling in at the edge would hide what was said from what was not. */
export const HostSpec = closed(
  {
    aliases: Type.Optional(Type.Array(HostnameText, { maxItems: 31 })),
    annotations: Type.Optional(Annotations),
    tls: asked('HostTlsSpec', tls),
    onRemoval: Type.Optional(OnRemoval),
    http: Type.Optional(PlainHttp),
    certificate: asked('HostCertificateSpec', certificate),
    routes: Type.Array(AskedRoute, { minItems: 1, maxItems: 64 }),
    clusters: Clusters,
    ...askedMarks,
  },
  {
    title: 'HostSpec',
    examples: [
      {
        tls: { mode: 'SIMPLE' },
        routes: [
          { match: { prefix: '/' }, to: { service: 'httpbin', namespace: 'test', port: 80 } },
        ],
        clusters: ['sandbox'],
      },
    ],
  },
)
export type HostSpec = Type.Static<typeof HostSpec>

export const CompleteSpec = closed(complete)
export type CompleteSpec = Type.Static<typeof CompleteSpec>

/** Every name that a host answers for, its own first. */
export function namesOf(
  name: string,
  { aliases = [] }: Pick<CompleteSpec, 'aliases'>,
): readonly string[] {
  return [name, ...aliases]
}

/** How a host may be served on a cluster: as it was last seen to be, and as was pushed since. */
export const ServedSpecs = Type.Array(closed({ tls: complete.tls, http: complete.http }))
export type ServedSpecs = Type.Static<typeof ServedSpecs>

/** Applied: its objects are there, and the ingress has not been seen to serve it as asked. */
export const PlacementStatus = Type.Enum(['Pending', 'Applied', 'Synced', 'Failed', 'Conflict'], {
  title: 'PlacementStatus',
})
export type PlacementStatus = Type.Static<typeof PlacementStatus>

/** A Kubernetes object that carries a host. */
export const ObjectRef = closed(
  {
    kind: Type.Enum(
      [
        ...['Secret', 'ConfigMap', 'Gateway', 'VirtualService', 'DestinationRule'],
        ...['ListenerSet', 'HTTPRoute', 'TLSRoute', 'BackendTLSPolicy', 'ReferenceGrant'],
      ],
      { title: 'ObjectKind' },
    ),
    namespace: Namespace,
    name: Type.String({ maxLength: 253 }),
  },
  { title: 'ObjectRef' },
)
export type ObjectRef = Type.Static<typeof ObjectRef>

/** What is so around a host on a cluster, in the manner of Kubernetes: it says nothing of whether the host is
 *  served, which is `status`. */
export const Condition = closed(
  {
    type: Type.String({
      description: 'BackendsFound: every Service and port that routes lead to is there',
    }),
    status: Type.Enum(['True', 'False', 'Unknown'], { title: 'ConditionStatus' }),
    message: Type.Union([Type.String(), Type.Null()]),
    since: Type.Union([Timestamp, Type.Null()], {
      description: 'When the status became what it is',
    }),
  },
  { title: 'Condition' },
)
export type Condition = Type.Static<typeof Condition>

/** What others have changed of an object that carries a host. */
export const DriftView = closed(
  {
    object: ObjectRef,
    missing: Type.Boolean({ description: 'It was removed; else some of its fields were changed' }),
    fields: Type.Array(Type.String(), { description: 'Which, as spec.servers' }),
    managers: Type.Array(
      closed(
        { manager: Type.String(), at: Type.Union([Timestamp, Type.Null()]) },
        { title: 'FieldManager' },
      ),
      { description: 'Who wrote to them, as the object says it (metadata.managedFields)' },
    ),
  },
  { title: 'Drift' },
)

export const PlacementView = closed(
  {
    cluster: Name,
    ingress: Type.String({ description: 'The ingress of the cluster by which it comes in' }),
    status: PlacementStatus,
    since: Timestamp,
    message: Type.Union([Type.String(), Type.Null()]),
    warnings: Type.Array(Type.String()),
    conditions: Type.Array(Condition),
    provedAt: Type.Union([Timestamp, Type.Null()], {
      description: 'When the ingress was last seen to do all that is asked for',
    }),
    objects: Type.Array(ObjectRef),
    drift: Type.Array(DriftView, {
      description: 'What others have changed and is left so for now; message says why',
    }),
  },
  { title: 'Placement' },
)
export type PlacementView = Type.Static<typeof PlacementView>

/** Whose client certificates a MUTUAL host accepts. */
export const ClientsView = closed(
  {
    authority: Name,
    tenant: Type.Union([Name, Type.Null()], {
      description:
        'Whose clients are let in; null: everybody who has a certificate of the authority',
    }),
    subjectAltName: Type.Union([Type.String(), Type.Null()], {
      description:
        'What their certificates must bear besides; null: any certificate of the authority will do',
    }),
  },
  { title: 'HostClients' },
)

export const Host = closed(
  {
    name: HostnameText,
    tenant: Name,
    ...complete,
    ...shownMarks,
    generation: Type.Integer({ description: 'Grows with every change of what is asked for' }),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    removedAt: Type.Union([Timestamp, Type.Null()], {
      description: 'Not null: being taken off its clusters; gone when that is done',
    }),
    status: closed(
      {
        certificate: Type.Union([
          closed(
            {
              id: Id,
              serial: Type.String(),
              notBefore: Timestamp,
              notAfter: Timestamp,
              fingerprintSha256: Type.Union([Type.String(), Type.Null()]),
            },
            { title: 'CertificateInUse' },
          ),
          Type.Null(),
        ]),
        clients: Type.Union([ClientsView, Type.Null()]),
        warnings: Type.Array(Type.String(), {
          description: 'What is served as asked and may still surprise',
        }),
        clusters: Type.Array(PlacementView),
      },
      { title: 'HostStatus' },
    ),
  },
  { title: 'Host' },
)
export type Host = Type.Static<typeof Host>

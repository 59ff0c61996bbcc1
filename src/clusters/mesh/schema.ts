import Type from 'typebox'
import { closed, Name, Namespace, nullable } from '../../shared/schema.ts'

/** What istiod takes (istio.mesh.v1alpha1.MeshConfig.TLSConfig.TLSProtocol). */
const MeshTlsVersion = Type.Enum(['TLS_AUTO', 'TLSV1_2', 'TLSV1_3'], {
  title: 'MeshTlsVersion',
  description: 'TLS_AUTO is what goes where nothing is set: TLS 1.2',
})

const Setting = closed(
  {
    minProtocolVersion: nullable(
      Type.String(),
      'As it stands in the map; null: it is not set there',
    ),
    effective: Type.Enum(['TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3', 'unknown'], {
      title: 'EffectiveTlsVersion',
      description: 'What it comes to, defects of this version of Istio included',
    }),
    source: Type.Enum(['set', 'shared', 'default'], {
      title: 'MeshTlsSource',
      description:
        'set: in the map; shared: in the map that SHARED_MESH_CONFIG names; default: nowhere',
    }),
    affects: Type.String(),
    doesNotAffect: Type.String(),
  },
  { title: 'MeshTlsSetting' },
)
export type Setting = Type.Static<typeof Setting>

/** The TLS versions of a mesh, as the control plane of one revision has them. */
export const MeshTls = closed(
  {
    revision: Type.String({ description: 'default: the one without a name' }),
    configMap: closed({ namespace: Type.String(), name: Type.String() }, { title: 'ConfigMapRef' }),
    istioVersion: nullable(Type.String(), 'null: not known'),
    ingresses: Type.Array(Name, { description: 'The ingresses whose gateway pods follow it' }),
    meshMTLS: Setting,
    tlsDefaults: Setting,
    owner: nullable(
      Type.String(),
      'What else writes the map, and would undo a change: Helm, an operator, another field manager',
    ),
    warnings: Type.Array(Type.String()),
  },
  { title: 'MeshTls' },
)
export type MeshTls = Type.Static<typeof MeshTls>

/** All revisions of a cluster's mesh, and what could not be found out about them. */
export const MeshTlsList = closed(
  { revisions: Type.Array(MeshTls), warnings: Type.Array(Type.String()) },
  { title: 'MeshTlsList' },
)
export type MeshTlsList = Type.Static<typeof MeshTlsList>

const Revision = Type.String({
  pattern: '^[a-z0-9]([a-z0-9-]{0,55}[a-z0-9])?$',
  maxLength: 57,
  description: 'A revision of istiod; default is the one without a name',
})

/** Where the control plane is. */
export const MeshTlsQuery = closed({
  namespace: Type.Optional(Namespace),
  revision: Type.Optional(Revision),
})
export type MeshTlsQuery = Readonly<Type.Static<typeof MeshTlsQuery>>

const AskedSetting = Type.Optional(
  closed(
    {
      minProtocolVersion: nullable(
        MeshTlsVersion,
        'null: taken out of the map, so that the default goes',
      ),
    },
    { title: 'NewMeshTlsSetting' },
  ),
)

/** What is to be set; what is left out stays as it is. */
export const NewMeshTls = closed(
  {
    meshMTLS: AskedSetting,
    tlsDefaults: AskedSetting,
    force: Type.Optional(
      Type.Boolean({
        description:
          'Also where Helm or an operator owns the map and may undo it, and where this version of Istio misreads the value',
      }),
    ),
  },
  { title: 'NewMeshTls', examples: [{ meshMTLS: { minProtocolVersion: 'TLSV1_3' } }] },
)
export type NewMeshTls = Type.Static<typeof NewMeshTls>

export const MeshTlsChange = closed(
  {
    changed: Type.Boolean({
      description: 'Whether there was, or with dryRun would be, anything to write',
    }),
    dryRun: Type.Boolean(),
    diff: Type.String({ description: 'The lines of the map that go (-) and come (+)' }),
    meshTls: MeshTls,
  },
  { title: 'MeshTlsChange' },
)
export type MeshTlsChange = Type.Static<typeof MeshTlsChange>

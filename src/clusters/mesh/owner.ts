import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'
import type { KubeObject } from '../kubernetes/kube.ts'

const Managed = Type.Object({
  metadata: Type.Object({
    ownerReferences: Type.Optional(
      Type.Array(Type.Object({ kind: Type.String(), name: Type.String() })),
    ),
    managedFields: Type.Optional(
      Type.Array(
        Type.Object({
          manager: Type.Optional(Type.String()),
          fieldsV1: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
        }),
      ),
    ),
  }),
})

/** Hands of people, and our own: what they wrote is not written again behind anybody's back. */
const hands = /^(kubectl|gatesmith)/

/** What else writes the mesh configuration in this ConfigMap and would undo a change, in words; null where
 *  nothing says so. */
export function ownerOf(map: KubeObject): string | null {
  const { labels = {}, annotations = {} } = map.metadata
  const helm = annotations['meta.helm.sh/release-name'] ?? labels.release
  const argo =
    annotations['argocd.argoproj.io/tracking-id'] ?? labels['argocd.argoproj.io/instance']
  const flux = labels['helm.toolkit.fluxcd.io/name'] ?? labels['kustomize.toolkit.fluxcd.io/name']
  const resource = labels['install.operator.istio.io/owning-resource'] ?? 'unknown'
  const { ownerReferences = [], managedFields = [] } = conforms(Managed, map) ? map.metadata : {}
  const [controller] = ownerReferences
  const managers = managedFields
    .filter(({ fieldsV1 }) => holdsMesh(fieldsV1))
    .map(({ manager = '' }) => manager)
  const other = managers.find((manager) => !hands.test(manager))
  if (controller) return `${controller.kind} ${controller.name}`
  if (argo !== undefined) return `Argo CD (${argo})`
  if (flux !== undefined) return `Flux (${flux})`
  if (managers.includes('istio-operator') || resource !== 'unknown') {
    return resource === 'unknown' ? 'istioctl install' : `istioctl install (${resource})`
  }
  if (labels['app.kubernetes.io/managed-by'] === 'Helm' || helm !== undefined) {
    return helm === undefined ? 'Helm' : `Helm (release ${helm})`
  }
  return other === undefined ? null : `the field manager ${other}`
}

function holdsMesh(fields: Readonly<Record<string, unknown>> | undefined): boolean {
  const data = fields?.['f:data']
  return typeof data === 'object' && data !== null && 'f:mesh' in data
}

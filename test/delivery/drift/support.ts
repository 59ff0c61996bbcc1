import {
  KubeConfig,
  type KubernetesObject,
  KubernetesObjectApi,
  PatchStrategy,
} from '@kubernetes/client-node'
import type { KubeRef } from '../../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'

/** Somebody else's hands on a cluster: what they change is theirs, not ours. */
export function asManager(kubeconfig: string) {
  const config = new KubeConfig()
  config.loadFromString(kubeconfig)
  const objects = KubernetesObjectApi.makeApiClient(config)
  return {
    /** Makes an object. */
    create: async (object: KubeObject, manager = 'kubectl-create'): Promise<void> => {
      await objects.create(structuredClone(object), undefined, undefined, manager)
    },
    /** A merge patch, as kubectl and most controllers write. */
    merge: async (
      { apiVersion, kind, namespace, name }: KubeRef,
      change: object,
      manager = 'kubectl-edit',
    ): Promise<void> => {
      const body: KubernetesObject = { apiVersion, kind, metadata: { namespace, name } }
      await objects.patch(
        { ...body, ...merged(body, change) },
        undefined,
        undefined,
        manager,
        undefined,
        PatchStrategy.MergePatch,
      )
    },
  }
}

function merged(body: KubernetesObject, change: object): object {
  const metadata =
    'metadata' in change && typeof change.metadata === 'object' ? change.metadata : {}
  return { ...change, metadata: { ...body.metadata, ...metadata } }
}

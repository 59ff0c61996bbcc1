import { kinds } from '../../clusters/kubernetes/kinds.ts'
import { type Kube, KubeError, type KubeObject } from '../../clusters/kubernetes/kube.ts'

/** Which Deployment is to have taken up which certificate. */
export type Restart = {
  readonly namespace: string
  readonly deployment: string | null | undefined
  readonly serial: string
}

/** Whether a Deployment was rolled out just now, and why it cannot be. */
export type Restarted = { readonly rolledOut: boolean; readonly fault: string | null }

/** Has a Deployment rolled out anew, once for each certificate, as `kubectl rollout restart` does it: by an
 *  annotation of its pods, here the serial, so that asked again it changes nothing. To be called when the
 *  certificate is there. Throws KubeError. */
export async function restart(
  kube: Kube,
  { namespace, deployment, serial }: Restart,
): Promise<Restarted> {
  if (deployment === null || deployment === undefined) return { rolledOut: false, fault: null }
  try {
    return await rollOut(kube, { namespace, name: deployment, serial })
  } catch (error) {
    if (!(error instanceof KubeError) || !['forbidden', 'invalid'].includes(error.fault))
      throw error
    const fault = `Deployment ${namespace}/${deployment} cannot be restarted: ${error.message}`
    return { rolledOut: false, fault }
  }
}

async function rollOut(
  kube: Kube,
  { namespace, name, serial }: { namespace: string; name: string; serial: string },
): Promise<Restarted> {
  const found = await kube.get({ ...kinds.deployment, namespace, name })
  if (!found) {
    return { rolledOut: false, fault: `There is no Deployment ${namespace}/${name} to restart` }
  }
  if (serialOf(found) === serial) return { rolledOut: false, fault: null }
  const annotations = { [annotation]: serial }
  await kube.apply(
    {
      ...kinds.deployment,
      metadata: { namespace, name },
      spec: { template: { metadata: { annotations } } },
    },
    { force: true },
  )
  return { rolledOut: true, fault: null }
}

const annotation = 'gatesmith.dev/certificate'

function serialOf({ spec }: KubeObject): unknown {
  let at: unknown = spec
  for (const step of ['template', 'metadata', 'annotations', annotation]) {
    at = typeof at === 'object' && at !== null ? new Map(Object.entries(at)).get(step) : undefined
  }
  return at
}

import { rbacManifest } from '../../clusters/rights/manifest.ts'
import { featuresWith, meshNamespace } from '../../clusters/rights/table.ts'

/** What `gatesmith rbac` is asked for. */
export type RbacFlags = {
  readonly ingressNamespace?: readonly string[]
  readonly workloadNamespace?: readonly string[]
  readonly backendNamespace?: readonly string[]
  readonly restartNamespace?: readonly string[]
  readonly configMapNamespace?: readonly string[]
  readonly istioNamespace: string
  readonly revision?: readonly string[]
  readonly name?: string
  readonly namespace?: string
  readonly backendTls?: true
  readonly gatewayApi?: true
  readonly listeners?: true
  readonly meshTls?: true
  readonly token?: true
}

/** `gatesmith rbac`: prints the rights that the service needs on a cluster, as YAML to apply. */
export function printRbac(flags: RbacFlags): void {
  const { ingressNamespace: ingress = [meshNamespace], name = 'gatesmith', token = false } = flags
  const manifest = rbacManifest({
    account: { name, namespace: flags.namespace ?? ingress[0] ?? meshNamespace },
    api: flags.gatewayApi ? 'gateway-api' : 'istio',
    features: featuresWith(flags),
    places: {
      ingress,
      backendTls: flags.backendTls ? ingress : [],
      workload: flags.workloadNamespace ?? [],
      backend: flags.backendNamespace ?? [],
      restart: flags.restartNamespace ?? [],
      configMap: flags.configMapNamespace ?? [],
      mesh: [flags.istioNamespace],
      revisions: flags.revision ?? [],
    },
    token,
  })
  process.stdout.write(manifest)
}

import { createCluster } from '../../src/clusters/register.ts'
import type { Context } from '../../src/core/context.ts'
import { admin } from './context.ts'

/** A cluster `far` that never answers: nothing listens there. */
export async function openFarCluster(ctx: Context): Promise<void> {
  await createCluster(ctx, admin, {
    name: 'far',
    kubeconfig: `
apiVersion: v1
kind: Config
current-context: far
clusters: [{ name: far, cluster: { server: "https://127.0.0.1:1" } }]
contexts: [{ name: far, context: { cluster: far, user: far } }]
users: [{ name: far, user: { token: t } }]`,
    ingress: { address: '127.0.0.1:1' },
  })
}

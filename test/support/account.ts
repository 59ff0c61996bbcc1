import { after } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import Value from 'typebox/value'
import { parse, parseAllDocuments } from 'yaml'
import { kinds } from '../../src/clusters/kubernetes/kinds.ts'
import { type Kube, KubeObject } from '../../src/clusters/kubernetes/kube.ts'
import { type RbacRequest, rbacManifest } from '../../src/clusters/rights/manifest.ts'

/** Applies what `gatesmith rbac` prints for a service account in istio-system, through the hand of who may do all; it
 *  goes with the tests of the file. Answers by what a cluster is registered with exactly these rights. */
export async function openAccount(
  root: Kube,
  {
    name,
    ...request
  }: { readonly name: string } & Pick<RbacRequest, 'api' | 'features' | 'places'>,
): Promise<{ readonly token: string; readonly ca: string }> {
  const namespace = 'istio-system'
  const manifest = rbacManifest({ ...request, account: { namespace, name }, token: true })
  const objects = parseAllDocuments(manifest).map((each) => Value.Parse(KubeObject, each.toJS()))
  after(async () => {
    for (const { apiVersion, kind, metadata } of objects.toReversed()) {
      const { namespace: at = '', name: of } = metadata
      await root.remove({ apiVersion, kind, namespace: at, name: of })
    }
  })
  for (const object of objects) await root.apply(object)
  const secret = { ...kinds.secret, namespace, name: `${name}-token` }
  for (;;) {
    const { token, 'ca.crt': ca } = (await root.get(secret))?.data ?? {}
    if (token !== undefined && ca !== undefined) return { token: plain(token), ca: plain(ca) }
    await wait(200)
  }
}

/** The kubeconfig of such an account, beside that of who may do all. */
export function kubeconfigFor(
  ruler: string,
  { token, ca }: { readonly token: string; readonly ca: string },
): string {
  const server: string = parse(ruler).clusters[0].cluster.server
  const cluster = { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') }
  return JSON.stringify({
    'current-context': 'own',
    contexts: [{ name: 'own', context: { cluster: 'own', user: 'own' } }],
    clusters: [{ name: 'own', cluster }],
    users: [{ name: 'own', user: { token } }],
  })
}

function plain(base64: string): string {
  return Buffer.from(base64, 'base64').toString()
}

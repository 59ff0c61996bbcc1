import { createServer } from 'node:https'
import type { TestContext } from 'node:test'
import { TLSSocket } from 'node:tls'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import type { KubeObject } from '../../../src/clusters/kubernetes/kube.ts'
import { must } from '../../../src/shared/must.ts'
import { ofRig, type Stage } from '../stage.ts'

/** Why there is no backend that asks for a client certificate on the stage's cluster; false: there can be one. */
export function askingSkip({ cluster, admin }: Stage): string | false {
  const known = cluster === 'sandbox' || (ofRig && admin !== undefined)
  return known ? false : 'no backend on that cluster asks for a client certificate'
}

/** A Service of namespace `test` whose backend takes nobody without a client certificate, and says in
 *  `x-ssl-client-serial` which one it was shown. On the rig it is a server of this process that holds clients to
 *  `pem`, what it is served with and whom it trusts; on the sandbox its nginx, which is served with the Secret for
 *  the name that it is asked by. */
export async function openAsking(
  t: TestContext,
  { admin, names }: Stage,
  pem: { readonly pair: string; readonly ca: string },
): Promise<{ readonly service: string; readonly namespace: string; readonly port: number }> {
  const name = `asking-${must(names.off.split('.')[0], 'a name has a label')}`
  const kube = connect(must(admin, 'askingSkip says otherwise'))
  t.after(() => kube.close())
  const targetPort = ofRig ? await listen(t, pem) : 8443
  const selector = { app: ofRig ? name : 'nginx' }
  const metadata = { name, namespace: 'test' }
  const made: KubeObject[] = [
    {
      ...kinds.service,
      metadata,
      spec: { selector, ports: [{ name: 'https', port: 443, targetPort }] },
    },
  ]
  if (ofRig) {
    const entry = { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadEntry' }
    made.push({ ...entry, metadata, spec: { address, labels: selector } })
  }
  for (const object of made) {
    await kube.apply(object, { force: true })
    t.after(() => kube.remove({ apiVersion: object.apiVersion, kind: object.kind, ...metadata }))
  }
  return { service: name, namespace: 'test', port: 443 }
}

/** Where the rig's workloads are: see its manifests/workloads.yaml. */
const address = '127.0.0.2'

async function listen(
  t: TestContext,
  { pair, ca }: { readonly pair: string; readonly ca: string },
): Promise<number> {
  const server = createServer(
    { cert: pair, key: pair, ca, requestCert: true, rejectUnauthorized: true },
    ({ socket }, response) => {
      const shown = socket instanceof TLSSocket ? socket.getPeerCertificate().serialNumber : ''
      // Each request is to have a connection of its own, so that it shows what is shown now.
      response.setHeader('connection', 'close')
      response.setHeader('x-ssl-client-serial', shown.toLowerCase())
      response.end('Welcome to nginx!')
    },
  )
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const at = server.address()
  if (at === null || typeof at === 'string') throw new Error('it listens on a port')
  return at.port
}

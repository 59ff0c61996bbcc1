import { join } from 'node:path'
import { createApi } from './api.ts'
import { certify, findIdentity, kubeconfigOf } from './identity.ts'
import { listen, unlisten } from './listening.ts'
import { seed } from './seeds.ts'
import { openStore } from './store.ts'

/** A running sandbox; `kubeconfig` is the text of one. */
export type Sandbox = {
  readonly kubeconfig: string
  readonly apiUrl: string
  readonly tlsPort: number
  readonly plainPort: number
  stop(): Promise<void>
}

export type SandboxOptions = {
  readonly directory: string
  readonly host: string
  readonly apiPort: number
  readonly tlsPort: number
  readonly plainPort: number
  readonly log?: (line: string) => void
}

/** Starts the sandbox cluster. */
export async function startCluster(options: SandboxOptions): Promise<Sandbox> {
  const { directory, host, log = () => {} } = options
  const store = await openStore(join(directory))
  const identity = await findIdentity(directory)
  await seed(store)
  const names = [
    'localhost',
    'kubernetes.default.svc',
    '127.0.0.1',
    ...(host === '127.0.0.1' ? [] : [host]),
  ]
  const credential = await certify(
    { commonName: 'Gatesmith sandbox API server' },
    names,
    identity.ca,
  )
  const api = createApi({ store, identity, credential, log })
  const apiPort = await listen(api, options.apiPort, host, 'the sandbox API server')
  const apiUrl = `https://${host}:${apiPort}`
  return {
    kubeconfig: kubeconfigOf(identity, apiUrl),
    apiUrl,
    tlsPort: 0,
    plainPort: 0,
    async stop() {
      const closed = unlisten(api)
      api.closeAllConnections()
      await closed
      await store.close()
    },
  }
}

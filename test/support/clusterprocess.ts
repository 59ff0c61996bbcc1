import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startCluster } from '../../sandbox/cluster.ts'

// The sandbox cluster as a process of its own, which can be killed: its folder, then its ports for the API,
// TLS and plain HTTP. Its kubeconfig lies in the folder.

const [directory = '', ...ports] = process.argv.slice(2)
const [apiPort = 0, tlsPort = 0, plainPort = 0] = ports.map(Number)
const { kubeconfig } = await startCluster({
  ...{ directory, host: '127.0.0.1', apiPort, tlsPort, plainPort },
})
await writeFile(join(directory, 'kubeconfig'), kubeconfig, { mode: 0o600 })
process.stdout.write('the cluster is running\n')

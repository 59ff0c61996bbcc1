import { execFile } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Starts the rig: a real API server, istiod and Envoy on this machine, by `up.sh` of the folder that GATESMITH_RIG
 *  names. What it is tells the tests where it is, as they would be told of any other cluster. Answers how to
 *  stop it, which forgets it. */
export async function startRig(): Promise<() => Promise<void>> {
  const folder = process.env.GATESMITH_RIG
  if (folder === undefined) throw new Error('GATESMITH_RIG names the folder of the rig’s up.sh')
  const stop = async () => {
    await run(join(folder, 'down.sh'), ['--clean'])
  }
  await run(join(folder, 'down.sh'), ['--clean'])
  const { stdout } = await run(join(folder, 'up.sh')).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  const [admin = '', own = ''] = stdout.trim().split('\n').slice(-2)
  const home = process.env.RIG_HOME ?? join(cache(), 'gatesmith-rig')
  Object.assign(process.env, {
    GATESMITH_TEST_KUBECONFIG: own,
    GATESMITH_TEST_ADMIN_KUBECONFIG: admin,
    GATESMITH_TEST_INGRESS: '127.0.0.1:4443',
    GATESMITH_TEST_PLAIN_PORT: '4480',
    GATESMITH_TEST_ENVOY_ADMIN: '127.0.0.1:15000',
    // What only the rig has: istioctl, and kubectl for the administrator.
    GATESMITH_RIG_KUBECONFIG: own,
    KUBECONFIG: admin,
    PATH: [join(home, 'bin'), process.env.PATH].join(delimiter),
  })
  return stop
}

function cache(): string {
  return process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? '', '.cache')
}

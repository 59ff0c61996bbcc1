import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { hasCurl } from '../../support/clients.ts'
import { productEnvironment } from '../../support/process.ts'
import { ofRig, type Stage } from '../stage.ts'

const steps = ['Log in', 'Three hosts', 'opens the door', 'A renewal', 'the gateway refuses']
const later = ['What ends', 'audit trail', 'Tidy up', 'Done']

/** A new user's afternoon, by command line alone: examples/afternoon.sh as it is, from login to an audit export
 *  that verifies. */
export function afternoonCases(stage: Stage): void {
  const isRun = hasCurl && (stage.cluster === 'sandbox' || ofRig)
  const why = hasCurl ? 'this cluster is not the rig' : 'there is no curl'
  test(
    `examples/afternoon.sh on the ${stage.cluster} cluster${isRun ? '' : `: ${why}`}`,
    {
      skip: !isRun,
    },
    (t) => runs(stage, t.signal),
  )
  if (ofRig) return
  test('examples/afternoon.sh on the rig: only with GATESMITH_TEST_RIG=1', { skip: true }, () => {})
}

async function runs({ url, cluster, folder, tlsPort }: Stage, signal: AbortSignal): Promise<void> {
  const hosts = join(folder, 'mine.yaml')
  const example = await readFile('examples/mine.yaml', 'utf8')
  await writeFile(hosts, example.replaceAll('[sandbox]', `[${cluster}]`))
  const child = spawn('sh', ['examples/afternoon.sh'], {
    env: {
      ...productEnvironment(),
      ...{ STATE: folder, SERVER: url, TLS: String(tlsPort), HOSTS: hosts },
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that what it runs ends with it.
    detached: true,
  })
  const stop = () => child.pid !== undefined && child.exitCode === null && process.kill(-child.pid)
  signal.addEventListener('abort', stop)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  }
  const [code] = await once(child, 'close')
  signal.removeEventListener('abort', stop)
  assert.equal(code, 0, said)
  for (const step of [...steps, ...later]) assert.ok(said.includes(step), step)
}

import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Load, Outcome } from './load.ts'

// node bench/cfssl.ts <cfssl> [seconds = 10] [connections = 128]
// What cfssl's newcert makes over HTTP: a key and a P-256 certificate for it, by a P-256 CA, neither recorded nor audited.
// It is the mark for bench/issue.ts: run both in the same quarter of an hour. cfssl is built by
//   go install github.com/cloudflare/cfssl/cmd/cfssl@v1.6.5

const [program = 'cfssl', seconds = '10', connections = '128'] = process.argv.slice(2)
const run = promisify(execFile)
const folder = await mkdtemp(join(tmpdir(), 'gatesmith-cfssl-'))
const at = (name: string) => join(folder, name)
const key = { algo: 'ecdsa', size: 256 }
const port = 4190
try {
  await writeFile(at('ca.json'), JSON.stringify({ CN: 'bench root', key }))
  const { stdout } = await run(program, ['gencert', '-initca', at('ca.json')])
  const { cert, key: privateKey } = JSON.parse(stdout)
  await writeFile(at('ca.pem'), cert)
  await writeFile(at('ca.key'), privateKey, { mode: 0o600 })
  const policy = { expiry: '2160h', usages: ['digital signature', 'server auth'] }
  await writeFile(at('config.json'), JSON.stringify({ signing: { default: policy } }))
  const args = ['-ca', at('ca.pem'), '-ca-key', at('ca.key'), '-config', at('config.json')]
  const server = spawn(program, ['serve', '-port', String(port), '-loglevel', '5', ...args], {
    stdio: 'ignore',
  })
  try {
    const url = `http://127.0.0.1:${port}/api/v1/cfssl/newcert`
    const request = { hosts: ['www.bench.test'], CN: 'www.bench.test', key }
    const load: Load = {
      urls: [url],
      token: 'none',
      body: { request },
      connections: Number(connections),
      seconds: Number(seconds),
    }
    for (let tries = 0; tries < 500; tries++) {
      if (await fetch(url).catch(() => undefined)) break
      await delay(10)
    }
    const loaded = async (share: Partial<Load>): Promise<Outcome> => {
      const line = JSON.stringify({ ...load, ...share })
      return JSON.parse((await run(process.execPath, ['bench/load.ts', line])).stdout)
    }
    await loaded({ seconds: 2 })
    const { perSecond, p50, p99, failed } = await loaded({})
    process.stdout.write(
      `cfssl newcert: ${perSecond} certificates/s, ${connections} connections, p50 ${p50} ms, p99 ${p99} ms, ${failed} failed\n`,
    )
  } finally {
    server.kill('SIGTERM')
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

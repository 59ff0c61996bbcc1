import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Load, Outcome } from './load.ts'
import { setStage, startServer } from './stage.ts'

// npm run build && node bench/rsa.ts [seconds = 10]
// How long a P-256 certificate takes over REST while RSA-4096 keys are being made all the time.

const [seconds = 10] = process.argv.slice(2).map(Number)
const stage = await setStage()
const say = (line: string) => process.stdout.write(`${line}\n`)
try {
  const server = await startServer(stage, 4100)
  const run = async (share: Partial<Load>): Promise<Outcome> => {
    const load: Load = {
      urls: ['http://127.0.0.1:4100/v1/tenants/bench/certificates'],
      token: stage.token,
      body: { profile: 'server', dnsNames: ['www.bench.test'] },
      connections: 2,
      seconds,
      ...share,
    }
    const args = ['bench/load.ts', JSON.stringify(load)]
    return JSON.parse((await promisify(execFile)(process.execPath, args)).stdout)
  }
  await run({ seconds: 2 })
  const alone = await run({})
  const rsa = { profile: 'server', dnsNames: ['www.bench.test'], keyAlgorithm: 'RSA_4096' }
  const [beside, made] = await Promise.all([run({}), run({ body: rsa, connections: 4 })])
  say(`P-256 alone: p50 ${alone.p50} ms, p99 ${alone.p99} ms`)
  say(`P-256 beside RSA-4096: p50 ${beside.p50} ms, p99 ${beside.p99} ms`)
  say(`RSA-4096 certificates meanwhile: ${made.answered}, p50 ${made.p50} ms`)
  server.kill('SIGTERM')
} finally {
  await stage.stop()
}

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Load, Outcome } from './load.ts'
import { nativeSignatures, peakMegabytes, setStage, singleInserts, startServer } from './stage.ts'

// node bench/issue.ts [server processes = 1] [seconds = 10] [connections = 128 for each] [certificates a request = 1]
// P-256 certificates a second over REST, each recorded and audited, fsync on. Beside it what this
// machine can do at all. More than one a request: by certificates:batch.

const [processes = 1, seconds = 10, wanted = 0, each = 1] = process.argv.slice(2).map(Number)
const connections = wanted || processes * 128
const one = { profile: 'server', dnsNames: ['www.bench.test'] }
const body = each === 1 ? one : { items: Array.from({ length: each }, () => one) }
const path = each === 1 ? 'certificates' : 'certificates:batch'
const stage = await setStage()
const say = (line: string) => process.stdout.write(`${line}\n`)
try {
  say(`limit: ${nativeSignatures()} native P-256 signatures/s on one thread`)
  say(`limit: ${await singleInserts(stage.ctx.config.databaseUrl)} single inserts/s, fsync on`)
  const ports = Array.from({ length: processes }, (_, index) => 4100 + index)
  const servers = await Promise.all(ports.map((port) => startServer(stage, port)))
  const load: Load = {
    urls: ports.map((port) => `http://127.0.0.1:${port}/v1/tenants/bench/${path}`),
    token: stage.token,
    body,
    connections,
    seconds,
  }
  const run = async (share: Partial<Load>): Promise<Outcome> => {
    const args = ['bench/load.ts', JSON.stringify({ ...load, ...share })]
    return JSON.parse((await promisify(execFile)(process.execPath, args)).stdout)
  }
  await run({ seconds: 2 })
  const outcome = await run({})
  const recorded = await stage.ctx.db.read.certificate.count({ where: { status: 'active' } })
  say(
    `${outcome.perSecond * each} certificates/s over REST, ${processes} server process(es), ${connections} connections`,
  )
  say(
    `p50 ${outcome.p50} ms, p99 ${outcome.p99} ms, ${outcome.failed} failed, ${recorded} recorded in all`,
  )
  for (const server of servers) {
    say(`peak resident memory of a server process: ${await peakMegabytes(server)} MB`)
    server.kill('SIGTERM')
  }
} finally {
  await stage.stop()
}

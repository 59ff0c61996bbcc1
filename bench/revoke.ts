import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { revokeCertificate } from '../src/certificates/revocation/revoke.ts'
import { actor, issueOne, recordRevoked } from './revoked.ts'
import { setStage, singleInserts } from './stage.ts'

// node bench/revoke.ts [certificates = 500]
// What a revocation costs when 10 are revoked and when 100,000 are, first alone and then while a
// worker builds the lists that follow. Beside it the database's own insert rate.

const [certificates = 500] = process.argv.slice(2).map(Number)
const stage = await setStage()
const { ctx } = stage
const say = (line: string) => process.stdout.write(`${line}\n`)

async function measure(name: string): Promise<void> {
  const made = await Promise.all(Array.from({ length: certificates }, () => issueOne(ctx)))
  const times: number[] = []
  for (const { id } of made) {
    const begun = performance.now()
    await revokeCertificate(ctx, actor, { tenant: 'bench', id, reason: 'superseded' })
    times.push(performance.now() - begun)
  }
  times.sort((a, b) => a - b)
  const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(1)
  say(`${name}: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms`)
}

function startWorker() {
  const { environment: env } = stage
  return spawn(process.execPath, ['src/main.ts', 'worker'], { env, stdio: 'inherit' })
}

try {
  say(`limit: ${await singleInserts(ctx.config.databaseUrl)} single inserts/s, fsync on`)
  await measure('warming up')
  await ctx.db.read.certificate.updateMany({
    where: { status: 'revoked' },
    data: { status: 'active', revokedAt: null, revocationReason: null },
  })
  await recordRevoked(ctx, 10)
  await measure('10 revoked')
  await recordRevoked(ctx, 100_000, 11)
  const revoked = await ctx.db.read.certificate.count({ where: { status: 'revoked' } })
  await measure(`${revoked} revoked`)
  const worker = startWorker()
  await measure(`${revoked + certificates} revoked, a worker building lists`)
  worker.kill('SIGTERM')
  await once(worker, 'exit')
} finally {
  await stage.stop()
}

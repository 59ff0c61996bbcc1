import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

// Writes src/generated/prisma from prisma/schema.prisma; prints only what goes wrong. The command line
// wants a schema engine before it does anything, and would download one, although `generate` never
// calls it: any file that is there will do.
const prisma = fileURLToPath(import.meta.resolve('prisma/build/index.js'))
const { status, stdout, stderr } = spawnSync(process.execPath, [prisma, 'generate'], {
  env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: prisma, PRISMA_HIDE_UPDATE_MESSAGE: '1' },
  encoding: 'utf8',
})
if (status !== 0) process.stderr.write(`${stdout}${stderr}`)
process.exitCode = status ?? 1

import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runGatesmith } from './gatesmith.ts'

// What dist/gatesmith/gatesmith.mjs begins with: the command line without the service. npm run build:cli

enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'gatesmith'))
try {
  await runGatesmith()
} catch (error) {
  process.stderr.write(`gatesmith: ${error instanceof Error ? error.message : String(error)}\n`)
  if (process.env.GATESMITH_LOG_LEVEL === 'debug') throw error
  process.exitCode = 1
}

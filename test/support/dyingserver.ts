import { buildServer } from '../../src/api/server.ts'
import { issueStore } from '../../src/certificates/issuance/store.ts'
import { readConfig } from '../../src/core/config.ts'
import { openContext } from '../../src/core/context.ts'

// A server that kills itself at one step of issuing, named by GATESMITH_TEST_DIE: the process that a
// power cut leaves behind, at the moment that matters. It is `gatesmith serve` but for the wrapped store.

const config = readConfig(process.env)
const quiet = () => undefined
const ctx = openContext(config, { info: quiet, warn: quiet, error: console.error })
const { reserve, complete } = issueStore(ctx)

/** Ends this process as kill -9 does, if this is the step; nothing after it happens. */
function dieAt(step: string): Promise<void> {
  if (process.env.GATESMITH_TEST_DIE !== step) return Promise.resolve()
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => undefined)
}

const dying: ReturnType<typeof issueStore> = {
  reserve: async (row) => {
    const answer = await reserve(row)
    await dieAt('after reserve')
    return answer
  },
  complete: async (row) => {
    await dieAt('after sign')
    const answer = await complete(row)
    await dieAt('after complete')
    return answer
  },
}
Object.assign(issueStore(ctx), dying)
const api = await buildServer(ctx)
await api.listen({ host: config.host, port: config.port })

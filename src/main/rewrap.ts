import type { Config } from '../core/config.ts'
import { type Context, openContext } from '../core/context.ts'
import { rewrap, sealedTables } from '../core/sealing/rewrap.ts'
import { openLogger } from './logger.ts'

/** Wraps the data key of every sealed row by the current key, tells of the progress
 *  and at the end how many rows of which table. Throws when rows are left that do not open. */
export async function rewrapAll(ctx: Context, say: (line: string) => void): Promise<void> {
  const done = []
  for (const table of sealedTables) {
    const one = await rewrap(ctx, table, (rows) => say(`${table.name}: ${rows} so far`))
    done.push(one)
  }
  for (const failure of done.flatMap(({ failures }) => failures)) say(failure)
  const left = done.reduce((sum, { failures }) => sum + failures.length, 0)
  say(`Rewrapped ${done.map(({ rows, table }) => `${rows} of ${table}`).join(', ')}`)
  if (left > 0) {
    throw new Error(`${left} rows are left under another key; give that key as a former one`)
  }
  say('Nothing is left under another key')
}

/** `gatesmith rewrap`. */
export async function printRewrap(config: Config): Promise<void> {
  const ctx = openContext(config, openLogger('warn'))
  try {
    await rewrapAll(ctx, (line) => process.stdout.write(`${line}\n`))
  } finally {
    await ctx.db.close()
  }
}

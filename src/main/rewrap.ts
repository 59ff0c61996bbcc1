import type { Context } from '../ground/context.ts'
import { rewrap, sealedTables } from '../ground/rewrap.ts'

/** How the key encryption key is changed without an outage; `gatesmith rewrap --help` prints it. */
export const rewrapSteps = `
To change the sealing key while everything runs:
  1. give every process the new key as a former one (GATESMITH_SEALING_KEYS_FORMER), restart one by one:
     now all of them can open what the new key seals
  2. make the new key GATESMITH_SEALING_KEY and the old one a former one, restart one by one
  3. run gatesmith rewrap with the settings of step 2; it can be stopped and run again at any time
  4. when it says that nothing is left under another key, take the old key away, restart one by one
Copies of the database from before step 3 need the old key.`

/** `gatesmith rewrap`: wraps the data key of every sealed row by the current key, tells of the progress
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

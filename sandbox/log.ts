import { constants } from 'node:fs'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { join } from 'node:path'

/** A file of lines. `append` resolves once its line is on disk, in the order of the calls. */
export type Log = {
  append(line: string): Promise<void>
  close(): Promise<void>
}

type Pending = {
  readonly line: string
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

/** How many lines more than it needs a log may have, besides four for each of those. */
const spareLines = 20_000

/** Begins the log anew with the lines that say all there is, and again whenever it is mostly obsolete:
 *  beside the old one, which is then replaced. Lines that come while others are being written are written
 *  together. */
export async function openLog(path: string, whole: () => readonly string[]): Promise<Log> {
  let { file, limit } = await begin(path, whole())
  let lines = 0
  let pending: Pending[] = []
  let flushing: Promise<void> | undefined

  async function write(text: readonly string[]): Promise<void> {
    if (lines > limit) {
      const obsolete = file
      ;({ file, limit } = await begin(path, whole()))
      lines = 0
      await obsolete.close()
    }
    await file.write(text.map((line) => `${line}\n`).join(''))
    await file.datasync()
    lines += text.length
  }

  async function flush(): Promise<void> {
    while (pending.length > 0) {
      const batch = pending
      pending = []
      try {
        await write(batch.map(({ line }) => line))
        for (const { done } of batch) done()
      } catch (error) {
        // Half a line may stand there now: the next write begins with a fresh log.
        lines = Number.POSITIVE_INFINITY
        for (const { failed } of batch) failed(error)
      }
    }
    flushing = undefined
  }

  return {
    append: (line) =>
      new Promise((resolve, reject) => {
        pending.push({ line, done: resolve, failed: reject })
        flushing ??= flush()
      }),
    async close() {
      await flushing
      await file.close()
    },
  }
}

/** A log with these lines, and how many more make it mostly obsolete. */
async function begin(path: string, lines: readonly string[]) {
  return { file: await rewrite(path, lines), limit: spareLines + 4 * lines.length }
}

async function rewrite(path: string, lines: readonly string[]): Promise<FileHandle> {
  const fresh = await open(`${path}.new`, 'w', 0o600)
  await fresh.writeFile(`${lines.join('\n')}\n`)
  await fresh.sync()
  await rename(`${path}.new`, path)
  const folder = await open(join(path, '..'), constants.O_RDONLY)
  await folder.sync()
  await folder.close()
  return fresh
}

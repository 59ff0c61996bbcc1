import { rename, writeFile } from 'node:fs/promises'

/** Writes a file whole or not at all, whenever this process ends, and for this user alone. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

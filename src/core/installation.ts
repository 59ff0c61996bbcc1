import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The folder that Gatesmith is installed in: that of package.json, from wherever this module was built to. */
export const installation = folderOf(import.meta.dirname)

function folderOf(folder: string): string {
  const parent = dirname(folder)
  return existsSync(join(folder, 'package.json')) || parent === folder ? folder : folderOf(parent)
}

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Runs openssl in a folder of its own that first gets `files`; answers what it printed. A failure
 *  throws with what it complained about. */
export function openssl(
  args: readonly string[],
  files: Readonly<Record<string, string | Buffer>> = {},
): string {
  const folder = mkdtempSync(join(tmpdir(), 'gatesmith-openssl-'))
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
    return execFileSync('openssl', [...args], { cwd: folder, encoding: 'utf8', stdio: 'pipe' })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

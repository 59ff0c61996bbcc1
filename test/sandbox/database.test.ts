import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Client } from 'pg'
import { startDatabase } from '../../sandbox/postgres/database.ts'

async function ask(url: string, sql: string): Promise<unknown> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows[0]?.[0]
  } finally {
    await client.end()
  }
}

/** A child that starts the database in `directory` and stays; resolves with its URL. */
function holder(directory: string): Promise<{ child: ChildProcess; url: string }> {
  const module = new URL('../../sandbox/postgres/database.ts', import.meta.url).href
  const code = `import { startDatabase } from ${JSON.stringify(module)}
    const { url } = await startDatabase({ directory: process.argv[1], port: 0 })
    console.log(url)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    child.stdout.once('data', (chunk) => resolve({ child, url: String(chunk).trim() }))
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)))
  })
}

describe('the embedded database', () => {
  let parent = ''
  let directory = ''

  before(async () => {
    parent = await mkdtemp(join(tmpdir(), 'gatesmith-database-'))
    await chmod(parent, 0o700)
    directory = join(parent, 'postgres')
  })
  after(() => rm(parent, { recursive: true, force: true }))

  test('is a PostgreSQL 18 with fsync on that keeps its rows over a restart', async () => {
    const first = await startDatabase({ directory, port: 0 })
    assert.match(String(await ask(first.url, 'show server_version')), /^18\./)
    assert.equal(await ask(first.url, 'show fsync'), 'on')
    assert.equal(await ask(first.url, 'show listen_addresses'), '127.0.0.1')
    assert.equal(await ask(first.url, 'show server_encoding'), 'UTF8')
    await ask(first.url, 'create table kept as select 7 as n')
    await first.stop()
    await first.stop()
    const second = await startDatabase({ directory, port: 0 })
    assert.equal(await ask(second.url, 'select n from kept'), 7)
    await second.stop()
  })

  test('keeps its password to its owner and refuses any other', async () => {
    const database = await startDatabase({ directory, port: 0 })
    assert.equal((await stat(join(directory, 'password'))).mode & 0o777, 0o600)
    const wrong = new URL(database.url)
    wrong.password = 'wrong'
    await assert.rejects(ask(wrong.href, 'select 1'), { code: '28P01' })
    await database.stop()
  })

  test('says in one sentence that a live process uses the directory, and leaves that one alone', async () => {
    const { child, url } = await holder(directory)
    await assert.rejects(
      startDatabase({ directory, port: 0 }),
      /in use by another running instance/,
    )
    assert.equal(await ask(url, 'select 1'), 1)
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  })

  test('starts again at once after its owner was killed', async () => {
    const { child, url } = await holder(directory)
    await ask(url, 'create table kept_too as select 8 as n')
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
    const database = await startDatabase({ directory, port: 0 })
    assert.equal(await ask(database.url, 'select n from kept_too'), 8)
    await database.stop()
  })

  test('stops a server that outlived its killed owner', {
    skip: process.platform === 'linux' ? false : 'finds the watcher in /proc',
  }, async () => {
    const { child, url } = await holder(directory)
    for (const pid of await readdir('/proc')) {
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '')
      if (line.startsWith('/bin/sh') && cwd === join(directory, 'data')) {
        process.kill(Number(pid), 'SIGKILL')
      }
    }
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
    assert.equal(await ask(url, 'select 1'), 1)
    const database = await startDatabase({ directory, port: 0 })
    await assert.rejects(ask(url, 'select 1'))
    assert.equal(await ask(database.url, 'select 1'), 1)
    await database.stop()
  })

  test('recovers when the server itself was killed', async () => {
    const database = await startDatabase({ directory, port: 0 })
    const pid = Number(
      (await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8')).split('\n')[0],
    )
    process.kill(pid, 'SIGKILL')
    await database.stop()
    const next = await startDatabase({ directory, port: 0 })
    assert.equal(await ask(next.url, 'select 1'), 1)
    await next.stop()
  })

  test('says in one sentence that the port is taken', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    assert.ok(address && typeof address === 'object')
    await assert.rejects(
      startDatabase({ directory, port: address.port }),
      new RegExp(`Port ${address.port} on 127.0.0.1 is already in use`),
    )
    server.close()
  })
})

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createAuthority } from '../../src/authorities/create.ts'
import { admin, openTestContext } from '../support/context.ts'
import {
  adminKey,
  interrupt,
  openFolder,
  type Running,
  settingsFor,
  startProcess,
  untilReady,
} from '../support/process.ts'

// The sealing key moves from a setting into what stands for a KMS: a script that prints what is in a file.

const ctx = await openTestContext()
await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject: { commonName: 'Root' } })
const old = ctx.config.sealingKey.toString('base64')
const fresh = randomBytes(32)
const kept = join(await openFolder(), 'kept')
await writeFile(kept, fresh)

const script =
  'process.stdout.write(require("fs").readFileSync(process.argv[1])); console.error("unwrapped")'
const kms = JSON.stringify([process.execPath, '-e', script, kept])
const moved = { GATESMITH_SEALING_KEY_COMMAND: kms }

type Settings = Readonly<Record<string, string>>
const started: Running[] = []

/** The settings of a process without a key; each has a port of its own. */
async function withoutKey(): Promise<Settings> {
  const { GATESMITH_SEALING_KEY: _, ...settings } = await settingsFor(ctx.config.databaseUrl)
  return settings
}

async function startServer(more: Settings) {
  const settings = { ...(await withoutKey()), ...more }
  const server = startProcess(['serve'], settings)
  started.push(server)
  const url = await untilReady(server, settings)
  const create = async (token: string, body: object) => {
    const answer = await fetch(`${url}/v1/authorities`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    assert.equal(answer.status, 201, await answer.text())
  }
  return { server, create }
}

const below = (parent: string, name: string) => ({
  name,
  kind: 'intermediate',
  parent,
  subject: { commonName: name },
})

test('a sealing key moves to a KMS while servers run, and then that alone opens everything', async () => {
  const token = await adminKey({ ...(await withoutKey()), GATESMITH_SEALING_KEY: old })
  // 1. All can open what the new key will seal.
  const first = await startServer({
    GATESMITH_SEALING_KEY: old,
    GATESMITH_SEALING_KEYS_FORMER_COMMAND: kms,
  })
  // 2. One after the other seals by it; those of before open that.
  const second = { ...moved, GATESMITH_SEALING_KEYS_FORMER: old }
  const replica = await startServer(second)
  const root = { name: 'second-root', kind: 'root', subject: { commonName: 'Second root' } }
  await replica.create(token, root)
  await first.create(token, below('second-root', 'of-the-new-key'))
  await replica.create(token, below('root', 'of-the-old-key'))
  // 3. Everything is wrapped by it.
  const rewrap = startProcess(['rewrap'], { ...(await withoutKey()), ...second })
  started.push(rewrap)
  assert.equal(await rewrap.ended, 0, rewrap.said.err)
  assert.match(rewrap.said.out, /\nNothing is left under another key\n$/)
  // 4. The old key is gone.
  const last = await startServer(moved)
  await last.create(token, below('root', 'of-the-root'))
  await last.create(token, below('second-root', 'of-it'))
  for (const { server } of [first, replica, last]) assert.equal(await interrupt(server), 0)
  for (const { said } of started) {
    for (const secret of [fresh.toString('base64'), fresh.toString('hex'), old]) {
      assert.ok(!`${said.out}${said.err}`.includes(secret))
    }
  }
})

test('a KMS that is away, or another key, keeps whatever would use it from beginning, in one sentence', async () => {
  const refusals = async (more: Settings, commands: readonly string[]) => {
    const settings = { ...(await withoutKey()), ...more }
    const all = commands.map((command) => startProcess([command], settings))
    for (const { ended, said } of all) {
      assert.equal(await ended, 1, said.out)
      assert.match(said.err, /^gatesmith: .+\n$/)
    }
    return [...new Set(all.map(({ said }) => said.err))].join('')
  }
  const every = ['serve', 'worker', 'migrate', 'admin-key', 'rewrap']
  const away = JSON.stringify([
    process.execPath,
    '-e',
    'console.error("connect ECONNREFUSED 192.0.2.1:443"); process.exit(2)',
  ])
  assert.equal(
    await refusals({ GATESMITH_SEALING_KEY_COMMAND: away }, every),
    `gatesmith: GATESMITH_SEALING_KEY_COMMAND: ${JSON.stringify(process.execPath)} ended with 2, and said: connect ECONNREFUSED 192.0.2.1:443\n`,
  )
  await writeFile(kept, randomBytes(32))
  assert.match(
    await refusals(moved, ['serve', 'worker']),
    /^gatesmith: The sealing key is another one than that which the database is sealed under \(/,
  )
  await rm(kept)
  assert.match(await refusals(moved, ['serve']), /ended with 1, and said: .*ENOENT/)
})

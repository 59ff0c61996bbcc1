import assert from 'node:assert/strict'
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { openTestDatabase } from '../support/context.ts'
import {
  adminKey,
  freePorts,
  interrupt,
  openFolder,
  productEnvironment,
  settingsFor,
  startProcess,
  until,
  untilReady,
} from '../support/process.ts'
import { httpOf, makeShop } from './stage.ts'

// The last release beside this one on one database, brought to this one's schema: as it is while pods are replaced, and
// after a release was rolled back by its image. GATESMITH_TEST_RELEASE names another commit than the newest tag.

const run = promisify(execFile)

/** The release that is run beside this one: the newest tag that is not of this very commit. */
function lastRelease(): string | undefined {
  const { GATESMITH_TEST_RELEASE: told } = process.env
  if (told !== undefined) return told
  const tags = ['tag', '--list', 'v*', '--sort=-v:refname', '--no-contains', 'HEAD']
  const { status, stdout } = spawnSync('git', tags, { encoding: 'utf8' })
  return status === 0 ? stdout.split('\n').find((tag) => tag !== '') : undefined
}

const release = lastRelease()
const skip = release === undefined && 'there is no release before this one: no tag v… in git'
const note = skip ? ` (skipped: ${skip})` : ` (${release})`

test(`the last release works beside this one, and after it${note}`, { skip }, async () => {
  if (release === undefined) throw new Error('skipped')
  const former = await installed(release)
  const settings = await settingsFor(await openTestDatabase('template0'))
  const [port = 0] = await freePorts(1)
  const others = { ...settings, GATESMITH_PORT: String(port) }

  // What was there before is migrated while its processes run.
  const old = ['serve', 'worker'].map((command) => startProcess([command], others, former))
  const [oldServer] = old
  assert.ok(oldServer)
  const oldUrl = await untilReady(oldServer, others)
  const token = await adminKey(others, former)
  const before = httpOf(oldUrl, token)
  await makeShop(before)
  const migrated = startProcess(['migrate'], settings)
  assert.equal(await migrated.ended, 0, migrated.said.err)

  const now = ['serve', 'worker'].map((command) => startProcess([command], settings))
  const [nowServer] = now
  assert.ok(nowServer)
  const after = httpOf(await untilReady(nowServer, settings), token)
  const certificates = '/v1/tenants/shop/certificates'
  const order = async (http: typeof before, name: string) =>
    (
      await http
        .post(certificates)
        .send({ profile: 'server', dnsNames: [`${name}.shop.test`] })
        .expect(201)
    ).body
  const made = await Promise.all(
    Array.from({ length: 20 }, (_, i) => order(i % 2 ? before : after, `n${i}`)),
  )
  for (const { id, pem } of made) {
    for (const http of [before, after]) {
      assert.equal((await http.get(`${certificates}/${id}`).expect(200)).body.pem, pem)
    }
  }
  const revoke = async (http: typeof before, { id, serial }: { id: string; serial: string }) => {
    await http.post(`${certificates}/${id}/revoke`).send({ reason: 'superseded' }).expect(200)
    await until('the list has it', async () => {
      const list = Buffer.from(await (await fetch(`${oldUrl}/pki/ca/crl`)).arrayBuffer())
      return list.includes(Buffer.from(serial, 'hex')) || undefined
    })
  }
  await revoke(before, made[0])
  await revoke(after, made[1])

  // Rolled back: the former one goes on alone, on what it finds.
  for (const running of now) assert.equal(await interrupt(running), 0, running.said.err)
  await revoke(before, await order(before, 'back'))
  const { body } = await before.get('/v1/audit-events/verify').expect(200)
  assert.equal(body.valid, true)
  for (const running of old) assert.equal(await interrupt(running), 0, running.said.err)
})

/** That commit with what it needs, in a folder of its own. Answers its entry. */
async function installed(commit: string): Promise<string> {
  const folder = await openFolder()
  const archive = join(folder, 'source.tar')
  execFileSync('git', ['archive', '--output', archive, commit])
  await run('tar', ['-xf', archive, '-C', folder])
  // Scripts of ours find npm's programs by the PATH that npm gives them.
  const options = { cwd: folder, env: productEnvironment() }
  await run('npm', ['ci', '--no-audit', '--no-fund'], options)
  await run('npm', ['run', '--silent', 'generate'], options)
  return join(folder, 'src/main.ts')
}

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { installedPostgres, openInstalledPostgres } from '../support/installed.ts'
import {
  adminKey,
  kill,
  openFolder,
  type Running,
  settingsFor,
  startProcess,
  until,
  untilReady,
} from '../support/process.ts'
import { type Http, httpOf, makeShop } from './stage.ts'

// The drill of docs/deploying.md: a copy is made while certificates are issued, everything is lost, and what was there
// before the copy began is there again.

const run = promisify(execFile)
const bin = installedPostgres()
const skip = bin === undefined && 'no PostgreSQL of this machine’s own: pg_config is not on PATH'
const note = skip ? ` (skipped: ${skip})` : ''

const certificates = '/v1/tenants/shop/certificates'

test(`a copy made while it serves brings everything back${note}`, { skip }, async (t) => {
  if (bin === undefined) throw new Error('skipped')
  const server = await openInstalledPostgres(bin)
  const program = (name: string, args: readonly string[]) =>
    run(join(bin, name), [...args, '-h', server.hostname, '-p', server.port, '-U', server.username])
  const at = (database: string) => Object.assign(new URL(server), { pathname: `/${database}` }).href
  await program('createdb', ['first'])
  const settings = await settingsFor(at('first'))
  const migrated = startProcess(['migrate'], settings)
  assert.equal(await migrated.ended, 0, migrated.said.err)
  const token = await adminKey(settings)
  const first = await openService(settings, token)
  await makeShop(first.http)

  const issued: { id: string; pem: string }[] = []
  let over = false
  const lane = async () => {
    while (!over) {
      const order = { profile: 'server', dnsNames: [`n${issued.length}.shop.test`] }
      const { body } = await first.http.post(certificates).send(order).expect(201)
      issued.push(body)
    }
  }
  const lanes = Promise.all(Array.from({ length: 4 }, lane))
  await until('some certificates', () => (issued.length >= 20 ? true : undefined))
  const [revoked] = issued
  assert.ok(revoked)
  await first.http
    .post(`${certificates}/${revoked.id}/revoke`)
    .send({ reason: 'superseded' })
    .expect(200)

  const before = [...issued]
  const copy = join(await openFolder(), 'gatesmith.dump')
  await program('pg_dump', ['--format=custom', '--file', copy, 'first'])
  await until('more after it', () => (issued.length > before.length + 4 ? true : undefined))
  over = true
  await lanes
  await Promise.all(first.running.map(kill))
  await program('dropdb', ['--force', 'first'])

  await program('createdb', ['second'])
  await program('pg_restore', ['--exit-on-error', '--dbname', 'second', copy])
  const again = { ...settings, DATABASE_URL: at('second') }
  // The key of before the copy still opens the door.
  const second = await openService(again, token)
  for (const { id, pem } of before) {
    const { body } = await second.http.get(`${certificates}/${id}`).expect(200)
    assert.equal(body.pem, pem)
    assert.equal(body.status, id === revoked.id ? 'revoked' : 'active')
  }
  t.diagnostic(
    `${before.length} of ${issued.length} certificates were issued before the copy began`,
  )
  // Secrets open, keys sign, jobs run, and nothing is missing from the audit trail.
  await second.http.get(`${certificates}/${before[1]?.id}/bundle?format=pem`).expect(200)
  await second.http
    .post(certificates)
    .send({ profile: 'server', dnsNames: ['new.shop.test'] })
    .expect(201)
  await until('a worker', async () => {
    const { body } = await second.http.get('/readyz')
    return body.checks.workers.status === 'ok' || undefined
  })
  await until('the list', async () => {
    const list = await second.http.get('/pki/ca/crl')
    return list.status === 200 || undefined
  })
  const { body: audit } = await second.http.get('/v1/audit-events/verify').expect(200)
  assert.equal(audit.valid, true)
})

type Settings = Readonly<Record<string, string>>

/** A server and a worker. */
async function openService(
  settings: Settings,
  token: string,
): Promise<{ http: Http; running: readonly Running[] }> {
  const running = ['serve', 'worker'].map((command) => startProcess([command], settings))
  const [server] = running
  assert.ok(server)
  return { http: httpOf(await untilReady(server, settings), token), running }
}

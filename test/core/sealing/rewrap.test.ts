import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { createAuthority } from '../../../src/authorities/create.ts'
import { openSigner } from '../../../src/authorities/keys/signer.ts'
import { issueCertificate } from '../../../src/certificates/issuance/issue.ts'
import { openLeafKey } from '../../../src/certificates/issuance/key.ts'
import { type Context, openContext } from '../../../src/core/context.ts'
import { rewrap, sealedTables } from '../../../src/core/sealing/rewrap.ts'
import { rewrapAll } from '../../../src/main/rewrap.ts'
import { createTenant } from '../../../src/tenants/write.ts'
import { admin, openTestDatabase, testConfig } from '../../support/context.ts'

const url = await openTestDatabase()
const [old, fresh] = [randomBytes(32), randomBytes(32)]
const quiet = { info: () => undefined, warn: () => undefined, error: console.error }

function contextWith(sealingKey: Buffer, formerSealingKeys: readonly Buffer[] = []): Context {
  const ctx = openContext({ ...testConfig(url), sealingKey, formerSealingKeys }, quiet)
  after(() => ctx.db.close())
  return ctx
}

const before = contextWith(old)
await createAuthority(before, admin, { name: 'root', kind: 'root', subject: { commonName: 'R' } })
await createTenant(before, admin, {
  name: 'example',
  domains: ['example.com'],
  defaultAuthority: 'root',
})

const issue = (ctx: Context) =>
  issueCertificate(ctx, admin, {
    tenant: 'example',
    request: { profile: 'server', dnsNames: ['a.example.com'] },
    idempotencyKey: undefined,
  })

const issued = await Promise.all(Array.from({ length: 30 }, () => issue(before)))
const keyOf = (ctx: Context, id: string) => openLeafKey(ctx, id)
const keys = await Promise.all(issued.map(({ id }) => keyOf(before, id)))

test('every table with something sealed is on the list', () => {
  const schema = readFileSync(new URL('../../../prisma/schema.prisma', import.meta.url), 'utf8')
  const models = schema.split(/^model /m).slice(1)
  const sealed = models.filter((model) => /^ {2}sealed +Bytes/m.test(model))
  const names = sealed.map((model) => /@@map\("(\w+)"\)/.exec(model)?.[1] ?? '')
  assert.deepEqual(names.sort(), sealedTables.map(({ name }) => name).sort())
})

test('what is sealed under a key that is not given is refused by that key’s name, not by its value', async () => {
  const ctx = contextWith(fresh)
  const [first] = issued
  assert.ok(first)
  await assert.rejects(keyOf(ctx, first.id), (error: unknown) => {
    assert.ok(error instanceof Error)
    assert.match(error.message, /certificate_secret\/\S+ is sealed under the key [0-9a-f]{16},/)
    assert.doesNotMatch(error.message, new RegExp(old.toString('hex')))
    return true
  })
  const said: string[] = []
  await assert.rejects(
    rewrapAll(ctx, (line) => said.push(line)),
    /31 rows are left under another/,
  )
  assert.ok(
    said.includes(
      'Rewrapped 0 of authority_secret, 0 of responder_secret, 0 of certificate_secret, 0 of cluster_credential, 0 of receiver_secret, 0 of acme_key_secret, 0 of ca_account_secret, 0 of ca_order_secret, 0 of audit_log_key, 0 of idempotency_key',
    ),
    said.at(-1),
  )
})

test('after a rewrap the new key alone opens everything, and no secret was sealed anew', async () => {
  const running = contextWith(fresh, [old])
  const [first] = issued
  assert.ok(first)
  assert.deepEqual(await keyOf(running, first.id), keys[0])
  // Issued under the new key before the rewrap, and while it runs.
  const early = await issue(running)
  const table = sealedTables.find(({ name }) => name === 'certificate_secret')
  assert.ok(table)
  const secretsBefore = await ciphertexts(running)
  const [counted, together] = await Promise.all([
    rewrap(running, table, () => undefined),
    rewrap(running, table, () => undefined),
    issue(running),
  ])
  // Two at once: each row was replaced by one of them.
  assert.equal(counted.rows + together.rows, 30)
  const said: string[] = []
  await rewrapAll(running, (line) => said.push(line))
  assert.ok(said.at(-2)?.startsWith('Rewrapped 1 of authority_secret, '))
  assert.equal(said.at(-1), 'Nothing is left under another key')
  const secretsAfter = await ciphertexts(running)
  for (const [id, ciphertext] of secretsBefore) assert.equal(secretsAfter.get(id), ciphertext)
  const alone = contextWith(fresh)
  const opened = await Promise.all(issued.map(({ id }) => keyOf(alone, id)))
  assert.deepEqual(opened, keys)
  await keyOf(alone, early.id)
  const { id } = await alone.db.read.authorityKey.findFirstOrThrow()
  await openSigner(alone, id)
  await issue(alone)
})

test('a rewrapped row moved to another row does not open, nor does one with a bit flipped', async () => {
  const ctx = contextWith(fresh)
  const [one, other] = await ctx.db.read.certificateSecret.findMany({ take: 2 })
  assert.ok(one && other)
  const binding = `certificate_secret/${one.certificateId}`
  assert.throws(() => ctx.seal.open(binding, Buffer.from(other.sealed)))
  assert.throws(() => ctx.seal.rewrap(binding, Buffer.from(other.sealed)))
  const sealed = Buffer.from(one.sealed)
  ctx.seal.open(binding, sealed)
  for (let octet = 0; octet < sealed.length; octet++) {
    const flipped = Buffer.from(sealed)
    flipped[octet] = (flipped[octet] ?? 0) ^ 1
    assert.throws(() => ctx.seal.open(binding, flipped), `octet ${octet}`)
  }
})

/** The secrets' own ciphertext, behind the wrapped data key. */
async function ciphertexts(ctx: Context): Promise<ReadonlyMap<string, string>> {
  const rows = await ctx.db.read.certificateSecret.findMany()
  return new Map(
    rows.map(({ certificateId, sealed }) => [
      certificateId,
      Buffer.from(sealed).subarray(69).toString('hex'),
    ]),
  )
}

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createTenant } from '../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../support/api.ts'
import { openCommandLine } from '../support/commandline.ts'
import { admin } from '../support/context.ts'
import { openFolder } from '../support/process.ts'

const { ctx, url } = await openTestApi()
await createTenant(ctx, admin, { name: 'shop', domains: ['shop.test'] })
const gatesmith = openCommandLine(join(await openFolder(), 'config.json'))
const token = await tokenFor(ctx, 'shop', 'operator')

async function done(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await gatesmith(args, { input: `${token}\n` })
  assert.equal(code, 0, err)
  return out
}

test('a key of ACME is made, shown without what clients sign with, and removed', async () => {
  await done('login', url, '--token-file', '-', '--tenant', 'shop')
  const made = await done('acme-key', 'web', '--within', 'www.shop.test', '--challenges')
  const [, kid = '', hmac = ''] = /\nkid: {2}(\S+)\nhmac: (\S{43})\n/.exec(made) ?? []
  assert.ok(hmac)
  const listed = await done('get', 'acme-keys')
  assert.match(listed, /web +- +www\.shop\.test +no/)
  assert.ok(!listed.includes(hmac))
  await done('get', `acme-key/${kid}`, '-o', 'json')
  await done('delete', `acme-key/${kid}`)
  assert.doesNotMatch(await done('get', 'acme-keys'), /web/)
  assert.doesNotMatch(await done('get', 'acme-accounts'), /web/)
})

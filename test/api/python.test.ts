import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { createAuthority } from '../../src/authorities/create.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { openTestApi, tokenFor } from '../support/api.ts'
import { admin } from '../support/context.ts'

// examples/python, as it is.

const python = spawnSync('python3', ['--version']).status === 0
const skip = python ? false : 'python3 is not on PATH'
const note = skip ? ` (skipped: ${skip})` : ''

const { ctx, url, http } = await openTestApi()
await createAuthority(ctx, admin, { name: 'ca', kind: 'root', subject: { commonName: 'ca' } })
const tenant = { name: 'shop', domains: ['shop.test'], defaultAuthority: 'ca' }
await createTenant(ctx, admin, { ...tenant, namespaces: ['test'] })
const certificates = '/v1/tenants/shop/certificates'
const order = async (name: string, more: object = {}) => {
  const asked = { profile: 'server', dnsNames: [`${name}.shop.test`], validityDays: 9, ...more }
  return (await http.post(certificates).send(asked).expect(201)).body
}

/** What a program prints, and its exit code. */
async function run(args: readonly string[], token: string) {
  const env = {
    ...process.env,
    ...{ GATESMITH_URL: url, GATESMITH_TOKEN: token, PYTHONDONTWRITEBYTECODE: '1' },
    PYTHONPATH: 'examples/python',
  }
  return promisify(execFile)('python3', [...args], { env }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout: String(stdout), stderr: String(stderr) }),
  )
}

test(`a program in Python renews what ends, page by page${note}`, { skip }, async () => {
  // More than a page of them.
  const names = Array.from({ length: 103 }, (_, i) => `n${i}`)
  for (const name of names) await order(name)
  await order('own', { autoRenew: true })
  await order('late', { validityDays: 60 })
  const program = ['examples/python/expiring.py', '30']
  const { code, stdout, stderr } = await run(program, await tokenFor(ctx, null))
  assert.equal(code, 0, stderr)
  const lines = stdout.trim().split('\n')
  assert.equal(lines.length, 104)
  for (const name of names) {
    assert.equal(
      lines.filter((line) => line.includes(`  ${name}.shop.test  renewed until `)).length,
      1,
    )
  }
  assert.match(stdout, / {2}own\.shop\.test {2}renews by itself\n/)
  const again = await run(program, await tokenFor(ctx, null, 'viewer'))
  assert.equal(again.stdout.match(/ {2}renewed until /), null)
})

test(`a refusal is a Problem with the word to branch on, and a wrong name is said before it is sent${note}`, {
  skip,
}, async () => {
  const asked = `
import os
from gatesmith import Gatesmith, Problem
api = Gatesmith(os.environ["GATESMITH_URL"], os.environ["GATESMITH_TOKEN"])
try:
    api.call("getTenant", tenant="nobody")
except Problem as problem:
    print(problem.status, problem.type)
for wrong in ({"tenants": "shop"}, {}):
    try:
        api.call("getTenant", **wrong)
    except TypeError as error:
        print(error)
made = api.call("createTenantCertificate", {"profile": "client", "dnsNames": ["a.shop.test"]}, tenant="shop", dryRun=True)
print(made["profile"], made["dnsNames"])
`
  const { code, stdout, stderr } = await run(['-c', asked], await tokenFor(ctx, null))
  assert.equal(code, 0, stderr)
  assert.equal(
    stdout,
    `404 tenant-unknown
getTenant has no parameter tenants
getTenant needs /v1/tenants/{tenant}
client ['a.shop.test']
`,
  )
})

import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import { Command } from 'commander'
import { parseAllDocuments } from 'yaml'
import { addClientCommands, runProgram } from '../../src/cli/program.ts'
import { openTestApi, tokenFor } from '../support/api.ts'
import { openFolder, startProcess } from '../support/process.ts'

// The command line against a server of this process; it is run here, where what it prints is caught.

const { ctx, url } = await openTestApi()
const folder = await openFolder()
const config = join(folder, 'kept', 'config.json')
const token = await tokenFor(ctx, null)
const schemaPath = 'openapi/files.schema.json'
const tokenFile = join(folder, 'token')
await writeFile(tokenFile, `${token}\n`)

async function gatesmith(args: readonly string[], more: { input?: string; env?: object } = {}) {
  const said = { out: '', err: '' }
  const io = {
    out: { write: (text: string) => (said.out += text) },
    err: { write: (text: string) => (said.err += text) },
    input: (async function* () {
      yield more.input ?? ''
    })(),
    env: { GATESMITH_CONFIG: config, ...more.env },
    terminal: false,
    signal: new AbortController().signal,
  }
  const program = new Command('gatesmith')
  const outcome = addClientCommands(program, io)
  const code = await runProgram(program, args, io, outcome)
  return { code, ...said }
}

async function done(args: readonly string[], input?: string): Promise<string> {
  const { code, out, err } = await gatesmith(args, input === undefined ? {} : { input })
  assert.equal(code, 0, err)
  return out
}

const house = `
apiVersion: gatesmith.dev/v1
kind: Host
metadata: { name: www.fair.test, tenant: shop, labels: { app: fair } }
spec:
  clusters: [one]
  routes: [{ to: { service: web, namespace: test, port: 80 } }]
---
apiVersion: gatesmith.dev/v1
kind: Tenant
metadata: { name: shop }
spec: { domains: [fair.test], namespaces: [test], defaultAuthority: issuing }
---
apiVersion: gatesmith.dev/v1
kind: Authority
metadata: { name: issuing }
spec: { kind: intermediate, parent: root, subject: { commonName: issuing } }
---
apiVersion: gatesmith.dev/v1
kind: Authority
metadata: { name: root }
spec: { kind: root, subject: { commonName: root } }
---
apiVersion: gatesmith.dev/v1
kind: Cluster
metadata: { name: one }
spec: { kubeconfigFile: "${join(folder, 'kubeconfig')}", ingress: { address: "127.0.0.1:1" } }
`

test('login keeps the API key in a file of its user alone, and no command ever prints it', async () => {
  const before = await gatesmith(['get', 'hosts'])
  assert.equal(before.code, 2)
  assert.match(before.err, /gatesmith login/)
  const wrong = await gatesmith(['login', url, '--token-file', '-'], { input: 'gsk_wrong' })
  assert.equal(wrong.code, 4)
  assert.match(await done(['login', url, '--token-file', tokenFile, '--name', 'here']), /admin/)
  assert.equal((await stat(config)).mode & 0o777, 0o600)
  const shown = [
    await done(['context', 'list', '-o', 'json']),
    await done(['whoami', '-o', 'yaml']),
    await done(['context', 'set', '-t', 'shop']),
  ]
  assert.ok(shown.every((text) => !text.includes(token)))
  // A kept key is of its own server: another one is not shown it.
  const elsewhere = await gatesmith(['get', 'hosts', '--server', 'http://127.0.0.1:1'])
  assert.equal(elsewhere.code, 4)
  const silent = await gatesmith(['whoami', '--server', 'http://127.0.0.1:1', '--token-file', '/'])
  assert.equal(silent.code, 2)
})

test('files are applied in the order that they need, once; diff says 1 where they differ', async () => {
  const file = join(folder, 'house.yaml')
  await writeFile(file, house)
  const kubeconfig = {
    'current-context': 'k',
    contexts: [{ name: 'k', context: { cluster: 'k', user: 'k' } }],
    clusters: [{ name: 'k', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [{ name: 'k', user: { token: 'the-secret-token' } }],
  }
  await writeFile(join(folder, 'kubeconfig'), JSON.stringify(kubeconfig))
  const first = await done(['apply', '-f', file])
  assert.deepEqual(first.trim().split('\n'), [
    'authority/root created',
    'authority/issuing created',
    'cluster/one created',
    'tenant/shop created',
    'host/www.fair.test (shop) created',
  ])
  const again = await done(['apply', '-f', file])
  assert.equal(again.match(/ unchanged/g)?.length, 5)
  assert.equal(await done(['diff', '-f', file]), '')
  const changed = house.replace('port: 80 ', 'port: 81 ')
  const different = await gatesmith(['diff', '-f', '-'], { input: changed })
  assert.equal(different.code, 1)
  assert.match(different.out, /-\s+port: 80\n\+\s+port: 81/)
  assert.match(await done(['apply', '-f', '-', '--dry-run'], changed), /configured \(dry run\)/)
  assert.equal(await done(['diff', '-f', file]), '')
  const exported = await done(['export', '-A'])
  assert.ok(!exported.includes('the-secret-token'))
  const validate = new Ajv({ strictTypes: false, validateFormats: false }).compile(
    JSON.parse(await readFile(schemaPath, 'utf8')),
  )
  for (const document of parseAllDocuments(exported)) {
    assert.ok(validate(document.toJS()), JSON.stringify(validate.errors))
  }
  assert.equal((await done(['apply', '-f', '-'], exported)).match(/ unchanged/g)?.length, 5)
})

test('what is in no file is pruned by its label, and nothing else', async () => {
  const other = house.split('---')[0]?.replaceAll('www.fair.test', 'old.fair.test') ?? ''
  const third = other.replaceAll('old.', 'kept.').replace('app: fair', 'app: else')
  await done(['apply', '-f', '-'], `${other}---${third}`)
  const bare = await gatesmith(['apply', '-f', '-', '--prune'], { input: house })
  assert.equal(bare.code, 2)
  const args = ['-f', '-', '--prune', '-l', 'app=fair']
  assert.equal((await gatesmith(['diff', ...args], { input: house })).code, 1)
  assert.match(await done(['apply', ...args], house), /host\/old\.fair\.test \(shop\) deleted/)
  const left = await done(['get', 'hosts', '-o', 'json'])
  const names = JSON.parse(left).items.filter((host: { removedAt: unknown }) => !host.removedAt)
  const still = names.map(({ name }: { name: string }) => name)
  assert.deepEqual(still, ['kept.fair.test', 'www.fair.test'])
})

test('what is wrong has its exit code, and every rule that is broken is named', async () => {
  const broken = house.replace('port: 80', 'port: 99999').replace('service: web', 'service: 7')
  const refused = await gatesmith(['apply', '-f', '-'], { input: broken })
  assert.equal(refused.code, 3)
  assert.match(refused.err, /www\.fair\.test.*[\s\S]*\/routes\/0\/to/)
  assert.match(refused.out, /tenant\/shop unchanged/)
  const rows = [
    [['get', 'host/none.fair.test'], '', 5],
    [['get', 'cows'], '', 2],
    [['get', 'hosts', '-o', 'xml'], '', 2],
    [['get', 'hosts', '--filter', 'status=Sunk'], '', 3],
    [['fly'], '', 2],
    [['apply', '-f', '-'], 'kind: Host', 2],
    [['apply', '-f', '-'], 'a: [', 2],
    [['apply', '-f', '-'], `${house}---${house.split('---')[0]}`, 2],
    [['apply', '-f', '/none'], '', 2],
    [['get', 'hosts', '--context', 'none'], '', 2],
    [['wait', 'host/www.fair.test', '--for', 'Synced', '--timeout', '1'], '', 8],
  ] as const
  for (const [args, input, code] of rows) {
    const ended = await gatesmith(args, { input })
    assert.equal(ended.code, code, `${args.join(' ')}: ${ended.err}`)
    assert.notEqual(ended.err, '')
    assert.doesNotMatch(ended.err, /\n\s+at /)
  }
  const env = { GATESMITH_SERVER: 'http://127.0.0.1:1', GATESMITH_TOKEN: 'x' }
  assert.equal((await gatesmith(['login', 'ftp://x'], { env })).code, 2)
})

test('as a program of its own it takes all from the environment', async () => {
  const settings = { GATESMITH_SERVER: url, GATESMITH_TOKEN: token, GATESMITH_CONFIG: config }
  const running = startProcess(['get', 'tenants', '-o', 'name'], settings)
  assert.equal(await running.ended, 0, running.said.err)
  assert.equal(running.said.out, 'tenant/shop\n')
  const refused = startProcess(['get', 'tenant/none'], settings)
  assert.equal(await refused.ended, 5)
})

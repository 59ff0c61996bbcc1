import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, gzip, constants as zlib } from 'node:zlib'
import { build, type Metafile } from 'esbuild'

// The web console is built into few files that are named by what is in them, and beside each lies what of it goes over
// the wire: compressed once here, and not at each request.

const root = fileURLToPath(new URL('..', import.meta.url))
const entry = 'console/main.tsx'
const fromConsole = createRequire(join(root, 'console/package.json'))

/** Builds the web console into a folder: index.html, and assets/<name>-<hash>.js|css with .br and .gz beside each. */
export async function buildConsole(folder: string): Promise<void> {
  const react = libraryOf('react')
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outdir: join(folder, 'assets'),
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    jsx: 'automatic',
    minify: true,
    legalComments: 'none',
    metafile: true,
    define: { 'process.env.NODE_ENV': '"production"' },
    // Libraries that others need as well lie above, beside another React: theirs is the one of the console.
    alias: { react, 'react-dom': libraryOf('react-dom') },
  })
  const page = await readFile(join(root, 'console/index.html'), 'utf8')
  await writeFile(join(folder, 'index.html'), page.replace('<!-- assets -->', headOf(metafile)))
  const made = Object.keys(metafile.outputs).map((path) => join(root, path))
  await Promise.all(made.map(compress))
}

/** Where a library of the console lies. */
function libraryOf(name: string): string {
  try {
    return dirname(fromConsole.resolve(`${name}/package.json`))
  } catch (error) {
    throw new Error('The libraries of the console are not installed: npm ci', { cause: error })
  }
}

/** What the page loads at once: the script, what that needs in any case, and the style. */
function headOf({ outputs }: Metafile): string {
  const found = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === entry)
  if (!found) throw new Error(`${entry} was not built`)
  const [script, { imports, cssBundle }] = found
  const url = (path: string) => `/console/assets/${basename(path)}`
  const needed = imports.filter(({ kind }) => kind === 'import-statement')
  return [
    ...(cssBundle ? [`<link rel="stylesheet" href="${url(cssBundle)}">`] : []),
    ...needed.map(({ path }) => `<link rel="modulepreload" href="${url(path)}">`),
    `<script type="module" src="${url(script)}"></script>`,
  ].join('\n    ')
}

async function compress(path: string): Promise<void> {
  const bytes = await readFile(path)
  const params = { [zlib.BROTLI_PARAM_QUALITY]: 10, [zlib.BROTLI_PARAM_SIZE_HINT]: bytes.length }
  await writeFile(`${path}.br`, await promisify(brotliCompress)(bytes, { params }))
  await writeFile(`${path}.gz`, await promisify(gzip)(bytes, { level: 9 }))
}

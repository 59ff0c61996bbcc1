import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import type { SchemaEngine } from '@prisma/schema-engine-wasm'
import * as binding from '@prisma/schema-engine-wasm/schema_engine_bg'
import { migrationNames, migrations } from './migrations.ts'

/** The SQL that leads from one text of schema.prisma (none: an empty database) to another. Prisma's
 *  engine wants a database at `url` for this, and leaves it as it is. */
export async function schemaDiff(
  url: string,
  from: string | undefined,
  to: string,
): Promise<string> {
  const { stdout } = await withEngine(url, (engine) =>
    engine.diff({
      from: from === undefined ? { tag: 'empty' } : { tag: 'schemaDatamodel', ...files(from) },
      to: { tag: 'schemaDatamodel', ...files(to) },
      script: true,
      exitCode: null,
      filters: noFilter,
    }),
  )
  return stdout ?? ''
}

function files(content: string) {
  return { files: [{ path: 'schema.prisma', content }] }
}

const noFilter = { externalTables: [], externalEnums: [] }

/** Applies the migrations of this release that the database at `url` has not been brought through. Answers them. */
export async function applyMigrations(url: string): Promise<readonly string[]> {
  const list = await migrationsList()
  const { appliedMigrationNames } = await withEngine(url, (engine) =>
    engine.applyMigrations({ migrationsList: list, filters: noFilter }),
  )
  return appliedMigrationNames
}

/** The part of the platform's WebAssembly that is used here; @types/node leaves it to the DOM's types. */
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Exports } }>
}
type Exports = Readonly<Record<string, unknown>>

/** Prisma's own migration engine as WebAssembly: the native one would have to be downloaded. */
async function withEngine<T>(url: string, work: (engine: SchemaEngine) => Promise<T>): Promise<T> {
  loaded ??= load()
  await loaded
  const { factory, close } = wholeScripts(url)
  const adapter = bindMigrationAwareSqlAdapterFactory(factory)
  const engine = await binding.SchemaEngine.new({ datamodels: undefined }, () => undefined, adapter)
  try {
    return await work(engine)
  } finally {
    engine.free()
    await close()
  }
}

/** Once a process: what one engine leaves behind (timers, finalizers) runs later, and in a second module
 *  would run amiss. */
let loaded: Promise<void> | undefined

async function load(): Promise<void> {
  const require = createRequire(import.meta.url)
  const folder = dirname(require.resolve('@prisma/schema-engine-wasm'))
  const octets = await readFile(join(folder, 'schema_engine_bg.wasm'))
  const { instance } = await WebAssembly.instantiate(octets, imports())
  binding.__wbg_set_wasm(instance.exports)
  start(instance.exports)
}

/** The engine leaves a timer of ten seconds behind (its lock's), which would hold up our exit. */
function imports() {
  const timers = Object.keys(binding).filter((name) => name.startsWith('__wbg_setTimeout'))
  const unheld = (callback: () => void, milliseconds: number) =>
    setTimeout(callback, milliseconds).unref()
  const replaced = Object.fromEntries(timers.map((name) => [name, unheld]))
  return { './schema_engine_bg.js': { ...binding, ...replaced } }
}

/** The adapter cuts scripts at every semicolon, function bodies included; a script sent whole is also
 *  one transaction. Nor does the engine close what it opened. */
function wholeScripts(url: string) {
  const factory = new PrismaPg({ connectionString: url })
  const connect = factory.connect.bind(factory)
  const opened: Awaited<ReturnType<typeof connect>>[] = []
  factory.connect = async () => {
    const adapter = await connect()
    adapter.executeScript = async (script) => {
      await adapter.underlyingDriver().query(script)
    }
    // The engine takes its own listener away before the connection has ended: without one a loss would end the process.
    adapter.underlyingDriver().on('error', () => undefined)
    opened.push(adapter)
    return adapter
  }
  const close = async () => {
    for (const adapter of opened) await adapter.underlyingDriver().end()
  }
  return { factory, close }
}

function start(exports: Exports): void {
  const begin = exports.__wbindgen_start
  if (typeof begin === 'function') begin()
}

async function migrationsList() {
  return {
    baseDir: migrations,
    lockfile: {
      path: 'migration_lock.toml',
      content: await readFile(join(migrations, 'migration_lock.toml'), 'utf8'),
    },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all((await migrationNames()).map(directory)),
  }
}

async function directory(name: string) {
  const value = await readFile(join(migrations, name, 'migration.sql'), 'utf8')
  return {
    path: name,
    migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value } },
  }
}

import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startDatabase } from '../sandbox/postgres/database.ts'
import { schemaDiff } from '../src/core/database/schemaengine.ts'

// npm run migration -- <name>: writes the SQL from the committed schema.prisma to the one in the work
// tree as a new migration, to be read and mended by hand before it is committed.
const name = process.argv[2]
if (!name || !/^[a-z0-9_]+$/.test(name)) throw new Error('npm run migration -- lower_case_name')

const folder = join('prisma', 'migrations')
const first = !(await readdir(folder)).some((entry) => /^\d{14}_/.test(entry))
const schema = 'prisma/schema.prisma'
const before = first ? undefined : execFileSync('git', ['show', `HEAD:${schema}`]).toString()
const directory = await mkdtemp(join(tmpdir(), 'gatesmith-migration-'))
const database = await startDatabase({ directory, port: 0 })
const script = await schemaDiff(database.url, before, await readFile(schema, 'utf8'))
await database.stop()
await rm(directory, { recursive: true })
if (script.includes('empty migration')) {
  process.stdout.write('Nothing is missing\n')
} else {
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
  const target = join(folder, `${stamp}_${name}`)
  await mkdir(target)
  await writeFile(join(target, 'migration.sql'), script)
  process.stdout.write(`${target}\n`)
}

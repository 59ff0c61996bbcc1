import { mkdir, readFile, writeFile } from 'node:fs/promises'
import {
  buildSchema,
  type GraphQLArgument,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isObjectType,
  isSpecifiedScalarType,
  lexicographicSortSchema,
  printSchema,
} from 'graphql'
import { sdl } from '../src/api/graphql/schema.ts'
import { buildServer } from '../src/api/server.ts'
import { readConfig } from '../src/core/config.ts'
import { openContext } from '../src/core/context.ts'
import { fileSchema } from './fileschema.ts'
import { problemsPage } from './problems.ts'

/** The contracts as the code has them, by the path that they are committed under. */
export async function contracts(): Promise<Readonly<Record<string, string>>> {
  const openapi = `${JSON.stringify(await openApi(), inOrder, 2)}\n`
  return {
    'openapi/openapi.json': openapi,
    'openapi/files.schema.json': `${JSON.stringify(fileSchema(JSON.parse(openapi)), null, 2)}\n`,
    'openapi/schema.graphql': graphqlSchema(),
    'docs/problems.md': problemsPage(),
  }
}

function graphqlSchema(): string {
  const schema = buildSchema(sdl)
  const silent = undescribed(schema)
  if (silent.length > 0) {
    throw new Error(
      `Not described: ${silent.join(', ')}. Say it at the schema, or in src/api/graphql/words.ts`,
    )
  }
  return `${printSchema(lexicographicSortSchema(schema))}\n`
}

/** The types, fields, arguments and words of a schema that have no description. */
export function undescribed(schema: GraphQLSchema): readonly string[] {
  const own = Object.values(schema.getTypeMap()).filter(
    (type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type),
  )
  const all = own.flatMap((type) => {
    const fields = isObjectType(type) || isInputObjectType(type) ? type.getFields() : {}
    const members = isEnumType(type) ? type.getValues() : Object.values(fields)
    return [
      { name: type.name, description: type.description },
      ...members.flatMap((member) => {
        const name = `${type.name}.${member.name}`
        const args: readonly GraphQLArgument[] = 'args' in member ? member.args : []
        return [
          { name, description: member.description },
          ...args.map((arg) => ({ ...arg, name: `${name}(${arg.name})` })),
        ]
      }),
    ]
  })
  return all.flatMap(({ name, description }) => (description ? [] : [name]))
}

/** The document of a server that is built and never listens; its database is never asked. */
async function openApi(): Promise<object> {
  const quiet = () => undefined
  const config = readConfig({
    DATABASE_URL: 'postgres://localhost/none',
    GATESMITH_SEALING_KEY: Buffer.alloc(32).toString('base64'),
  })
  const ctx = openContext(config, { info: quiet, warn: quiet, error: quiet })
  const api = await buildServer(ctx)
  await api.ready()
  const document = api.swagger()
  await api.close()
  await ctx.db.close()
  return document
}

/** For JSON.stringify: paths and components by name, so that a route that moves changes nothing. */
function inOrder(key: string, value: unknown): unknown {
  if (!/^(paths|schemas)$/.test(key) || typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Those of them that are committed otherwise, or not at all. */
export async function outdated(): Promise<readonly string[]> {
  const found: string[] = []
  for (const [path, text] of Object.entries(await contracts())) {
    if ((await readFile(path, 'utf8').catch(() => '')) !== text) found.push(path)
  }
  return found
}

// npm run contracts writes them; with --check it only says what is out of date.
if (import.meta.main) {
  if (process.argv.includes('--check')) {
    const paths = await outdated()
    for (const path of paths) process.stderr.write(`${path} is out of date: npm run contracts\n`)
    process.exitCode = paths.length > 0 ? 1 : 0
  } else {
    await mkdir('openapi', { recursive: true })
    for (const [path, text] of Object.entries(await contracts())) await writeFile(path, text)
  }
}

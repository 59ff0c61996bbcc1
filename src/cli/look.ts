import { CommandError, type Io } from './io.ts'
import { filterIn, named } from './nouns.ts'
import { yamlOf } from './print.ts'
import { openSession, type Remote } from './session/contexts.ts'

export type ListOptions = Remote & {
  readonly selector?: string
  readonly filter?: readonly string[]
  readonly sort?: string
  readonly limit?: number
}

/** `gatesmith get`: lists, or shows those that are named. */
export async function get(io: Io, words: readonly string[], options: ListOptions): Promise<void> {
  const { noun, names } = named(words)
  const session = await openSession(io, options)
  if (names.length > 0) return noun.some(session, names)
  const filters = Object.fromEntries((options.filter ?? []).map(filterIn))
  const asked = {
    ...filters,
    ...(options.selector === undefined ? {} : { label: options.selector }),
    ...(options.sort === undefined ? {} : { sort: options.sort }),
  }
  await noun.list(session, asked, options.limit ?? Number.POSITIVE_INFINITY)
}

/** `gatesmith describe`: all that the service knows of one thing; long texts are cut unless -o says otherwise. */
export async function describe(io: Io, words: readonly string[], options: Remote): Promise<void> {
  const { noun, names } = named(words)
  if (names.length === 0) throw new CommandError(`Name one: gatesmith describe ${noun.name} <name>`)
  const session = await openSession(io, options)
  if (session.output !== 'table') return noun.some(session, names)
  for (const name of names) {
    const text = JSON.stringify(await noun.one(session, name), (_, value: unknown) =>
      typeof value === 'string' && value.startsWith('-----BEGIN') ? '(PEM: see -o yaml)' : value,
    )
    io.out.write(await yamlOf(JSON.parse(text)))
  }
}

/** `gatesmith delete`. */
export async function remove(io: Io, words: readonly string[], options: Remote): Promise<void> {
  const { noun, names } = named(words)
  if (!noun.remove) {
    throw new CommandError(`${noun.name} are not deleted; see gatesmith revoke --help`)
  }
  if (names.length === 0) throw new CommandError(`Name what to delete: ${noun.name} <name>`)
  const session = await openSession(io, options)
  for (const name of names) {
    await noun.remove(session, name)
    io.out.write(`${noun.aliases[0]}/${name} deleted\n`)
  }
}

import { CommandError, type Io } from './io.ts'

/** A column of a table of `T`s; `wide` ones are for -o wide alone. */
export type Column<T> = {
  readonly title: string
  readonly value: (item: T) => string | number | null | undefined
  readonly wide?: true
}

/** What -o takes. */
export const outputs = ['table', 'wide', 'json', 'yaml', 'name'] as const

/** Prints what was found as it was asked for: a table for people, all members as JSON or YAML, or names, one a line. */
export async function print<T extends object>(
  { io, output }: { readonly io: Io; readonly output: string },
  items: readonly T[],
  how: {
    readonly columns: readonly Column<T>[]
    readonly name: (item: T) => string
    /** One thing was asked for, not a list of one. */
    readonly single?: boolean
    readonly none?: string
  },
): Promise<void> {
  const whole = how.single ? items[0] : { items }
  if (isData(output)) io.out.write(await asData(output, whole))
  else if (output === 'name') for (const item of items) io.out.write(`${how.name(item)}\n`)
  else if (output !== 'table' && output !== 'wide') {
    throw new CommandError(`-o takes ${outputs.join(', ')}`)
  } else if (items.length === 0) io.err.write(`${how.none ?? 'Nothing found'}\n`)
  else {
    const columns = how.columns.filter(({ wide }) => !wide || output === 'wide')
    const rows = items.map((item) => columns.map(({ value }) => String(value(item) ?? '-')))
    io.out.write(
      table(
        columns.map(({ title }) => title),
        rows,
        io,
      ),
    )
  }
}

/** Whether what is printed is for programs. */
export function isData(output: string): boolean {
  return output === 'json' || output === 'yaml'
}

/** As YAML where that was asked for, else as JSON. */
export async function asData(output: string, value: unknown): Promise<string> {
  return output === 'yaml' ? yamlOf(value) : `${JSON.stringify(value, null, 2)}\n`
}

/** As YAML that yields the same when it is read, long texts as blocks. */
export async function yamlOf(value: unknown): Promise<string> {
  const { stringify } = await import('yaml')
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false })
}

function table(titles: readonly string[], rows: readonly (readonly string[])[], io: Io): string {
  const clean = rows.map((row) => row.map(printable))
  const widths = titles.map((title, at) =>
    Math.max(title.length, ...clean.map((row) => row[at]?.length ?? 0)),
  )
  const line = (cells: readonly string[], paint: (cell: string) => string) =>
    cells
      .map((cell, at) => {
        const space = at === cells.length - 1 ? '' : ' '.repeat((widths[at] ?? 0) - cell.length + 3)
        return `${paint(cell)}${space}`
      })
      .join('')
  const head = line(titles, (title) => painted(io, 'bold', title))
  return [head, ...clean.map((row) => line(row, (cell) => painted(io, colourOf(cell), cell)))]
    .map((each) => `${each}\n`)
    .join('')
}

/** What somebody else named never steers the terminal. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '�')
}

const codes = { bold: 1, red: 31, green: 32, yellow: 33, plain: 0 } as const

/** In colour, where a person looks at it and did not forbid it (NO_COLOR). */
export function painted(io: Io, colour: keyof typeof codes, text: string): string {
  const coloured = io.terminal && !io.env.NO_COLOR && io.env.TERM !== 'dumb'
  return coloured && colour !== 'plain' ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text
}

function colourOf(cell: string): keyof typeof codes {
  if (/^(Synced|Ready|active|ok|yes|created|configured)\b/.test(cell)) return 'green'
  if (/^(Pending|Applied|Unknown|warning|signing)\b/.test(cell)) return 'yellow'
  if (/^(Failed|Conflict|revoked|expired|failed|no)\b/.test(cell)) return 'red'
  return 'plain'
}

/** How long ago, or until then, in one unit: `5d`, `3h`. */
export function span(at: string | null | undefined): string {
  if (!at) return '-'
  const size = Math.abs(Math.round((Date.parse(at) - Date.now()) / 1000))
  const units = [
    [86_400 * 2, 86_400, 'd'],
    [3600 * 2, 3600, 'h'],
    [60 * 2, 60, 'm'],
    [0, 1, 's'],
  ] as const
  const [, unit, letter] = units.find(([from]) => size >= from) ?? units[3]
  return `${Math.floor(size / unit)}${letter}`
}

/** Until then, `ended` when it is over. */
export function until(at: string | null | undefined): string {
  if (!at) return '-'
  return Date.parse(at) < Date.now() ? 'ended' : span(at)
}

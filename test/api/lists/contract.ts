import { readFile } from 'node:fs/promises'

type Schema = {
  readonly $ref?: string
  readonly title?: string
  readonly enum?: readonly string[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
}
type Parameter = { readonly in?: string; readonly name?: string; readonly schema?: Schema }
/** What is answered as one media type. */
export type Media = { readonly schema: Schema }
type Operation = {
  readonly operationId: string
  readonly parameters?: readonly Parameter[]
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, Media>> }>
  >
}

const url = new URL('../../../openapi/openapi.json', import.meta.url)
/** The contract as it is committed. */
export const contract: {
  readonly paths: Readonly<Record<string, { readonly get?: Operation }>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
} = JSON.parse(await readFile(url, 'utf8'))

/** A list as the contract has it: what it can be asked, and which members its items have. */
export type ListOperation = {
  readonly id: string
  readonly path: string
  readonly members: readonly string[]
  readonly filters: readonly string[]
  readonly sorts: readonly string[]
  /** The schemas of its answers by their media types. */
  readonly answers: Readonly<Record<string, Media>>
}

const common = new Set(['limit', 'cursor', 'count', 'fields', 'sort'])

/** Every list that can be sorted, narrowed, and cut down to some members. */
export const lists: readonly ListOperation[] = Object.entries(contract.paths).flatMap(
  ([path, { get }]) => {
    const query = get?.parameters?.filter((each) => each.in === 'query') ?? []
    if (!get || !query.some(({ name }) => name === 'fields')) return []
    const answers = get.responses['200']?.content ?? {}
    const item = resolved(answers['application/json']?.schema).properties?.items?.items
    const sort = query.find(({ name }) => name === 'sort')?.schema
    return [
      {
        id: get.operationId,
        path,
        members: Object.keys(resolved(item).properties ?? {}),
        filters: query.flatMap(({ name = '' }) => (common.has(name) ? [] : [name])),
        sorts: resolved(sort).enum ?? [],
        answers,
      },
    ]
  },
)

function resolved(schema: Schema = {}): Schema {
  const name = schema.$ref?.split('/').at(-1)
  return name === undefined ? schema : (contract.components.schemas[name] ?? {})
}

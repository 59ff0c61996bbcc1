import Type from 'typebox'
import Value from 'typebox/value'
import type { Cursored, List, Total } from '../../../shared/lists/query.ts'
import { must } from '../../../shared/must.ts'
import { closed, PageQuery } from '../../../shared/schema.ts'
import { type Asking, type Field, given, relation } from '../field.ts'
import type { Shape } from '../sdl.ts'

// Lists as the cursor connections of Relay, over the queries that REST's lists have.

/** A page of a list, and how to count the list if that is asked for. */
type Connection = {
  readonly page: List<unknown>
  /** Whether it begins after another one. */
  readonly isLater: boolean
  readonly total: () => Promise<Total>
  readonly groups: () => unknown
}

/** What a query of REST is called here: `first` and `after`, and a `sort` downwards by a word that GraphQL has. */
const pageArgs = {
  first: Type.Optional(
    Type.Integer({
      ...PageQuery.properties.limit,
      description: 'How many: 1 to 500',
    }),
  ),
  after: Type.Optional(
    Type.String({
      ...PageQuery.properties.cursor,
      description: 'The cursor that they begin after: endCursor or nextCursor of the page before',
    }),
  ),
}

const downwards = /^-(.*)$/

/** The arguments of a list that REST asks by `query`: its filters and orders, and a page. */
function listArgs({ properties }: Type.TObject): Type.TProperties {
  const { limit: _l, cursor: _c, count: _n, fields: _f, sort, ...filters } = properties
  return { ...filters, ...(sort === undefined ? {} : { sort: sortArg(sort) }), ...pageArgs }
}

function sortArg(sort: Type.TSchema): Type.TSchema {
  if (!Type.IsEnum(sort)) return sort
  const words = sort.enum.map((word) => String(word).replace(downwards, '$1_DESC'))
  const { title, description }: Type.TSchemaOptions = { ...sort }
  return Type.Optional(
    Type.Enum(words, {
      title: String(title),
      description: String(description).replace(/-(\w+)/g, '$1_DESC'),
    }),
  )
}

type Asked<Extra extends Type.TProperties, Query extends Type.TObject> = Type.Static<
  Type.TObject<Extra>
> &
  Cursored<Type.Static<Query>>

type Read<Answer, Parent, Extra extends Type.TProperties, Query extends Type.TObject> = (
  asked: Asked<Extra, Query>,
  asking: Asking,
  parent: Parent,
) => Promise<Answer>

/** A list of things of the type `of`: the page that `page` answers to REST's own query, and `args` of its own
 *  beside that. `total` is only asked where it is selected; without it, `page` is, with `count`. */
export function list<Parent, Extra extends Type.TProperties, Query extends Type.TObject>({
  of,
  description,
  args: own,
  query,
  page,
  total,
  groups,
  connection = of,
  optional = false,
}: {
  readonly of: string
  readonly description: string
  readonly args: Extra
  readonly query: Query
  readonly page: Read<List<unknown>, Parent, Extra, Query>
  readonly total?: Read<Total, Parent, Extra, Query>
  /** What the things of the list are put together to, where its connection says so. */
  readonly groups?: (asked: Asked<Extra, Query>, asking: Asking) => unknown
  /** What its connection is named by. */
  readonly connection?: string
  /** Whether one that is refused leaves the rest of the answer as it is. */
  readonly optional?: boolean
}): Field {
  const extra = Type.Object(own)
  const args = closed({ ...own, ...listArgs(query) })
  return {
    type: `${connection}Connection${optional ? '' : '!'}`,
    description,
    args,
    resolve: async (parent: Parent, asArgs: unknown, asking: Asking) => {
      const sent = asSent(given(args, asArgs))
      const held = partOf(query, sent)
      const asked = { ...partOf(extra, sent), ...held, cursors: true }
      const counted = async () => {
        const all = { ...asked, limit: 1, count: true }
        return must((await page(all, asking, parent)).total, 'what is counted has a total')
      }
      return {
        page: await page(asked, asking, parent),
        isLater: 'cursor' in sent,
        total: () => (total ? total(asked, asking, parent) : counted()),
        groups: () => groups?.(asked, asking) ?? null,
      } satisfies Connection
    },
  }
}

/** Arguments under the names that REST has for them. */
function asSent({ first, after, sort, ...rest }: Readonly<Record<string, unknown>>) {
  return {
    ...rest,
    ...(first === undefined ? {} : { limit: first }),
    ...(after === undefined ? {} : { cursor: after }),
    ...(sort === undefined ? {} : { sort: String(sort).replace(/^(.*)_DESC$/, '-$1') }),
  }
}

function partOf<Schema extends Type.TObject>(
  schema: Schema,
  sent: Readonly<Record<string, unknown>>,
): Type.Static<Schema> {
  const own = Object.entries(sent).filter(([name]) => Object.hasOwn(schema.properties, name))
  return Value.Parse(schema, Object.fromEntries(own))
}

/** The types of a list of this one: the connection and its edges. */
export function connectionOf(of: string): readonly Shape[] {
  return [
    connectionShape(of, of),
    {
      name: `${of}Edge`,
      schema: closed({}, { description: `One ${of} of a list` }),
      fields: {
        cursor: relation('String!', 'What begins after it, for after', memberOf('cursor')),
        node: relation(`${of}!`, 'The thing itself', memberOf('node')),
      },
    },
  ]
}

/** The connection of a list of this one, by a name of its own; `fields` are further ones of it. */
export function connectionShape(of: string, name: string, fields: Shape['fields'] = {}): Shape {
  return {
    name: `${name}Connection`,
    schema: closed({}, { description: `A page of a list, ${of} by ${of}` }),
    fields: {
      ...fields,
      edges: relation<Connection>(
        `[${of}Edge!]!`,
        'Those on this page, each with its cursor',
        ({ page: { items, cursors = [] } }) =>
          items.map((node, at) => ({ node, cursor: cursors[at] })),
      ),
      items: relation<Connection>(
        `[${of}!]!`,
        'Those on this page, without cursors',
        ({ page }) => page.items,
      ),
      pageInfo: relation<Connection>('PageInfo!', 'Where this page begins and ends', pageInfoOf),
      nextCursor: relation<Connection>(
        'String',
        'Where the next page begins, for after; null: this is the last one',
        ({ page }) => page.nextCursor,
      ),
      total: relation<Connection>(
        'Total!',
        'How many there are on all pages; counted only if it is asked for',
        ({ total }) => total(),
      ),
    },
  }
}

/** What the certificates of a list are put together to. */
export const groupsField = relation<Connection>(
  '[CertificateGroup!]',
  'All of the list put together as groupBy says, 500 groups at most; null without groupBy',
  ({ groups }) => groups(),
)

function memberOf(name: 'cursor' | 'node') {
  return (edge: { readonly cursor: unknown; readonly node: unknown }) => edge[name]
}

/** Where a page begins and ends, as Relay asks for it. */
export const PageInfo: Shape = {
  name: 'PageInfo',
  schema: closed(
    {
      hasNextPage: Type.Boolean({ description: 'Whether there are more after it' }),
      hasPreviousPage: Type.Boolean({ description: 'Whether it begins after another one' }),
      startCursor: Type.Union([Type.String(), Type.Null()], {
        description: 'The cursor of the first one; null: there is none',
      }),
      endCursor: Type.Union([Type.String(), Type.Null()], {
        description: 'The cursor of the last one; null: there is none',
      }),
    },
    { description: 'Where a page begins and ends' },
  ),
}

function pageInfoOf({ page: { cursors = [], nextCursor }, isLater }: Connection) {
  return {
    hasNextPage: nextCursor !== null,
    hasPreviousPage: isLater,
    startCursor: cursors.at(0) ?? null,
    endCursor: cursors.at(-1) ?? null,
  }
}

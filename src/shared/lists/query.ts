import Type from 'typebox'
import { closed, listTitle, type Page, PageOf, PageQuery } from '../schema.ts'

/** How a list of things with names is ordered; `-`: downwards. */
export const NameSort = Type.Enum(['name', '-name', 'createdAt', '-createdAt'], {
  title: 'NameSort',
  description: 'By name (the default), or by when they were made; -createdAt: the newest first',
})
export type NameSort = Type.Static<typeof NameSort>

/** How a list of things without names is ordered. */
export const MadeSort = Type.Enum(['createdAt', '-createdAt'], {
  title: 'MadeSort',
  description: 'The oldest first (the default); -createdAt: the newest first',
})
export type MadeSort = Type.Static<typeof MadeSort>

/** What every list may be asked besides `sort` and its own filters. */
const common = {
  ...PageQuery.properties,
  count: Type.Optional(
    Type.Boolean({ description: 'Also say how many there are in all, as `total` (false)' }),
  ),
  fields: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9]{1,40}(,[A-Za-z0-9]{1,40}){0,31}$',
      maxLength: 512,
      description:
        'Members of the items, separated by commas: the items then have these and no others',
    }),
  ),
} as const

/** The query of a list: the same names mean the same everywhere. */
export function listQuery<Sort extends Type.TSchema, Filters extends Type.TProperties>(
  sort: Sort,
  filters: Filters,
) {
  return closed({ ...common, sort: Type.Optional(sort), ...filters })
}

/** What a list is asked for, beside its filters. */
export type ListQuery<Sort extends string> = PageQuery & {
  readonly sort?: Sort
  readonly count?: boolean
}

/** A query that also wants the cursor of each item, as GraphQL shows them. */
export type Cursored<Query> = Readonly<Query> & { readonly cursors?: boolean }

/** How many a list would be in all: counted no further than to {@link mostCounted}. */
export const Total = closed(
  {
    value: Type.Integer({ description: 'How many: 10,000 at most' }),
    exact: Type.Boolean({ description: 'false: there are more than these' }),
  },
  { title: 'Total', description: 'How many there are in all' },
)
export type Total = Type.Static<typeof Total>

/** Counting costs as much as reading: this much is known, beyond it only that there are more. */
export const mostCounted = 10_000

/** A page of `item`, with the total where that was asked for. */
export function ListOf<T extends Type.TSchema>(item: T) {
  return closed(
    { ...PageOf(item).properties, total: Type.Optional(Total) },
    { title: listTitle(item) },
  )
}
export type List<T> = Page<T> & {
  readonly total?: Total
  /** Of each item, where they were asked for. */
  readonly cursors?: readonly string[]
}

import Type from 'typebox'
import Value from 'typebox/value'
import { isMoment } from './moment.ts'
import { Problem } from './problem.ts'
import type { Page } from './schema.ts'

/** Parts of sort keys, as strictly as the columns that they are compared with. */
export const NameText = Type.String({
  pattern: '^[^\\u0000-\\u001f\\u007f\\ud800-\\udfff]{1,255}$',
})
export const IdText = Type.String({
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
})
export const MomentText = Type.Refine(Type.String({ maxLength: 30 }), isMoment)

/** The sort keys of our lists. */
export const NameKey = Type.Tuple([NameText])
export const MomentIdKey = Type.Tuple([MomentText, IdText])
export const SequenceText = Type.String({ pattern: '^(0|[1-9][0-9]{0,17})$' })
export const SequenceKey = Type.Tuple([SequenceText])
export const EventKey = Type.Tuple([
  Type.String({ pattern: '^(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})$' }),
])

/** An opaque cursor: the sort key of the last item of a page, base64url of JSON. */
export function cursorOf(key: readonly string[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** The sort key in a cursor, of the shape that its list has. Throws cursor-refused for anything else. */
export function readCursor<Key extends Type.TSchema>(cursor: string, key: Key): Type.Static<Key> {
  const found = parse(cursor)
  if (!Value.Check(key, found)) {
    throw new Problem('cursor-refused', 'Pass nextCursor of the page before, or leave cursor out')
  }
  return found
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}

/** A page out of up to `limit + 1` rows, the last of which only tells that there are more. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  { key, item }: { key: (row: Row) => readonly string[]; item: (row: Row) => Item },
): Page<Item> {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    items: shown.map(item),
    nextCursor: rows.length > limit && last !== undefined ? cursorOf(key(last)) : null,
  }
}

import { Problem } from './problem.ts'
import type { Page } from './schema.ts'

/** An opaque cursor: the sort key of the last item of a page, base64url of JSON. */
export function cursorOf(key: readonly string[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** The sort key in a cursor of `size` parts. Throws cursor-refused for anything else. */
export function readCursor(cursor: string, size: number): readonly string[] {
  const key = parse(cursor)
  if (
    !Array.isArray(key) ||
    key.length !== size ||
    !key.every((part) => typeof part === 'string')
  ) {
    throw new Problem('cursor-refused', 'Pass nextCursor of the page before, or leave cursor out')
  }
  return key
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

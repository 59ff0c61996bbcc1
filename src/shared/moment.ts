/** A minute, an hour and a day in milliseconds. */
export const minute = 60_000
export const hour = 3_600_000
export const day = 24 * hour

const shape =
  /^\d{4}-\d{2}-(\d{2})[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/
const earliest = Date.parse('0001-01-01T00:00:00Z')
const latest = Date.parse('9999-12-31T23:59:59.999Z')

/** Whether a text is a moment of RFC 3339 that a Date and PostgreSQL can hold and that can be shown again:
 *  a day of the calendar, no leap second, and in UTC within the years 1 to 9999. */
export function isMoment(text: string): boolean {
  const [, dayOfMonth = ''] = shape.exec(text) ?? []
  const at = Date.parse(text)
  // Date reads February 30 as March 1.
  const calendar = new Date(Date.parse(`${text.slice(0, 10)}T00:00:00Z`)).getUTCDate()
  return calendar === Number(dayOfMonth) && at >= earliest && at <= latest
}

import { minute } from '../../shared/moment.ts'
import type { RenewalWindows } from '../../tenants/tenant.ts'

/** What renewal windows say of a certificate that is due: renew it now, wait for the next window, or renew it outside of
 *  any, since it would end before the next one closes. */
export type Turn = 'now' | 'early' | { readonly waitsUntil: Date }

/** The window that is open, or the next one; `none` where clocks skip the hours of the only one that week. */
export type NextWindow = 'open' | 'none' | { readonly opens: Date; readonly closes: Date }

/** How windows stand. Without any there is one that never closes. */
export function nextWindow(windows: RenewalWindows | undefined, now: Date): NextWindow {
  if (windows === undefined || isOpen(windows, now)) return 'open'
  const opens = change(windows, now, true)
  const closes = opens && change(windows, opens, false)
  return opens && closes ? { opens, closes } : 'none'
}

/** Whether a certificate that is due and ends at `notAfter` is renewed now. */
export function turnOf(next: NextWindow, notAfter: Date): Turn {
  if (next === 'open') return 'now'
  return next !== 'none' && next.closes <= notAfter ? { waitsUntil: next.opens } : 'early'
}

// Windows begin and end at quarters of an hour, and so does every offset from UTC that is in use.
const step = 15 * minute
const horizonSteps = 9 * 24 * 4

/** The next quarter of an hour after `from` at which windows are open, or are not. Within nine days: there is one in each
 *  week, but for one whose hours the clocks skip that day. */
function change(windows: RenewalWindows, from: Date, open: boolean): Date | undefined {
  const first = Math.floor(from.getTime() / step) * step
  for (let index = 1; index <= horizonSteps; index++) {
    const at = new Date(first + index * step)
    if (isOpen(windows, at) === open) return at
  }
  return undefined
}

/** Whether it is within a window: `from` is the first minute of it, `to` the first after it, on the next day where that
 *  is no later. */
function isOpen({ timeZone, windows }: RenewalWindows, at: Date): boolean {
  const { day, time } = localOf(timeZone, at)
  return windows.some(({ days, from, to }) => {
    const has = (index: number) => days.some((each) => each === weekdays[(index + 7) % 7])
    if (from < to) return has(day) && from <= time && time < to
    return (has(day) && from <= time) || (has(day - 1) && time < to)
  })
}

const weekdays = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']

const formats = new Map<string, Intl.DateTimeFormat>()

/** Day of the week (0: Monday) and HH:MM, as clocks there show them. */
function localOf(timeZone: string, at: Date): { readonly day: number; readonly time: string } {
  const format = formats.get(timeZone) ?? formatOf(timeZone)
  formats.set(timeZone, format)
  const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]))
  return {
    day: weekdays.indexOf(parts.get('weekday') ?? ''),
    time: `${parts.get('hour')}:${parts.get('minute')}`,
  }
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-GB', {
    ...{ timeZone, weekday: 'long', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  })
}

// How moments are told to people: what is ahead as "in 12 days", what is over as "3 days ago".

const minute = 60_000
const hour = 60 * minute
/** A day, in milliseconds. */
export const day = 24 * hour

/** How far apart two moments are, for people: one unit, rounded down, so that nothing is promised more time than it has. */
export function distance(milliseconds: number): string {
  const length = Math.abs(milliseconds)
  if (length < minute) return 'less than a minute'
  if (length < 2 * hour) return counted(Math.floor(length / minute), 'minute')
  if (length < 2 * day) return counted(Math.floor(length / hour), 'hour')
  if (length < 120 * day) return counted(Math.floor(length / day), 'day')
  if (length < 730 * day) return counted(Math.floor(length / ((365.25 * day) / 12)), 'month')
  return counted(Math.floor(length / (365.25 * day)), 'year')
}

/** When something ends: "in 12 days", or "ended 3 days ago". */
export function endsIn(end: Date, now: Date): string {
  const left = end.getTime() - now.getTime()
  return left >= 0 ? `in ${distance(left)}` : `ended ${distance(left)} ago`
}

/** When something happened: "3 minutes ago", or, of what is ahead, "in 3 minutes". */
export function happened(at: Date, now: Date): string {
  const past = now.getTime() - at.getTime()
  if (Math.abs(past) < minute) return 'just now'
  return past >= 0 ? `${distance(past)} ago` : `in ${distance(past)}`
}

/** How near an end is: over, within three days, within thirty, or none of our business yet. */
export type Nearness = 'over' | 'near' | 'coming' | 'far'

/** How near an end is, as it is coloured. */
export function nearness(end: Date, now: Date): Nearness {
  const left = end.getTime() - now.getTime()
  if (left <= 0) return 'over'
  if (left <= 3 * day) return 'near'
  return left <= 30 * day ? 'coming' : 'far'
}

/** A moment in full, in the zone of who reads: "Fri 27 Nov 2026, 16:15:12 GMT+1". */
export function localText(at: Date, zone?: string): string {
  const parts = new Intl.DateTimeFormat('en-GB', {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'short',
    ...(zone === undefined ? {} : { timeZone: zone }),
  })
  return parts.format(at)
}

/** The day of a moment, in the zone of who reads: "27 Nov 2026". */
export function dateText(at: Date, zone?: string): string {
  return new Intl.DateTimeFormat('en-GB', {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    ...(zone === undefined ? {} : { timeZone: zone }),
  }).format(at)
}

/** The exact moment: "2026-11-27 15:15:12 UTC". */
export function utcText(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** What several of something are called: hosts, authorities, days. */
export function several(noun: string): string {
  return /[^aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`
}

/** So many of something: "1 host", "3 hosts". */
export function counted(count: number, noun: string, more = several(noun)): string {
  return `${count.toLocaleString('en-GB')} ${count === 1 ? noun : more}`
}

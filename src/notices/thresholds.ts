import { day } from '../shared/moment.ts'

/** How many days before an end it is told of, the earliest first. */
export const thresholds = [30, 14, 7, 3, 1] as const

/** Which threshold an end has come to: the nearest of those that were crossed, so that who was away while several
 *  were is told once. Undefined: none yet. */
export function crossed(end: Date, now: Date): number | undefined {
  return thresholds.findLast((days) => end.getTime() - now.getTime() <= days * day)
}

/** When it came to that threshold. */
export function crossedAt(end: Date, days: number): Date {
  return new Date(end.getTime() - days * day)
}

/** An end, for people. */
export function endText(end: Date, now: Date): string {
  const date = `${end.toISOString().slice(0, 16).replace('T', ' ')} UTC`
  const left = Math.ceil((end.getTime() - now.getTime()) / day)
  if (left <= 0) return `ended on ${date}`
  return `ends in ${left} ${left === 1 ? 'day' : 'days'}, on ${date}`
}

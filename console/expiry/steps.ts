import { dateText, day } from '../shared/when.ts'

/** How far ahead is looked, and in what steps. */
export const spans = {
  'P30D/day': { title: '30 days, by day', within: 'P30D', by: 'day', days: 30 },
  'P90D/day': { title: '90 days, by day', within: 'P90D', by: 'day', days: 90 },
  'P182D/week': { title: '26 weeks, by week', within: 'P182D', by: 'week', days: 182 },
  'P728D/week': { title: '2 years, by week', within: 'P728D', by: 'week', days: 728 },
} as const

/** The name of a span. */
export type SpanName = keyof typeof spans

/** The span that a text names; 90 days of any other. */
export function spanOf(text: string | null): SpanName {
  const found = Object.keys(spans).find((name) => name === text)
  return found === 'P30D/day' || found === 'P182D/week' || found === 'P728D/week'
    ? found
    : 'P90D/day'
}

/** How many certificates end in a day or a week: those that renew by themselves, and those that do not. */
export type Step = {
  readonly from: Date
  readonly to: Date
  readonly renewing: number
  readonly ending: number
}

/** Every step of a span, those in which nothing ends, too. Days and weeks begin in UTC, weeks on Monday, as the API counts. */
export function stepsOf(
  told: readonly { readonly from: string; readonly count: number; readonly renewing: number }[],
  { now, by, days }: { readonly now: Date; readonly by: 'day' | 'week'; readonly days: number },
): readonly Step[] {
  const length = by === 'day' ? day : 7 * day
  const known = new Map(told.map((each) => [new Date(each.from).getTime(), each]))
  const today = Math.floor(now.getTime() / day) * day
  // 1 January 1970 was a Thursday.
  const monday = today - ((((today / day + 3) % 7) + 7) % 7) * day
  const first = by === 'day' ? today : monday
  const steps: Step[] = []
  for (let at = first; at <= now.getTime() + days * day; at += length) {
    const { count = 0, renewing = 0 } = known.get(at) ?? {}
    steps.push({
      from: new Date(at),
      to: new Date(at + length),
      renewing,
      ending: count - renewing,
    })
  }
  return steps
}

/** What a step is called: a day, or a week by its Monday. */
export function stepName({ from }: Step, by: 'day' | 'week'): string {
  return by === 'day' ? dateText(from, 'UTC') : `week of ${dateText(from, 'UTC')}`
}

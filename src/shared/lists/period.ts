import { Problem } from '../problem.ts'

/** The end of a period of ISO 8601 (`P30D`, `P4W`, `PT12H`) that begins now. Months and years have no
 *  fixed length and are not taken. Throws request-invalid. */
export function periodEnd(duration: string, now: Date): Date {
  const found =
    /^P(?=.)(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?=.)(?:(\d{1,6})H)?(?:(\d{1,8})M)?)?$/.exec(duration)
  if (!found) {
    throw new Problem(
      'request-invalid',
      `"${duration}" is not a period such as P30D, P4W or PT12H (ISO 8601, no months or years)`,
    )
  }
  const [weeks = 0, days = 0, hours = 0, minutes = 0] = found
    .slice(1)
    .map((part) => (part === undefined ? 0 : Number(part)))
  const seconds = ((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60
  return new Date(now.getTime() + seconds * 1000)
}

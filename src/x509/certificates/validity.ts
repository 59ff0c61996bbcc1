import type { Validity } from '../der/time.ts'

/** For how many days a leaf is good where nobody says. */
export const usualDays = 90

/** The start of a certificate that is issued `now`: a minute ago, because verifiers' clocks differ. */
export function backdated(now: Date): Date {
  return new Date(now.getTime() - 60_000)
}

/** The period of a certificate that begins at `from` and lasts `milliseconds`, as far as it lies `within`
 *  all these periods. It has whole seconds, and both ends belong to it (RFC 5280 4.1.2.5). */
export function validityOf(
  { from, milliseconds }: { readonly from: Date; readonly milliseconds: number },
  within: readonly Validity[],
): Validity {
  const starts = within.map(({ notBefore }) => notBefore.getTime())
  const begin = Math.floor(Math.max(from.getTime(), ...starts) / 1000) * 1000
  const ends = within.map(({ notAfter }) => notAfter.getTime())
  const end = Math.min(begin + milliseconds - 1000, ...ends)
  return { notBefore: new Date(begin), notAfter: new Date(end) }
}

/** Whether a period lasts all the `milliseconds` that it was to, and was not cut short at its end. */
export function isWhole({ notBefore, notAfter }: Validity, milliseconds: number): boolean {
  return notAfter.getTime() + 1000 - notBefore.getTime() === milliseconds
}

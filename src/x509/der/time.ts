import { type Element, malformed, tags, tlv } from './encoding.ts'
import { X509Error } from './errors.ts'
import { contentsOf } from './fields.ts'

/** Both ends belong to the period: notAfter is its last valid second (RFC 5280 4.1.2.5). */
export type Validity = { readonly notBefore: Date; readonly notAfter: Date }

/** UTCTime through 2049, GeneralizedTime from 2050, whole seconds, Z (RFC 5280 4.1.2.5). */
export function encodeTime(at: Date): Buffer {
  const year = at.getUTCFullYear()
  return year >= 1950 && year < 2050
    ? tlv(tags.utcTime, Buffer.from(`${twoDigits(year % 100)}${withinYear(at)}`, 'latin1'))
    : encodeGeneralizedTime(at)
}

/** GeneralizedTime whatever the year, as OCSP and invalidityDate want it. */
export function encodeGeneralizedTime(at: Date): Buffer {
  const year = at.getUTCFullYear()
  if (!(year >= 1000 && year <= 9999))
    throw new X509Error('value-invalid', 'A time must be a date in the years 1000 to 9999')
  return tlv(tags.generalizedTime, Buffer.from(`${year}${withinYear(at)}`, 'latin1'))
}

function withinYear(at: Date): string {
  const date = twoDigits(at.getUTCMonth() + 1) + twoDigits(at.getUTCDate())
  const time = twoDigits(at.getUTCHours()) + twoDigits(at.getUTCMinutes())
  return `${date}${time}${twoDigits(at.getUTCSeconds())}Z`
}

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : `${value}`
}

/** A Time element: seconds present, Z, no fraction (RFC 5280 4.1.2.5.1 and 4.1.2.5.2). */
export function timeOf(element: Element | undefined, what: string): Date {
  if (element === undefined) throw malformed(`${what} is missing`)
  const text = contentsOf(element).toString('latin1')
  if (element.tag === tags.generalizedTime) return parsed(text, what)
  if (element.tag !== tags.utcTime) throw malformed(`${what} is not a time`)
  return parsed(`${text < '50' ? '20' : '19'}${text}`, what)
}

function parsed(text: string, what: string): Date {
  if (!/^\d{14}Z$/.test(text)) throw malformed(`${what} is not a time in whole seconds of UTC`)
  const year = Number(text.slice(0, 4))
  const two = (from: number) => Number(text.slice(from, from + 2))
  const at = new Date(Date.UTC(year, two(4) - 1, two(6), two(8), two(10), two(12)))
  // Date rolls 30 February over to March; reading must not change what was written.
  if (at.getUTCFullYear() !== year || withinYear(at) !== text.slice(4))
    throw malformed(`${what} is not a day of the calendar`)
  return at
}

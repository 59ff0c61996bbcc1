import { type Element, malformed, tags, tlv } from './der.ts'
import { X509Error } from './errors.ts'
import { contentsOf } from './fields.ts'

/** Both ends belong to the period: notAfter is its last valid second (RFC 5280 4.1.2.5). */
export type Validity = { readonly notBefore: Date; readonly notAfter: Date }

/** UTCTime through 2049, GeneralizedTime from 2050, whole seconds, Z (RFC 5280 4.1.2.5). */
export function encodeTime(at: Date): Buffer {
  const general = generalized(at)
  return general < '1950' || general >= '2050'
    ? tlv(tags.generalizedTime, Buffer.from(general, 'latin1'))
    : tlv(tags.utcTime, Buffer.from(general.slice(2), 'latin1'))
}

/** GeneralizedTime whatever the year, as OCSP and invalidityDate want it. */
export function encodeGeneralizedTime(at: Date): Buffer {
  return tlv(tags.generalizedTime, Buffer.from(generalized(at), 'latin1'))
}

function generalized(at: Date): string {
  const year = at.getUTCFullYear()
  if (!(year >= 1000 && year <= 9999))
    throw new X509Error('value-invalid', 'A time must be a date in the years 1000 to 9999')
  const iso = at.toISOString()
  return `${iso.slice(0, 4)}${iso.slice(5, 7)}${iso.slice(8, 10)}${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`
}

const shape = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/

/** A Time element: seconds present, Z, no fraction (RFC 5280 4.1.2.5.1 and 4.1.2.5.2). */
export function timeOf(element: Element | undefined, what: string): Date {
  if (element === undefined) throw malformed(`${what} is missing`)
  const text = contentsOf(element).toString('latin1')
  if (element.tag === tags.generalizedTime) return parsed(text, what)
  if (element.tag !== tags.utcTime) throw malformed(`${what} is not a time`)
  return parsed(`${text < '50' ? '20' : '19'}${text}`, what)
}

function parsed(text: string, what: string): Date {
  const parts = shape.exec(text)
  if (!parts) throw malformed(`${what} is not a time in whole seconds of UTC`)
  const [, year, month, day, hour, minute, second] = parts
  const at = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  // Date rolls 30 February over to March; reading must not change the day.
  if (Number.isNaN(at.getTime()) || at.getUTCDate() !== Number(day))
    throw malformed(`${what} is not a day of the calendar`)
  return at
}

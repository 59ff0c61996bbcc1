import { canonicalSerial } from '../../x509/certificates/serial.ts'
import type { Validity } from '../../x509/der/time.ts'

/** Which certificate renewal information is asked about (RFC 9773 4.1), both in lower-case hex. */
export type RenewalId = {
  /** The keyIdentifier of its authorityKeyIdentifier. */
  readonly keyIdentifier: string
  /** In the one spelling of `canonicalSerial`. */
  readonly serial: string
}

/** Reads base64url(keyIdentifier).base64url(serial), without padding, the serial as the contents of its
 *  DER INTEGER; undefined when it is not that. */
export function readRenewalId(text: string): RenewalId | undefined {
  const [key = '', number = '', ...more] = text.split('.')
  const octets = [key, number].map((part) => Buffer.from(part, 'base64url'))
  const [keyIdentifier, contents] = octets
  const exact = octets.map((each) => each.toString('base64url')).join('.') === text
  if (more.length > 0 || !exact || !keyIdentifier?.length || !contents?.length) return undefined
  const [first = 0, second = 0] = contents
  // Negative, or with an octet more than it takes: no serial (X.690 8.3.2, RFC 5280 4.1.2.2).
  if (first >= 0x80 || (first === 0 && second < 0x80)) return undefined
  const serial = canonicalSerial(contents.toString('hex'))
  return serial === undefined ? undefined : { keyIdentifier: keyIdentifier.toString('hex'), serial }
}

/** When a client is best to renew, start before end. */
export type RenewalWindow = { readonly start: Date; readonly end: Date }

/** From `renewAt` for a tenth of the lifetime, inside the validity. */
export function renewalWindow(validity: Validity, renewAt: Date): RenewalWindow {
  const begin = validity.notBefore.getTime()
  const last = validity.notAfter.getTime()
  const start = Math.max(begin, Math.min(renewAt.getTime(), last - 1000))
  const tenth = Math.max(1000, (last + 1000 - begin) / 10)
  return {
    start: new Date(start),
    end: new Date(Math.min(start + tenth, Math.max(last, start + 1000))),
  }
}

/** A window that is over: renew at once (RFC 9773 4.2). */
export function pastWindow({ notBefore }: Validity): RenewalWindow {
  return { start: notBefore, end: new Date(notBefore.getTime() + 1000) }
}

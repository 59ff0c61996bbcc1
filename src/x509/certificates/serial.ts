import { X509Error } from '../der/errors.ts'

/** A fresh serial in lower-case hex: `random`, which must be 16 to 20 octets of a CSPRNG, with its
 *  first octet made 40..7f, so it is positive, of constant length and still has two fewer random
 *  bits than given (RFC 5280 4.1.2.2: positive, at most 20 octets; CA/B BR 7.1: at least 64 bits).
 *  Throws `serial-invalid` for another length. */
export function serialFrom(random: Buffer): string {
  if (random.length < 16 || random.length > 20)
    throw new X509Error('serial-invalid', 'A serial is made of 16 to 20 random octets')
  const octets = Buffer.from(random)
  octets[0] = ((octets[0] ?? 0) & 0x3f) | 0x40
  return octets.toString('hex')
}

/** The one spelling of a serial: lower-case hex of whole octets without leading zero octets, from
 *  any with colons, spaces, capitals, 0x or leading zeros; undefined if it is not one. */
export function canonicalSerial(text: string): string | undefined {
  if (text.length > 100) return undefined
  const hex = text
    .trim()
    .toLowerCase()
    .replace(/^0x/, '')
    .replace(/(?<=[0-9a-f])[: -](?=[0-9a-f])/g, '')
  if (!/^[0-9a-f]+$/.test(hex)) return undefined
  const bare = hex.replace(/^0+(?=.)/, '')
  const octets = bare.length % 2 === 0 ? bare : `0${bare}`
  return octets.length <= 42 ? octets : undefined
}

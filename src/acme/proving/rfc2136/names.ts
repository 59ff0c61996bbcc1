/** What came back is no message of DNS, or one that breaks its rules. */
export class MalformedMessage extends Error {}

/** A name as DNS has it on the wire (RFC 1035 3.1), in lower case and uncompressed, which is its canonical form
 *  (RFC 4034 6.2); a dot at its end changes nothing. Throws MalformedMessage for what is no name of 255 octets at most
 *  in labels of 1 to 63 characters of ASCII. */
export function wireName(text: string): Buffer {
  const parts = text
    .replace(/\.$/, '')
    .split('.')
    .map((label) => {
      if (!/^[!-~]{1,63}$/.test(label)) throw new MalformedMessage('that is no name of DNS')
      return Buffer.from(`${String.fromCharCode(label.length)}${label.toLowerCase()}`, 'latin1')
    })
  const name = Buffer.concat([...parts, Buffer.of(0)])
  if (name.length > mostOctets) throw new MalformedMessage('that is no name of DNS')
  return name
}

const mostOctets = 255

/** Reads a name out of a message, compressed or not (RFC 1035 4.1.4), in the form of `wireName`, and where it ends. A pointer
 *  leads back, so that none is followed for ever. Throws MalformedMessage. */
export function readWireName(
  message: Buffer,
  start: number,
): { readonly name: Buffer; readonly end: number } {
  const parts: Buffer[] = []
  let [at, first, end, length] = [start, start, -1, 0]
  for (;;) {
    const octet = message[at]
    if (octet === undefined) throw new MalformedMessage('a name is cut off')
    if (octet >= 0xc0) {
      const to = ((octet & 0x3f) << 8) | (message[at + 1] ?? 0)
      // Each jump leads to before all that was read of the name: there are few of them.
      if (to >= first) throw new MalformedMessage('a name leads to itself, or ahead')
      if (end < 0) end = at + 2
      first = to
      at = to
      continue
    }
    if (octet > 63) throw new MalformedMessage('a label is of no kind that is known')
    const label = message.subarray(at, at + octet + 1)
    length += label.length
    if (label.length !== octet + 1 || length > mostOctets) {
      throw new MalformedMessage('a name is cut off, or too long')
    }
    // Octets that say a length are below those of letters.
    parts.push(Buffer.from(label.toString('latin1').replaceAll(/[A-Z]/g, lower), 'latin1'))
    at += label.length
    if (octet === 0) return { name: Buffer.concat(parts), end: end < 0 ? at : end }
  }
}

function lower(letter: string): string {
  return letter.toLowerCase()
}

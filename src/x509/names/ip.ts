/** 4 or 16 octets of an IP address in text (RFC 791, RFC 4291 2.2); undefined if it is not one.
 *  No zone, no leading zeros in IPv4: what one reader calls octal another calls decimal. */
export function ipBytes(text: string): Buffer | undefined {
  return text.includes(':') ? v6Bytes(text) : v4Bytes(text)
}

/** The host of a URL or of `host:port` by itself: an IPv6 address loses its brackets (RFC 3986 3.2.2). */
export function bareHost(host: string): string {
  return host.replace(/^\[|\]$/g, '')
}

function v4Bytes(text: string): Buffer | undefined {
  const parts = text.split('.')
  const good = parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))
  const octets = parts.map(Number)
  return good && octets.every((octet) => octet < 256) ? Buffer.from(octets) : undefined
}

function v6Bytes(text: string): Buffer | undefined {
  if (text.length > 45) return undefined
  const [head = '', tail, ...more] = text.split('::')
  if (more.length > 0) return undefined
  const front = groups(head, tail === undefined)
  const back = tail === undefined ? [] : groups(tail, true)
  if (!front || !back) return undefined
  const missing = 16 - front.length - back.length
  if (tail === undefined ? missing !== 0 : missing < 2) return undefined
  return Buffer.from([...front, ...Array<number>(missing).fill(0), ...back])
}

/** Octets of colon-separated groups; the last may be dotted IPv4 where that ends the address. */
function groups(text: string, last: boolean): number[] | undefined {
  if (text === '') return []
  const octets: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    const v4 = last && index === parts.length - 1 && part.includes('.') ? v4Bytes(part) : undefined
    if (v4) octets.push(...v4)
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      const group = Number.parseInt(part, 16)
      octets.push(group >> 8, group & 0xff)
    } else return undefined
  }
  return octets
}

/** Text of 4 or 16 octets, IPv6 in the one form of RFC 5952; undefined for other lengths. */
export function ipText(bytes: Buffer): string | undefined {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) return undefined
  const parts = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16))
  const runs = [...parts.join(':').matchAll(/(?<![0-9a-f])0(:0)+(?![0-9a-f])/g)]
  const longest = runs.reduce((best, run) => (run[0].length > best.length ? run[0] : best), '')
  if (longest === '') return parts.join(':')
  const text = parts.join(':')
  const at = text.search(new RegExp(`(?<![0-9a-f])${longest}(?![0-9a-f])`))
  const front = text.slice(0, at).replace(/:$/, '')
  const back = text.slice(at + longest.length).replace(/^:/, '')
  return `${front}::${back}`
}

/** Address and mask octets of `10.0.0.0/8`, `fd00::/8` or, for a mask with holes, of
 *  `10.0.0.0/255.0.255.0`: 8 or 32 of them (RFC 5280 4.2.1.10); undefined if it is not a range or has
 *  host bits set, which whoever asks for a range did not mean. */
export function rangeBytes(text: string): Buffer | undefined {
  const [address = '', suffix = '', ...more] = text.split('/')
  const bytes = ipBytes(address)
  const mask = bytes && more.length === 0 ? maskBytes(suffix, bytes.length) : undefined
  if (!bytes || !mask) return undefined
  const clean = bytes.every((octet, i) => (octet & ~(mask[i] ?? 0)) === 0)
  return clean ? Buffer.concat([bytes, mask]) : undefined
}

function maskBytes(suffix: string, length: number): Buffer | undefined {
  if (!/^(0|[1-9]\d{0,2})$/.test(suffix)) {
    const mask = ipBytes(suffix)
    return mask?.length === length ? mask : undefined
  }
  const bits = Number(suffix)
  if (bits > length * 8) return undefined
  const mask = Buffer.alloc(length)
  for (let bit = 0; bit < bits; bit++) mask[bit >> 3] = (mask[bit >> 3] ?? 0) | (0x80 >> (bit & 7))
  return mask
}

/** Text of address and mask octets as others write them; undefined when the length is wrong. Host bits
 *  say nothing and are left out, as every verifier masks both sides; a mask with holes, which verifiers
 *  take bit by bit as well, is written out. */
export function rangeText(bytes: Buffer): string | undefined {
  const half = bytes.length / 2
  const mask = bytes.subarray(half)
  const address = ipText(Buffer.from(bytes.subarray(0, half).map((o, i) => o & (mask[i] ?? 0))))
  const written = ipText(mask)
  if (bytes.length % 2 !== 0 || address === undefined || written === undefined) return undefined
  const bits = Array.from(mask, (octet) => octet.toString(2).padStart(8, '0')).join('')
  return `${address}/${/^1*0*$/.test(bits) ? bits.lastIndexOf('1') + 1 : written}`
}

/** What two ranges have in common, as text; undefined for nothing. */
export function commonRange(one: string, other: string): string | undefined {
  const [a, b] = [rangeBytes(one), rangeBytes(other)]
  if (!a || !b || a.length !== b.length) return undefined
  const half = a.length / 2
  const at = (range: Buffer, i: number) => range[i] ?? 0
  const apart = (_: number, i: number) =>
    ((at(a, i) ^ at(b, i)) & at(a, half + i) & at(b, half + i)) !== 0
  if (a.subarray(0, half).some(apart)) return undefined
  // Of address and mask alike: what either of them fixes is fixed.
  return rangeText(Buffer.from(a.map((octet, i) => octet | at(b, i))))
}

/** Whether an address (4 or 16 octets) lies in a range (8 or 32 octets) of its own family. */
export function inRange(address: Buffer, range: Buffer): boolean {
  const half = range.length / 2
  if (address.length !== half) return false
  return address.every((octet, i) => ((octet ^ (range[i] ?? 0)) & (range[half + i] ?? 0)) === 0)
}

import { ipBytes, ipText } from '../x509/names/ip.ts'

/** Whom an address stands for: itself, or its /64 in IPv6, which is one subscriber's (RFC 6177 2).
 *  All that come without an address are one. */
export function subscriberOf(address: string | undefined): string {
  const octets = octetsOf(address)
  if (!octets) return 'unknown'
  return octets.length === 4 ? octets.join('.') : octets.subarray(0, 8).toString('hex')
}

/** An address in its one spelling (RFC 5952); `unknown` for what is none, whoever sent it. */
export function addressOf(address: string | undefined): string {
  return ipText(octetsOf(address) ?? Buffer.alloc(0)) ?? 'unknown'
}

/** An IPv4 address that came mapped into IPv6 (RFC 4291 2.5.5.2) is that address. Some proxies pass on the port,
 *  too, which is another for each connection. */
function octetsOf(address = ''): Buffer | undefined {
  const plain = address
    .replace(/^\[(.*)\](:\d+)?$/, '$1')
    .replace(/^([\d.]+):\d+$/, '$1')
    .replace(/%.*$/, '')
  const octets = ipBytes(plain)
  if (octets?.length !== 16) return octets
  const mapped = octets.subarray(0, 12).toString('hex') === '00000000000000000000ffff'
  return mapped ? octets.subarray(12) : octets
}

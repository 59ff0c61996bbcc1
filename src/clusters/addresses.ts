import { type LookupAddress, lookup as resolve } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { bareHost } from '../x509/names/ip.ts'

/** Where no ingress is: link-local and unspecified addresses, those of many hosts, and where clouds tell
 *  machines who they are. Private and loopback addresses are fine: clusters are registered by the platform. */
const forbidden = new BlockList()
const subnets = [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
  // Alibaba, Azure, Oracle; those of most others are link-local.
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['192.0.0.192', 32],
] as const
for (const [net, prefix] of subnets) addAlsoAsIpv6(forbidden, net, prefix)
forbidden.addSubnet('fe80::', 10, 'ipv6')
forbidden.addSubnet('ff00::', 8, 'ipv6')
// AWS and Google.
forbidden.addSubnet('fd00:ec2::', 32, 'ipv6')
forbidden.addSubnet('fd20:ce::', 32, 'ipv6')

const loopback = new BlockList()
loopback.addAddress('::1', 'ipv6')

/** A range of IPv4, and the same in the clothes of IPv6: IPv4-compatible, and through NAT64 (RFC 6052) and
 *  6to4 (RFC 3056). */
function addAlsoAsIpv6(list: BlockList, net: string, prefix: number): void {
  list.addSubnet(net, prefix, 'ipv4')
  const hex = net
    .split('.')
    .map((octet) => Number(octet).toString(16).padStart(2, '0'))
    .join('')
  const groups = `${hex.slice(0, 4)}:${hex.slice(4)}`
  list.addSubnet(`::${groups}`, 96 + prefix, 'ipv6')
  list.addSubnet(`64:ff9b::${groups}`, 96 + prefix, 'ipv6')
  list.addSubnet(`2002:${groups}::`, 16 + prefix, 'ipv6')
}

/** Whether the service never connects to this IP address, whoever asks for it. What is no address, or one
 *  written in another way than usual, is for `safeLookup` to say. */
export function isForbiddenAddress(address: string): boolean {
  return isIn(forbidden, address) && !isIn(loopback, address)
}

/** Addresses of this machine and of networks that are somebody's own (RFC 6890). */
const privately = new BlockList()
for (const [net, prefix] of [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
] as const) {
  addAlsoAsIpv6(privately, net, prefix)
}
privately.addAddress('::1', 'ipv6')
privately.addSubnet('fc00::', 7, 'ipv6')
privately.addSubnet('fec0::', 10, 'ipv6')

/** Whether this IP address is one of this machine or of a private network: what tenants name is not to lead there. */
export function isPrivateAddress(address: string): boolean {
  return isIn(privately, address)
}

/** `host:port` in its parts; an IPv6 address loses its brackets. */
export function partsOf(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':')
  const host = bareHost(address.slice(0, colon))
  return { host, port: Number(address.slice(colon + 1)) }
}

/** Finds the addresses of a name as node does, and none that is forbidden: a name may be made to lead there
 *  after it was looked at. What is connected to is what was looked at. */
export const safeLookup: LookupFunction = (hostname, options, done) => {
  resolve(hostname, { ...options, all: true }, (error, found) => {
    if (error) return done(error, '')
    const allowed = found.filter(({ address }) => !isForbiddenAddress(address))
    const [first] = allowed
    if (!first) return done(new Error(forbiddenMessage(hostname)), '')
    if (options.all) return done(null, allowed)
    done(null, first.address, first.family)
  })
}

/** Whether the host leads to an address that is never connected to, as far as its name can be found now and
 *  within two seconds. */
export async function isForbiddenNow(host: string): Promise<boolean> {
  const late = new Promise<readonly LookupAddress[]>((resolve) => {
    setTimeout(resolve, 2000, []).unref()
  })
  const found = await Promise.race([lookup(host, { all: true }).catch(() => []), late])
  return found.some(({ address }) => isForbiddenAddress(address))
}

/** What is said of a host that is never connected to. */
export function forbiddenMessage(host: string): string {
  return `${host} is never connected to: it is a link-local, metadata or unspecified address, or leads to one`
}

/** Whether an IP address is one of a list; one of IPv4 also where it is written as one of IPv6 (`::ffff:…`). What is
 *  no address is not. */
export function isIn(list: BlockList, address: string): boolean {
  const version = isIP(address)
  return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4')
}

/** Addresses and ranges of the settings, to hold addresses against. */
export function rangeList(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [net = '', prefix] = range.split('/')
    const family = isIP(net) === 6 ? 'ipv6' : 'ipv4'
    list.addSubnet(net, Number(prefix ?? (family === 'ipv6' ? 128 : 32)), family)
  }
  return list
}

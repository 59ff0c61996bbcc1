import { lookup as resolve } from 'node:dns'
import { type BlockList, isIP, type LookupFunction } from 'node:net'
import { bareHost } from '../x509/names/ip.ts'
import { isForbiddenAddress, isIn, isPrivateAddress } from './addresses.ts'

/** Which private networks the settings let be reached, and the setting that says so. */
export type Reach = { readonly ranges: BlockList; readonly setting: string }

/** How a host is connected to, with `lookup`: its name is looked up once, and what is connected to is what was looked
 *  at. `fault`: why it is not connected to. */
export function connectionTo(
  reach: Reach,
  hostname: string,
  plain: boolean,
): { readonly fault?: string; readonly lookup: LookupFunction } {
  const may = (address: string) => isAllowed(reach, address, plain)
  const host = bareHost(hostname)
  const lookup = lookupOf(reach, may)
  return isIP(host) !== 0 && !may(host) ? { fault: refusal(reach, host), lookup } : { lookup }
}

/** Why nothing will ever be sent to this URL, as far as it tells by itself; undefined: nothing is known against
 *  it. */
export function urlFault(reach: Reach, url: string): string | undefined {
  const { protocol, hostname } = new URL(url)
  const plain = protocol === 'http:'
  const host = bareHost(hostname)
  const wrong =
    isIP(host) === 0 ? plain && reach.ranges.rules.length === 0 : !isAllowed(reach, host, plain)
  return wrong ? refusal(reach, host) : undefined
}

/** Without TLS only to what the settings name. */
function isAllowed({ ranges }: Reach, address: string, plain: boolean): boolean {
  if (isIn(ranges, address)) return true
  return !plain && !isForbiddenAddress(address) && !isPrivateAddress(address)
}

function lookupOf(reach: Reach, may: (address: string) => boolean): LookupFunction {
  return (hostname, options, done) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error) return done(error, '')
      // All of them, or a name could lead here by one and there by another.
      const wrong = found.find(({ address }) => !may(address))
      const [first] = found
      if (wrong || !first) return done(new Forbidden(refusal(reach, hostname)), '')
      if (options.all) return done(null, found)
      done(null, first.address, first.family)
    })
  }
}

class Forbidden extends Error {
  constructor(reason: string) {
    super(reason)
  }
}

function refusal({ setting }: Reach, host: string): string {
  return `${host} is not sent to: it is an address of a private network or of this machine, or leads to one (${setting}), or is to be reached without TLS`
}

/** In a word: what a machine inside says is not told to those outside. */
export function failureOf(error: Error): string {
  if (error instanceof Forbidden) return error.message
  if (error.name === 'TimeoutError' || error.name === 'AbortError')
    return 'It did not answer in 10 s'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  return `It cannot be reached: ${code}`
}

import { lookup, Resolver } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { isForbiddenAddress, isIn, rangeList } from '../../clusters/addresses.ts'
import type { Context } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import { AcmeProblem } from '../problem.ts'

// Where a name leads is for whoever has its DNS to say, and may change after it was looked at: what is connected to is an
// address that was looked at, never the name.

/** How long a challenge is looked for in all. */
export const patience = 10_000

/** How many addresses of a name are tried. */
const mostAddresses = 3

/** Who is asked for names: those of the settings, or those of the machine. */
export const resolverOf = oncePer(({ config }) => {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 })
  if (config.acme.resolvers.length > 0) resolver.setServers(config.acme.resolvers)
  return resolver
})

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

const allowedRanges = oncePer(({ config }) =>
  config.acme.ranges.length === 0 ? undefined : rangeList(config.acme.ranges),
)

/** Whether a challenge is looked for at this address: never at link-local and metadata addresses, and else where the
 *  settings say, or anywhere but on this machine. Networks of one's own are where most servers of one's own are. */
function isReachable(ctx: Context, address: string): boolean {
  if (isForbiddenAddress(address)) return false
  const ranges = allowedRanges(ctx)
  return ranges ? isIn(ranges, address) : !isIn(loopback, address)
}

/** The addresses of a host at which challenges may be looked for, a few of them. Throws dns, connection. */
export async function reachableAddresses(ctx: Context, host: string): Promise<readonly string[]> {
  const found = await addressesOf(ctx, host)
  if (found.length === 0) throw new AcmeProblem('dns', `No address of ${host} was found`)
  const reachable = found.filter((address) => isReachable(ctx, address))
  if (reachable.length > 0) return reachable.slice(0, mostAddresses)
  throw new AcmeProblem('connection', `${host} leads to no address that is connected to from here`)
}

async function addressesOf(ctx: Context, host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host]
  if (ctx.config.acme.resolvers.length === 0) {
    const found = await lookup(host, { all: true }).catch(() => [])
    return found.map(({ address }) => address)
  }
  const resolver = resolverOf(ctx)
  const found = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
  return found.flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
}

/** Does the work for one address after the other until one succeeds. Throws what the last one threw, as a connection
 *  that failed where it is no word of ours. */
export async function firstThatAnswers<T>(
  addresses: readonly string[],
  work: (address: string) => Promise<T>,
): Promise<T> {
  let last: unknown
  for (const address of addresses) {
    try {
      return await work(address)
    } catch (error) {
      last = error
    }
  }
  if (last instanceof AcmeProblem) throw last
  const code = last instanceof Error && 'code' in last ? `${last.code}` : 'no answer in time'
  throw new AcmeProblem('connection', `No connection to ${addresses.join(', ')}: ${code}`)
}

import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { isForbiddenAddress, isIn, isPrivateAddress } from '../../clusters/addresses.ts'
import type { Context } from '../../core/context.ts'
import { CaRefusal } from '../client/refusal.ts'
import { caReach } from '../client/request.ts'
import { resolverOf } from '../validation/reach.ts'

const options = { timeout: 2_000, tries: 2 } as const
/** How many servers of a zone are asked. */
const mostServers = 8

/** The name of the record that proves a name by dns-01 (RFC 8555 8.4). */
export function recordName(name: string): string {
  return `_acme-challenge.${name}`
}

/** Whether every server that is authoritative for the record answers with this value, so that whichever of them a CA
 *  asks it is found; where none is known, whether our own resolver does. A record that is an alias is followed. */
export async function isInDns(ctx: Context, name: string, value: string): Promise<boolean> {
  const resolver = resolverOf(ctx)
  const target = await aliasOf(resolver, recordName(name))
  const servers = await serversOf(ctx, resolver, target)
  if (servers.length === 0) return holds(resolver, target, value)
  const found = await Promise.all(
    servers.map((server) => {
      const own = new Resolver(options)
      own.setServers([server])
      return holds(own, target, value)
    }),
  )
  return found.every((each) => each)
}

async function holds(resolver: Resolver, name: string, value: string): Promise<boolean> {
  const found = await resolver.resolveTxt(name).catch(() => [])
  return found.some((parts) => parts.join('') === value)
}

/** Where a record is in the end, all aliases followed. Throws CaRefusal where DNS cannot tell just now. */
export function targetOf(ctx: Context, name: string): Promise<string> {
  return aliasOf(resolverOf(ctx), name, (error) => {
    if (error instanceof Error && 'code' in error && noAlias.has(error.code)) return []
    throw new CaRefusal('unreachable', `Whether ${name} is an alias cannot be found out in DNS`)
  })
}

const noAlias: ReadonlySet<unknown> = new Set(['ENODATA', 'ENOTFOUND'])

async function aliasOf(
  resolver: Resolver,
  name: string,
  failed: (error: unknown) => readonly string[] = () => [],
): Promise<string> {
  let at = name
  for (let steps = 0; steps < 8; steps++) {
    const [next] = await resolver.resolveCname(at).catch(failed)
    if (next === undefined) break
    at = next
  }
  return at
}

/** The addresses of the servers of the closest zone, but for those that are not asked from here. */
async function serversOf(ctx: Context, resolver: Resolver, name: string): Promise<string[]> {
  const { ranges } = caReach(ctx.config)
  const labels = name.split('.')
  for (let at = 0; at < labels.length - 1; at++) {
    const zone = labels.slice(at).join('.')
    const names = await resolver.resolveNs(zone).catch(() => [])
    if (names.length === 0) continue
    const found = await Promise.all(
      names.slice(0, mostServers).map((each) => addressesOf(resolver, each)),
    )
    return found
      .flat()
      .filter((address) => {
        if (isIn(ranges, address)) return true
        return !isForbiddenAddress(address) && !isPrivateAddress(address)
      })
      .map((address) => (isIP(address) === 6 ? `[${address}]` : address))
  }
  return []
}

async function addressesOf(resolver: Resolver, host: string): Promise<readonly string[]> {
  const [four] = await resolver.resolve4(host).catch(() => [])
  if (four !== undefined) return [four]
  const [six] = await resolver.resolve6(host).catch(() => [])
  return six === undefined ? [] : [six]
}

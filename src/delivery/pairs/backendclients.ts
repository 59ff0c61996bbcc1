import type { Context } from '../../core/context.ts'
import { newestInLines } from '../../hosts/certificates/line.ts'
import type { CompleteSpec } from '../../hosts/host.ts'
import { backendClientsIn } from '../../hosts/route.ts'
import type { Pair } from '../renderer.ts'
import { pemOf } from './pem.ts'

/** What gateways show to the backends of a host, by the ids that its routes name: of each the newest that took
 *  its place. One that was revoked is shown until there is another, since without any the gateway would take no
 *  connection of the host's to that backend, whether it looks or not. Undefined where none is named. Throws key-absent. */
export async function backendClientsOf(
  ctx: Context,
  { routes }: CompleteSpec,
): Promise<ReadonlyMap<string, Pair> | undefined> {
  const ids = backendClientsIn(routes)
  if (ids.length === 0) return undefined
  const newest = await newestInLines(ctx.db.read, ids)
  const pairs = [...newest].map(async ([id, member]) => [id, await pemOf(ctx, member)] as const)
  return new Map(await Promise.all(pairs))
}

/** What is about to keep backends from taking those certificates, in sentences. */
export async function backendClientWarnings(
  ctx: Context,
  { routes }: CompleteSpec,
): Promise<readonly string[]> {
  const ids = backendClientsIn(routes)
  if (ids.length === 0) return []
  const newest = await newestInLines(ctx.db.read, ids)
  return [...newest.values()].flatMap(({ serial, status, autoRenew, notAfter }) => {
    const which = `The certificate that backends are shown (serial ${serial})`
    const end = notAfter.toISOString()
    if (status === 'revoked') {
      return `${which} was revoked, and nothing has taken its place: renew it (POST …/certificates/{id}/renew)`
    }
    if (notAfter <= ctx.now()) return `${which} ended at ${end}: renew it`
    if (autoRenew) return []
    return `${which} is not renewed by itself and ends at ${end}: renew it in time, or order one with autoRenew`
  })
}

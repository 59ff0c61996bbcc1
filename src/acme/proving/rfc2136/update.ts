import type { Context } from '../../../core/context.ts'
import { CaRefusal } from '../../client/refusal.ts'
import { targetOf } from '../dns.ts'
import type { DnsRecord } from '../webhook.ts'
import { updateMessage } from './message.ts'
import { disbelief, type UpdateAttempt, updateRefusal } from './refusals.ts'
import { askSigned, type DnsUpdate, type Told } from './signed.ts'
import { zoneOf } from './zone.ts'

/** Has the primary server of the zone, which it is asked for where none is set, put a TXT record there, or take this one
 *  away and no other of its name: a dynamic update (RFC 2136) signed by TSIG (RFC 8945), which said twice changes nothing
 *  more. A record that is an alias is followed to where it leads. Throws CaRefusal: of the problem dnsUpdate where the server refuses, unreachable where it
 *  cannot be asked. */
export async function updateDns(
  ctx: Context,
  update: DnsUpdate,
  { action, name, value }: Pick<DnsRecord, 'action' | 'name' | 'value'>,
): Promise<void> {
  const { server, keyName, algorithm } = update
  const place = await placeOf(ctx, update, name)
  const zone = update.zone ?? (await zoneOf(ctx, update, place))
  const message = (id: number) => updateMessage(id, { action, zone, name: place, value })
  const { refusal } = await askSigned(
    ctx,
    update,
    { opcode: 'update', name: place, message },
    (told, time) => outcomeOf(told, { server, zone, name: place, keyName, algorithm, time }),
  )
  if (refusal) throw refusal
}

/** Where the record is: in the zone, or where it leads to as an alias. */
async function placeOf(ctx: Context, { zone }: DnsUpdate, name: string): Promise<string> {
  const place = await targetOf(ctx, name)
  if (zone === undefined) return place
  const bare = (each: string) => each.replace(/\.$/, '').toLowerCase()
  if (`.${bare(place)}`.endsWith(`.${bare(zone)}`)) return place
  const led = place === name ? '' : `, which is an alias of ${place},`
  const text = `${name}${led} is not in the zone ${zone}, which is what is updated`
  throw new CaRefusal('dnsUpdate', text, { status: 403 })
}

/** What an answer comes to. One that is not signed is never a yes; what it refuses is told, since a server that does not know
 *  the key, or finds the signature wrong, cannot sign (RFC 8945 5.2.1, 5.2.2). */
function outcomeOf(
  { answer, fault }: Told,
  asked: UpdateAttempt,
): { readonly trusted: boolean; readonly refusal: CaRefusal | undefined } {
  const refusal = updateRefusal(answer, asked)
  if (fault === undefined) return { trusted: true, refusal }
  const told = fault === 'unsigned' ? refusal : undefined
  return { trusted: false, refusal: told ?? disbelief(fault, asked) }
}

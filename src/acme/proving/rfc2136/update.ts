import { randomInt } from 'node:crypto'
import type { CaChallengeSettings } from '../../../authorities/acme/schema.ts'
import type { Context } from '../../../core/context.ts'
import { CaRefusal } from '../../client/refusal.ts'
import { targetOf } from '../dns.ts'
import type { DnsRecord } from '../webhook.ts'
import { answerIn, askServer, written } from './exchange.ts'
import { type UpdateAnswer, updateMessage } from './message.ts'
import { disbelief, type UpdateAttempt, updateRefusal } from './refusals.ts'
import { signatureFault, signRequest, type TsigKey } from './tsig.ts'
import { zoneOf } from './zone.ts'

/** By what a zone is updated: as it is set, with the secret of its key in base64. */
export type DnsUpdate = NonNullable<CaChallengeSettings['rfc2136']> & { readonly secret: string }

/** Has the primary server of the zone, which it is asked for where none is set, put a TXT record there, or take this one away and no other of its name: a dynamic update
 *  (RFC 2136) signed by TSIG (RFC 8945), which said twice changes nothing more. A record that is an alias is
 *  followed to where it leads. Throws CaRefusal: of the problem dnsUpdate where the server refuses, unreachable where it
 *  cannot be asked. */
export async function updateDns(
  ctx: Context,
  update: DnsUpdate,
  { action, name, value }: Pick<DnsRecord, 'action' | 'name' | 'value'>,
): Promise<void> {
  const { server, keyName, algorithm, secret } = update
  const place = await placeOf(ctx, update, name)
  const zone = update.zone ?? (await zoneOf(ctx, update, place))
  const key = { name: keyName, algorithm, secret: Buffer.from(secret, 'base64') }
  const time = Math.floor(ctx.now().getTime() / 1000)
  const asked = { server, zone, name: place, keyName, algorithm, time }
  const id = randomInt(65_536)
  const { octets, mac } = written(place, () =>
    signRequest(updateMessage(id, { action, zone, name: place, value }), key, time),
  )
  const { refusal } = await askServer(ctx.config, server, octets, (message) => {
    const answer = answerIn(message)
    const now = Math.floor(ctx.now().getTime() / 1000)
    if (answer?.id !== id) return undefined
    return outcomeOf({ message, answer }, { key, requestMac: mac, time: now }, asked)
  })
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
  { message, answer }: { readonly message: Buffer; readonly answer: UpdateAnswer },
  request: { readonly key: TsigKey; readonly requestMac: Buffer; readonly time: number },
  asked: UpdateAttempt,
): { readonly trusted: boolean; readonly refusal: CaRefusal | undefined } {
  const fault = signatureFault(message, answer, request)
  const refusal = updateRefusal(answer, asked)
  if (fault === undefined) return { trusted: true, refusal }
  const told = fault === 'unsigned' ? refusal : undefined
  return { trusted: false, refusal: told ?? disbelief(fault, asked) }
}

import { randomInt } from 'node:crypto'
import type { CaChallengeSettings } from '../../../authorities/acme/schema.ts'
import type { Context } from '../../../core/context.ts'
import { CaRefusal } from '../../client/refusal.ts'
import { targetOf } from '../dns.ts'
import type { DnsRecord } from '../webhook.ts'
import { askServer } from './exchange.ts'
import { readAnswer, type UpdateAnswer, updateMessage } from './message.ts'
import { MalformedMessage } from './names.ts'
import { disbelief, type UpdateAttempt, updateRefusal } from './refusals.ts'
import { signatureFault, signRequest, type TsigKey } from './tsig.ts'

/** By what a zone is updated: as it is set, with the secret of its key in base64. */
export type DnsUpdate = NonNullable<CaChallengeSettings['rfc2136']> & { readonly secret: string }

/** Has the primary server of the zone put a TXT record there, or take this one away and no other of its name: a dynamic update
 *  (RFC 2136) signed by TSIG (RFC 8945), which said twice changes nothing more. A record that is an alias is
 *  followed to where it leads. Throws CaRefusal: of the problem dnsUpdate where the server refuses, unreachable where it
 *  cannot be asked. */
export async function updateDns(
  ctx: Context,
  { server, zone, keyName, algorithm, secret }: DnsUpdate,
  { action, name, value }: Pick<DnsRecord, 'action' | 'name' | 'value'>,
): Promise<void> {
  const place = await placeIn(ctx, zone, name)
  const key = { name: keyName, algorithm, secret: Buffer.from(secret, 'base64') }
  const time = Math.floor(ctx.now().getTime() / 1000)
  const asked = { server, zone, name: place, keyName, algorithm, time }
  const id = randomInt(65_536)
  const { octets, mac } = written(asked, () =>
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
async function placeIn(ctx: Context, zone: string, name: string): Promise<string> {
  const place = await targetOf(ctx, name)
  const bare = (each: string) => each.replace(/\.$/, '').toLowerCase()
  if (`.${bare(place)}`.endsWith(`.${bare(zone)}`)) return place
  const led = place === name ? '' : `, which is an alias of ${place},`
  const text = `${name}${led} is not in the zone ${zone}, which is what is updated`
  throw new CaRefusal('dnsUpdate', text, { status: 403 })
}

function written<T>({ name }: UpdateAttempt, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error
    const text = `No update can be written for ${name}: ${error.message}`
    throw new CaRefusal('dnsUpdate', text, { status: 403 })
  }
}

function answerIn(message: Buffer): UpdateAnswer | undefined {
  try {
    return readAnswer(message)
  } catch (error) {
    if (error instanceof MalformedMessage || error instanceof RangeError) return undefined
    throw error
  }
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

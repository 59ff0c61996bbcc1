import { randomInt } from 'node:crypto'
import type { CaChallengeSettings } from '../../../authorities/acme/schema.ts'
import type { Context } from '../../../core/context.ts'
import { CaRefusal } from '../../client/refusal.ts'
import { answerIn, askServer, written } from './exchange.ts'
import { type UpdateAnswer, zoneQuestion } from './message.ts'
import { wireName } from './names.ts'
import { disbelief, type UpdateAttempt, updateRefusal } from './refusals.ts'
import { signatureFault, signRequest, type TsigKey } from './tsig.ts'

type Asking = NonNullable<CaChallengeSettings['rfc2136']> & { readonly secret: string }

/** The zone in which a name is, as the server says that has it (RFC 2308 3): asked in the name of the key and believed only by its
 *  signature, as an update is. Throws CaRefusal. */
export async function zoneOf(ctx: Context, asking: Asking, name: string): Promise<string> {
  const { server, keyName, algorithm, secret } = asking
  const key = { name: keyName, algorithm, secret: Buffer.from(secret, 'base64') }
  const time = Math.floor(ctx.now().getTime() / 1000)
  const id = randomInt(65_536)
  const { octets, mac } = written(name, () => signRequest(zoneQuestion(id, name), key, time))
  const { zone, refusal } = await askServer(ctx.config, server, octets, (message) => {
    const answer = answerIn(message, 'query')
    if (answer?.id !== id) return undefined
    const now = Math.floor(ctx.now().getTime() / 1000)
    const request = { key, requestMac: mac, time: now }
    return outcomeOf({ message, answer }, request, { ...asking, zone: '', name, time })
  })
  if (zone === undefined) throw refusal
  return zone
}

const nothingThere = 3

function outcomeOf(
  { message, answer }: { readonly message: Buffer; readonly answer: UpdateAnswer },
  request: { readonly key: TsigKey; readonly requestMac: Buffer; readonly time: number },
  asked: UpdateAttempt,
): { readonly trusted: boolean; readonly zone?: string; readonly refusal?: CaRefusal } {
  const fault = signatureFault(message, answer, request)
  const { rcode, authoritative, signature } = answer
  const found = rcode === 0 || rcode === nothingThere
  if (fault !== undefined && (found || fault !== 'unsigned')) {
    return { trusted: false, refusal: disbelief(fault, asked) }
  }
  const trusted = fault === undefined
  const refusal = found || !signature?.tsig.error ? undefined : updateRefusal(answer, asked)
  if (refusal) return { trusted, refusal }
  const zone = found && authoritative ? zoneAmong(answer, asked.name) : undefined
  return zone === undefined ? { trusted, refusal: noZone(rcode, asked) } : { trusted, zone }
}

/** The zone of the answer, if the name is in it. */
function zoneAmong({ zone }: UpdateAnswer, name: string): string | undefined {
  const labels = name.replace(/\.$/, '').split('.')
  return labels
    .map((_, at) => labels.slice(at).join('.'))
    .find((each) => zone !== undefined && wireName(each).equals(zone))
}

const [failed, notAuth] = [2, 9]

function noZone(rcode: number, { server, name, keyName }: UpdateAttempt): CaRefusal {
  if (rcode === notAuth) {
    const text = `The DNS server ${server} does not take the key "${keyName}": it knows none of this name and algorithm, or has another secret (NOTAUTH)`
    return new CaRefusal('dnsUpdate', text, { status: 403 })
  }
  const text = `The DNS server ${server} does not say in which zone ${name} is (RCODE ${rcode}): it has none of it, or does not tell the key; name it as zone of rfc2136`
  return new CaRefusal('dnsUpdate', text, { status: rcode === failed ? 503 : 403 })
}

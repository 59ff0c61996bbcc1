import type { Context } from '../../../core/context.ts'
import { CaRefusal } from '../../client/refusal.ts'
import { type UpdateAnswer, zoneQuestion } from './message.ts'
import { wireName } from './names.ts'
import { disbelief, type UpdateAttempt, updateRefusal } from './refusals.ts'
import { askSigned, type DnsUpdate, type Told } from './signed.ts'

/** The zone in which a name is, as the server says that has it (RFC 2308 3): asked in the name of the key and believed only by its
 *  signature, as an update is. Throws CaRefusal. */
export async function zoneOf(ctx: Context, asking: DnsUpdate, name: string): Promise<string> {
  const message = (id: number) => zoneQuestion(id, name)
  const { zone, refusal } = await askSigned(
    ctx,
    asking,
    { opcode: 'query', name, message },
    (told, time) => outcomeOf(told, { ...asking, zone: '', name, time }),
  )
  if (zone === undefined) throw refusal
  return zone
}

const nothingThere = 3

function outcomeOf(
  { answer, fault }: Told,
  asked: UpdateAttempt,
): { readonly trusted: boolean; readonly zone?: string; readonly refusal?: CaRefusal } {
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

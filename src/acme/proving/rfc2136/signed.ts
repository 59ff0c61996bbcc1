import { randomInt } from 'node:crypto'
import type { CaChallengeSettings } from '../../../authorities/acme/schema.ts'
import type { Context } from '../../../core/context.ts'
import { CaRefusal } from '../../client/refusal.ts'
import { askServer } from './exchange.ts'
import { type Opcode, readAnswer, type UpdateAnswer } from './message.ts'
import { MalformedMessage } from './names.ts'
import { type SignatureFault, signatureFault, signRequest } from './tsig.ts'

/** By what a zone is updated: as it is set, with the secret of its key in base64. */
export type DnsUpdate = NonNullable<CaChallengeSettings['rfc2136']> & { readonly secret: string }

/** What a server is asked about a name: the message of an id. */
type Question = {
  readonly opcode: Opcode
  readonly name: string
  readonly message: (id: number) => Buffer
}

/** What a server answered, and what is wrong with its signature; undefined: nothing. */
export type Told = { readonly answer: UpdateAnswer; readonly fault: SignatureFault | undefined }

/** Asks a server, signed by TSIG (RFC 8945), and answers what `judge` makes of its answer and of when it was asked (seconds
 *  since 1970). Throws CaRefusal: of the problem dnsUpdate for what cannot be written, unreachable where nothing comes back. */
export function askSigned<T>(
  ctx: Context,
  { server, keyName, algorithm, secret }: DnsUpdate,
  { opcode, name, message: write }: Question,
  judge: (told: Told, time: number) => T & { readonly trusted: boolean },
): Promise<T & { readonly trusted: boolean }> {
  const key = { name: keyName, algorithm, secret: Buffer.from(secret, 'base64') }
  const seconds = () => Math.floor(ctx.now().getTime() / 1000)
  const time = seconds()
  const id = randomInt(65_536)
  const { octets, mac } = written(name, () => signRequest(write(id), key, time))
  return askServer<T>(ctx.config, server, octets, (message) => {
    const answer = answerIn(message, opcode)
    if (answer?.id !== id) return undefined
    const request = { key, requestMac: mac, time: seconds() }
    return judge({ answer, fault: signatureFault(message, answer, request) }, time)
  })
}

function written<Signed>(name: string, work: () => Signed): Signed {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error
    const text = `No update can be written for ${name}: ${error.message}`
    throw new CaRefusal('dnsUpdate', text, { status: 403 })
  }
}

/** An answer to what was asked; undefined: it is none. */
function answerIn(message: Buffer, opcode: Opcode): UpdateAnswer | undefined {
  try {
    return readAnswer(message, opcode)
  } catch (error) {
    if (error instanceof MalformedMessage || error instanceof RangeError) return undefined
    throw error
  }
}

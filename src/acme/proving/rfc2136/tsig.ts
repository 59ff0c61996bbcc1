import { createHmac, timingSafeEqual } from 'node:crypto'
import type { CaChallengeSettings } from '../../../authorities/acme/schema.ts'
import {
  shorts,
  type Tsig,
  tsigVariables,
  type UpdateAnswer,
  withoutTsig,
  withTsig,
} from './message.ts'
import { wireName } from './names.ts'

/** A key that a server of DNS and whoever updates it share. */
export type TsigKey = {
  readonly name: string
  readonly algorithm: NonNullable<CaChallengeSettings['rfc2136']>['algorithm']
  readonly secret: Buffer
}

/** RFC 8945 6 (Table 3). */
const hashes = {
  'hmac-sha256': 'sha256',
  'hmac-sha384': 'sha384',
  'hmac-sha512': 'sha512',
} as const

/** By how many seconds the clocks may differ (RFC 8945 10). */
const fuzzSeconds = 300

/** Signs a request (RFC 8945 5.1) at a time in seconds since 1970: its octets to be sent, and the MAC that its answer is signed
 *  with. The MAC is whole, never truncated. Throws MalformedMessage for a name that is none. */
export function signRequest(
  message: Buffer,
  key: TsigKey,
  time: number,
): { readonly octets: Buffer; readonly mac: Buffer } {
  const unsigned = {
    ...{ name: wireName(key.name), algorithm: wireName(key.algorithm), time, fuzz: fuzzSeconds },
    ...{ originalId: message.readUInt16BE(0), error: 0 },
    ...{ mac: Buffer.alloc(0), other: Buffer.alloc(0) },
  }
  const mac = macOf(key, [message, tsigVariables(unsigned)])
  return { octets: withTsig(message, { ...unsigned, mac }), mac }
}

/** Why an answer is not believed: badkey, it is of another key; badsig, its MAC is another; badtime, the clocks differ. */
export type SignatureFault = 'unsigned' | 'badkey' | 'badsig' | 'badtime'

/** Holds the signature of an answer against the request whose MAC this is (RFC 8945 5.2, 5.3): its key, its MAC over that of the
 *  request and all of the answer, and only then its time, in seconds since 1970. Undefined: it is right. */
export function signatureFault(
  message: Buffer,
  { signature }: UpdateAnswer,
  {
    key,
    requestMac,
    time,
  }: { readonly key: TsigKey; readonly requestMac: Buffer; readonly time: number },
): SignatureFault | undefined {
  if (!signature || signature.tsig.mac.length === 0) return 'unsigned'
  const { tsig } = signature
  const own = tsig.name.equals(wireName(key.name)) && tsig.algorithm.equals(wireName(key.algorithm))
  if (!own) return 'badkey'
  const before = [shorts(requestMac.length), requestMac]
  const mac = macOf(key, [...before, withoutTsig(message, signature), tsigVariables(tsig)])
  // A shorter one is a truncated one (RFC 8945 5.2.2.1), for which nobody asked.
  if (mac.length !== tsig.mac.length || !timingSafeEqual(mac, tsig.mac)) return 'badsig'
  return Math.abs(time - tsig.time) > tsig.fuzz ? 'badtime' : undefined
}

/** Where the server says BADTIME, its own time in seconds since 1970 (RFC 8945 5.2.3). */
export function serverTime({ other }: Tsig): number | undefined {
  return other.length === 6 ? other.readUIntBE(0, 6) : undefined
}

function macOf({ algorithm, secret }: TsigKey, parts: readonly Buffer[]): Buffer {
  const hmac = createHmac(hashes[algorithm], secret)
  for (const part of parts) hmac.update(part)
  return hmac.digest()
}

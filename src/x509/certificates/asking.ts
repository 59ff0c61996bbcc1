import { context, integer, sequence, setOf } from '../der/encoding.ts'
import { oid, oids } from '../der/oids.ts'
import type { Signer } from '../keys/sign.ts'
import { assemble } from '../keys/sign.ts'
import { noAltNames } from '../names/altnames.ts'
import { emptyName } from '../names/distinguished.ts'
import { altNamesExtension } from './extensions.ts'

/** The bytes of a request (PKCS#10, RFC 2986 4) that its own key signs: for these DNS names and an empty subject, as
 *  ACME CAs take it (RFC 8555 7.4). */
function requestInfo(spki: Buffer, dnsNames: readonly string[]): Buffer {
  const names = altNamesExtension({ ...noAltNames, dnsNames: [...dnsNames] }, true)
  const asked = sequence(oid(oids.extensionRequest), setOf(sequence(names)))
  return sequence(integer(0), emptyName, spki, context(0, asked))
}

/** A certificate request for these DNS names, in DER, signed by the key that it is for. */
export async function writeRequest(
  signer: Signer,
  { spki, dnsNames }: { readonly spki: Buffer; readonly dnsNames: readonly string[] },
): Promise<Buffer> {
  const info = requestInfo(spki, dnsNames)
  return assemble(info, signer.algorithm, await signer.sign(info))
}

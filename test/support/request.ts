import {
  altNamesExtension,
  basicConstraintsExtension,
  extendedKeyUsageExtension,
  type KeyUsage,
  keyUsageExtension,
} from '../../src/x509/certificates/extensions.ts'
import { context, integer, sequence, setOf } from '../../src/x509/der/encoding.ts'
import { oid, oids } from '../../src/x509/der/oids.ts'
import { assemble, type Signer } from '../../src/x509/keys/sign.ts'
import { type AltNames, countAltNames } from '../../src/x509/names/altnames.ts'
import type { DistinguishedName } from '../../src/x509/names/attributes.ts'
import { emptyName, encodeName } from '../../src/x509/names/distinguished.ts'

/** What to put into a request, as others ask: anything at all. */
export type RequestInput = {
  readonly subject: DistinguishedName | Buffer
  readonly altNames: AltNames
  readonly spki: Buffer
  readonly signer: Signer
  readonly asks?: {
    readonly ca?: boolean
    readonly keyUsage?: readonly KeyUsage[]
    readonly extendedKeyUsage?: readonly string[]
  }
  /** Further extensions, and further attributes, encoded. */
  readonly extensions?: readonly Buffer[]
  readonly attributes?: readonly Buffer[]
}

/** A PKCS#10 request in DER, signed by `signer`, whose public half is `spki` (RFC 2986 4). */
export async function createRequest(input: RequestInput): Promise<Buffer> {
  const { subject, altNames, spki, signer, asks = {}, extensions = [] } = input
  const { attributes: further = [] } = input
  const name = Buffer.isBuffer(subject) ? subject : encodeName(subject)
  const requested = [
    ...(countAltNames(altNames) > 0 ? [altNamesExtension(altNames, name.equals(emptyName))] : []),
    ...(asks.ca === undefined ? [] : [basicConstraintsExtension(asks.ca)]),
    ...(asks.keyUsage ? [keyUsageExtension(asks.keyUsage)] : []),
    ...(asks.extendedKeyUsage ? [extendedKeyUsageExtension(asks.extendedKeyUsage)] : []),
    ...extensions,
  ]
  const attribute = sequence(oid(oids.extensionRequest), setOf(sequence(...requested)))
  const attributes = context(0, ...(requested.length > 0 ? [attribute] : []), ...further)
  const info = sequence(integer(0), name, spki, attributes)
  return assemble(info, signer.algorithm, await signer.sign(info))
}

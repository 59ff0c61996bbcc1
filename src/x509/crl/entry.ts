import { extension } from '../certificates/extensions.ts'
import { type Extension, extensionsOf } from '../certificates/facts.ts'
import { type Element, integer, malformed, readDer, sequence, tags, tlv } from '../der/encoding.ts'
import { X509Error } from '../der/errors.ts'
import { contentsOf, expectTag, magnitude, numberOf, sequenceOf } from '../der/fields.ts'
import { oids } from '../der/oids.ts'
import { encodeGeneralizedTime, encodeTime, timeOf } from '../der/time.ts'
import { type AnyReason, type RevocationReason, reasonNumbers, reasonOf } from './reasons.ts'

/** One certificate that is no longer good. */
export type Revocation = {
  /** Lower-case hex, as in the certificate. */
  readonly serial: string
  readonly revokedAt: Date
  readonly reason?: RevocationReason
  readonly invalidityDate?: Date
}

/** An entry of revokedCertificates (RFC 5280 5.3): the reason left out when unspecified, extensions
 *  never critical. It depends on nothing else, so the caller may keep it. */
export function encodeEntry(revocation: Revocation): Buffer {
  const { serial, revokedAt, reason = 'unspecified', invalidityDate } = revocation
  if (!/^([0-9a-f]{2}){1,20}$/.test(serial))
    throw new X509Error('serial-invalid', 'A serial on a list is 1 to 20 octets of lower-case hex')
  const invalid = invalidityDate ? [invalidityExtension(invalidityDate)] : []
  const extensions = [...reasonExtensions[reason], ...invalid]
  return sequence(
    integer(Buffer.from(serial, 'hex')),
    encodeTime(revokedAt),
    ...(extensions.length > 0 ? [sequence(...extensions)] : []),
  )
}

function invalidityExtension(at: Date): Buffer {
  return extension(oids.invalidityDate, false, encodeGeneralizedTime(at))
}

const reasonExtensions: Readonly<Record<RevocationReason, readonly Buffer[]>> = {
  unspecified: [],
  keyCompromise: reasonExtension('keyCompromise'),
  cACompromise: reasonExtension('cACompromise'),
  affiliationChanged: reasonExtension('affiliationChanged'),
  superseded: reasonExtension('superseded'),
  cessationOfOperation: reasonExtension('cessationOfOperation'),
  privilegeWithdrawn: reasonExtension('privilegeWithdrawn'),
}

function reasonExtension(reason: RevocationReason): readonly Buffer[] {
  const number = tlv(tags.enumerated, Buffer.from([reasonNumbers[reason]]))
  return [extension(oids.reasonCode, false, number)]
}

/** An entry as read; without a reason the certificate is revoked for an unspecified one. */
export type CrlEntry = {
  readonly serial: string
  readonly revokedAt: Date
  readonly reason?: AnyReason
  readonly invalidityDate?: Date
}

/** Reads an entry of revokedCertificates. */
export function entryOf(element: Element): CrlEntry {
  const [serial, revokedAt, extra, ...more] = sequenceOf(element, 'an entry')
  if (more.length > 0) throw malformed('an entry')
  const extensions = extra ? extensionsOf(extra) : []
  const reason = valueIn(extensions, oids.reasonCode)
  const invalid = valueIn(extensions, oids.invalidityDate)
  const contents = contentsOf(expectTag(serial, tags.integer, 'a serial'))
  return {
    serial: magnitude(contents, 'a serial').toString('hex'),
    revokedAt: timeOf(revokedAt, 'revocationDate'),
    ...(reason ? { reason: knownReason(reason) } : {}),
    ...(invalid ? { invalidityDate: timeOf(invalid, 'invalidityDate') } : {}),
  }
}

/** The value of an extension, if it is there. */
export function valueIn(extensions: readonly Extension[], type: string): Element | undefined {
  const found = extensions.find(({ oid }) => oid === type)
  return found && readDer(found.value)
}

function knownReason(element: Element): AnyReason {
  const number = numberOf(contentsOf(expectTag(element, tags.enumerated, 'a reason')), 'a reason')
  const reason = reasonOf(number)
  if (reason === undefined) throw malformed('a revocation reason that does not exist')
  return reason
}

import { hash } from 'node:crypto'
import { extension } from './certificates/extensions.ts'
import { type Extension, extensionsOf } from './certificates/facts.ts'
import { type RevocationReason, reasonNumbers } from './crl/reasons.ts'
import {
  bitString,
  context,
  contextPrimitive,
  type Element,
  malformed,
  octetString,
  readDer,
  sequence,
  tags,
  tlv,
} from './der/encoding.ts'
import { contentsOf, encodedOf, expectTag, numberOf, sequenceOf, unsignedOf } from './der/fields.ts'
import { oid, oidOf, oids } from './der/oids.ts'
import { encodeGeneralizedTime, timeOf } from './der/time.ts'
import { keyBits } from './keys/public.ts'
import { type Signer, signatureAlgorithmOf } from './keys/sign.ts'

const digests = ['sha1', 'sha256', 'sha384', 'sha512'] as const
type Digest = (typeof digests)[number]

/** Which certificate is asked about (RFC 6960 4.1.1); `der` is echoed in the answer. */
export type CertId = {
  /** Undefined for a digest we do not compare by. */
  readonly digest: Digest | undefined
  readonly issuerNameHash: Buffer
  readonly issuerKeyHash: Buffer
  readonly serial: string
  readonly der: Buffer
}

/** A status request: the certificates asked about, and the nonce to echo. */
export type OcspRequest = { readonly asked: readonly CertId[]; readonly nonce?: Buffer }

const requestLimits = { bytes: 1 << 14, depth: 16, elements: 1000 }
const mostAsked = 32

/** Reads an OCSPRequest in DER (RFC 6960 4.1). A signature on it is passed over, as RFC 5019 allows.
 *  Throws `der-malformed` for rubbish, more than 32 questions, a nonce of 0 or more than 128 octets
 *  (RFC 9654 2.1), or a critical extension that is not understood (RFC 6960 4.4): answer
 *  `ocspError('malformedRequest')`. */
export function readOcspRequest(der: Buffer): OcspRequest {
  const [tbs, signature, ...further] = sequenceOf(readDer(der, requestLimits), 'an OCSP request')
  if (further.length > 0 || (signature && signature.tag !== 0xa0))
    throw malformed('an OCSP request')
  const parts = [...sequenceOf(tbs, 'a tbsRequest')]
  if (parts[0]?.tag === 0xa0) version1(parts.shift())
  if (parts[0]?.tag === 0xa1) parts.shift()
  const [list, wrapper, ...more] = parts
  const asked = sequenceOf(list, 'a requestList').map((request) =>
    questionOf(sequenceOf(request, 'a request')),
  )
  if (asked.length === 0 || asked.length > mostAsked) throw malformed('0 or more than 32 questions')
  if (more.length > 0 || (wrapper && wrapper.tag !== 0xa2)) throw malformed('a tbsRequest')
  const nonce = wrapper ? nonceOf(understood(wrapper)) : undefined
  return nonce ? { asked, nonce } : { asked }
}

function version1(wrapper: Element | undefined): void {
  const stated = expectTag(wrapper?.children[0], tags.integer, 'version')
  if (numberOf(contentsOf(stated), 'version') !== 0) throw malformed('an unknown version')
}

function questionOf([id, wrapper, ...more]: readonly Element[]): CertId {
  if (more.length > 0 || (wrapper && wrapper.tag !== 0xa0)) throw malformed('a request')
  if (wrapper) understood(wrapper)
  return certIdOf(id)
}

/** The nonce is all that is understood; to answer as if others were would promise what is not done. */
function understood(wrapper: Element): readonly Extension[] {
  if (wrapper.children.length !== 1) throw malformed('extensions')
  const extensions = extensionsOf(wrapper.children[0])
  const strange = extensions.find(({ oid: type, critical }) => critical && type !== oids.ocspNonce)
  if (strange) throw malformed(`a critical extension that is not known (${strange.oid})`)
  return extensions
}

function certIdOf(element: Element | undefined): CertId {
  const [algorithm, name, key, serial, ...more] = sequenceOf(element, 'a certID')
  if (element === undefined || more.length > 0) throw malformed('a certID')
  const stated = oidOf(sequenceOf(algorithm, 'hashAlgorithm')[0], 'hashAlgorithm')
  return {
    digest: digests.find((digest) => oids[digest] === stated),
    issuerNameHash: contentsOf(expectTag(name, tags.octetString, 'issuerNameHash')),
    issuerKeyHash: contentsOf(expectTag(key, tags.octetString, 'issuerKeyHash')),
    serial: unsignedOf(serial, 'serialNumber').toString('hex'),
    der: encodedOf(element),
  }
}

function nonceOf(extensions: readonly Extension[]): Buffer | undefined {
  const found = extensions.find(({ oid: type }) => type === oids.ocspNonce)
  if (found === undefined) return undefined
  const nonce = contentsOf(expectTag(readDer(found.value), tags.octetString, 'a nonce'))
  if (nonce.length < 1 || nonce.length > 128) throw malformed('a nonce is 1 to 128 octets')
  return nonce
}

/** How requests name an issuer, computed once. */
export type IssuerHashes = Readonly<Record<Digest, { readonly name: Buffer; readonly key: Buffer }>>

/** The hashes by which requests name the issuer with this subject and key (RFC 6960 4.1.1). */
export function issuerHashes(subjectDer: Buffer, spki: Buffer): IssuerHashes {
  const bits = keyBits(spki)
  const by = (digest: Digest) => ({
    name: hash(digest, subjectDer, 'buffer'),
    key: hash(digest, bits, 'buffer'),
  })
  return { sha1: by('sha1'), sha256: by('sha256'), sha384: by('sha384'), sha512: by('sha512') }
}

/** Whether the question is about a certificate of this issuer. */
export function asksAbout(id: CertId, hashes: IssuerHashes): boolean {
  if (id.digest === undefined) return false
  const { name, key } = hashes[id.digest]
  return name.equals(id.issuerNameHash) && key.equals(id.issuerKeyHash)
}

/** What is known of a certificate; one we did not issue is unknown, never good. */
export type CertStatus =
  | { readonly status: 'good' }
  | { readonly status: 'unknown' }
  | { readonly status: 'revoked'; readonly revokedAt: Date; readonly reason?: RevocationReason }

/** One answer: to which question, what, and how long it holds. */
export type OcspAnswer = CertStatus & {
  readonly certId: Buffer
  readonly thisUpdate: Date
  readonly nextUpdate: Date
}

/** What a response is made of. `certificates` holds the delegated responder's, if it is one. */
export type OcspResponseInput = {
  readonly answers: readonly OcspAnswer[]
  readonly producedAt: Date
  readonly nonce?: Buffer
  readonly responderSpki: Buffer
  readonly signer: Signer
  readonly certificates: readonly Buffer[]
}

/** A successful basic response in DER, the responder named by its key (RFC 6960 4.2.1). */
export async function buildOcspResponse(input: OcspResponseInput): Promise<Buffer> {
  const { signer, certificates } = input
  const tbs = responseData(input)
  const included = certificates.length > 0 ? [context(0, sequence(...certificates))] : []
  const basic = sequence(
    tbs,
    signatureAlgorithmOf(signer.algorithm),
    bitString(await signer.sign(tbs)),
    ...included,
  )
  return sequence(
    tlv(tags.enumerated, Buffer.from([0])),
    context(0, sequence(oid(oids.ocspBasic), octetString(basic))),
  )
}

function responseData({ answers, producedAt, nonce, responderSpki }: OcspResponseInput): Buffer {
  const keyHash = hash('sha1', keyBits(responderSpki), 'buffer')
  const echoed = nonce ? [extension(oids.ocspNonce, false, octetString(nonce))] : []
  return sequence(
    context(2, octetString(keyHash)),
    encodeGeneralizedTime(producedAt),
    sequence(...answers.map(singleResponse)),
    ...(echoed.length > 0 ? [context(1, sequence(...echoed))] : []),
  )
}

function singleResponse(answer: OcspAnswer): Buffer {
  return sequence(
    answer.certId,
    certStatus(answer),
    encodeGeneralizedTime(answer.thisUpdate),
    context(0, encodeGeneralizedTime(answer.nextUpdate)),
  )
}

const nothing = Buffer.alloc(0)

function certStatus(answer: CertStatus): Buffer {
  if (answer.status === 'good') return contextPrimitive(0, nothing)
  if (answer.status === 'unknown') return contextPrimitive(2, nothing)
  const { revokedAt, reason = 'unspecified' } = answer
  const number = tlv(tags.enumerated, Buffer.from([reasonNumbers[reason]]))
  const stated = reason === 'unspecified' ? [] : [context(0, number)]
  return context(1, encodeGeneralizedTime(revokedAt), ...stated)
}

/** Answers without a signature (RFC 6960 2.3). */
export const ocspErrors = {
  malformedRequest: 1,
  internalError: 2,
  tryLater: 3,
  sigRequired: 5,
  unauthorized: 6,
} as const

/** An error response in DER. */
export function ocspError(error: keyof typeof ocspErrors): Buffer {
  return sequence(tlv(tags.enumerated, Buffer.from([ocspErrors[error]])))
}

const responseLimits = { bytes: 1 << 16, depth: 24, elements: 2000 }

/** What a response says of the certificate of this serial, as a client finds it stapled to a handshake
 *  (RFC 6960 4.2.1); undefined when it says nothing of it. Nobody's signature is verified. Throws
 *  `der-malformed` for what is no successful basic response. */
export function readOcspResponse(
  der: Buffer,
  serial: string,
):
  | {
      readonly status: CertStatus['status']
      readonly thisUpdate: Date
      readonly nextUpdate: Date | null
    }
  | undefined {
  const [status, wrapper] = sequenceOf(readDer(der, responseLimits), 'an OCSP response')
  const code = numberOf(
    contentsOf(expectTag(status, tags.enumerated, 'responseStatus')),
    'its status',
  )
  if (code !== 0) throw malformed(`an OCSP response without an answer (${code})`)
  const [type, octets] = sequenceOf(wrapper?.children[0], 'responseBytes')
  if (oidOf(type, 'responseType') !== oids.ocspBasic) throw malformed('an unknown responseType')
  const basic = contentsOf(expectTag(octets, tags.octetString, 'response'))
  const [data] = sequenceOf(readDer(basic, responseLimits), 'a BasicOCSPResponse')
  // The first SEQUENCE: version and responderID are tagged, producedAt is a time.
  const list = sequenceOf(data, 'responseData').find(({ tag }) => tag === tags.sequence)
  for (const single of sequenceOf(list, 'responses')) {
    const [id, about, from, to] = sequenceOf(single, 'a singleResponse')
    if (certIdOf(id).serial !== serial || about === undefined) continue
    return {
      status: statusOf(about),
      thisUpdate: timeOf(from, 'thisUpdate'),
      nextUpdate: to?.tag === 0xa0 ? timeOf(to.children[0], 'nextUpdate') : null,
    }
  }
  return undefined
}

function statusOf({ tag }: Element): CertStatus['status'] {
  if (tag === 0x80) return 'good'
  if (tag === 0xa1) return 'revoked'
  if (tag === 0x82) return 'unknown'
  throw malformed('certStatus')
}

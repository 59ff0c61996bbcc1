import type { ParsedCertificate, Tbs } from '../certificates/read.ts'
import type { CertificateProfile } from '../certificates/template.ts'
import type { NameConstraints } from '../constraints/subtrees.ts'
import type { KeyAlgorithm } from '../keys/public.ts'

/** What the caller's policy allows; what is left out takes the room's own bounds. */
export type Allowed = {
  readonly keyAlgorithms?: readonly KeyAlgorithm[]
  /** Length of the period, both ends included. */
  readonly lifetimeSeconds?: number
  /** With `now`, how far in the past notBefore may lie. */
  readonly backdateSeconds?: number
  readonly now?: Date
  /** The URL every certificate of this issuer must name for its revocation list. */
  readonly crlUrl?: string
  /** How many authorities may follow below the issuer, by its whole path (`roomBelow`). */
  readonly room?: number
  /** Name constraints of the authorities above the issuer; the issuer's own always hold. */
  readonly constraints?: readonly NameConstraints[]
}

/** What is known when the bytes are about to be signed. Without `issuer` they are a root's own. */
export type LintContext = {
  readonly issuer?: ParsedCertificate
  /** The certificate of the same key that this one stands for: a self-signed twin, or crosswise. */
  readonly standsFor?: ParsedCertificate
  /** The certificate of an earlier key of the same authority. */
  readonly succeeds?: ParsedCertificate
  readonly profile: CertificateProfile
  readonly allowed: Allowed
}

/** One question put to the bytes about to be signed; `check` answers with the fault, if any. */
export type Rule = {
  readonly name: string
  readonly clause: string
  readonly applies: (profile: CertificateProfile) => boolean
  readonly check: (tbs: Tbs, context: LintContext) => string | undefined
}

/** Rules for every certificate. */
export function every(): boolean {
  return true
}

/** Rules for authorities. */
export function authority(profile: CertificateProfile): boolean {
  return profile === 'root' || profile === 'intermediate'
}

/** Rules for certificates that certify nothing further. */
export function leaf(profile: CertificateProfile): boolean {
  return !authority(profile)
}

/** Rules for certificates a TLS server shows. */
export function server(profile: CertificateProfile): boolean {
  return profile === 'server' || profile === 'peer'
}

/** Rules for certificates another one signs. */
export function issued(profile: CertificateProfile): boolean {
  return profile !== 'root'
}

/** The sentence, if the condition is broken. */
export function unless(holds: boolean, sentence: string): string | undefined {
  return holds ? undefined : sentence
}

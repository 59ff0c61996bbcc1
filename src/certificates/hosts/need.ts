import { type CompleteSpec, namesOf } from '../../hosts/host.ts'
import { day } from '../../shared/moment.ts'
import { validityOf } from '../../x509/certificates/validity.ts'
import { type Renewable, type RenewalReason, renewalReason } from '../renewal/rules.ts'

/** The parts of a certificate that its host depends on. */
export type HeldCertificate = Renewable & {
  /** Undefined: it was uploaded. */
  readonly authority: string | undefined
  readonly keyAlgorithm: string
  readonly dnsNames: readonly string[]
  readonly organization: string | undefined
  readonly notBefore: Date
  /** Undefined: a CA elsewhere signed it, which alone says for how long, and what the subject is. */
  readonly issuerNotAfter: Date | undefined
}

/** Why a host needs another certificate. While it is `urgent`, what it has is of no use. */
export type CertificateNeed = {
  readonly reason: RenewalReason | 'misfit'
  readonly message: string
  readonly urgent: boolean
}

/** Why a host needs another certificate than the one it has, or undefined when that one fits and is
 *  not due for renewal. The first reason counts, in this order: missing, revoked, ended, issued by
 *  another authority, of other names, of another key, of another organization, of another length than
 *  `days`, and then the rest of renewalReason. */
export function certificateNeed(
  held: HeldCertificate | undefined,
  wanted: { name: string; spec: CompleteSpec; days: number; now: Date },
): CertificateNeed | undefined {
  if (!held) return { reason: 'misfit', message: 'it has none', urgent: true }
  const reason = renewalReason(held, wanted.now)
  const message = reason === 'revoked' || reason === 'ended' ? undefined : misfit(held, wanted)
  if (message !== undefined) return { reason: 'misfit', message, urgent: true }
  return reason && { reason, message: sentences[reason], urgent: isUrgent(reason) }
}

function isUrgent(reason: RenewalReason): boolean {
  return reason === 'revoked' || reason === 'ended'
}

const sentences: Readonly<Record<RenewalReason, string>> = {
  revoked: 'it was revoked',
  ended: 'it ended',
  ordered: 'its replacement was ordered',
  'issuer-retired': 'its authority signs with another key now',
  policy: 'it is not allowed as it is any more',
  due: 'it is due for renewal',
  early: 'it is due and would end before the next renewal window closes',
  asked: 'a new one was asked for',
}

function misfit(
  held: HeldCertificate,
  { name, spec, days }: { name: string; spec: CompleteSpec; days: number },
): string | undefined {
  const { authority, keyAlgorithm, organization } = spec.certificate
  const reasons: readonly (readonly [boolean, string])[] = [
    [held.authority !== authority, 'another authority is asked for'],
    [isForOthers(held.dnsNames, namesOf(name, spec)), 'it is for other names'],
    [held.keyAlgorithm !== keyAlgorithm, 'another key algorithm is asked for'],
    ...ownReasons(held, { organization, days }),
  ]
  return reasons.find(([broken]) => broken)?.[1]
}

/** Of what is issued here alone. */
function ownReasons(
  held: HeldCertificate,
  { organization, days }: { organization: string | undefined; days: number },
): readonly (readonly [boolean, string])[] {
  if (held.issuerNotAfter === undefined) return []
  const issuer = { notBefore: held.notBefore, notAfter: held.issuerNotAfter }
  const wanted = validityOf({ from: held.notBefore, milliseconds: days * day }, [issuer])
  return [
    [held.organization !== organization, 'another organization is asked for'],
    [held.notAfter.getTime() !== wanted.notAfter.getTime(), 'another validity is asked for'],
  ]
}

/** In whatever order: a certificate of one name more or less is another one. */
function isForOthers(held: readonly string[], wanted: readonly string[]): boolean {
  const [all, common] = [
    new Set([...held, ...wanted]),
    new Set(held.filter((name) => wanted.includes(name))),
  ]
  return all.size > common.size
}

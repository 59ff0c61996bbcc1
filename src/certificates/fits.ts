import type { CompleteSpec } from '../hosts/host.ts'

const day = 86_400_000

/** What of a certificate matters to the host that it is for. */
export type Held = {
  readonly status: string
  readonly authority: string
  readonly keyAlgorithm: string
  readonly dnsNames: readonly string[]
  readonly organization: string | undefined
  readonly notBefore: Date
  readonly notAfter: Date
  readonly issuerNotAfter: Date
}

/** Why a host needs another certificate than the one it has, or undefined when that one fits. The
 *  first reason in this order counts: missing, revoked, ended, issued by another authority, of other
 *  names, of another key, of another organization, of another length. */
export function misfit(
  held: Held | undefined,
  { name, spec, now }: { name: string; spec: CompleteSpec; now: Date },
): string | undefined {
  if (!held) return 'it has none'
  const { authority, keyAlgorithm, organization, validityDays } = spec.certificate
  const asked = held.notBefore.getTime() + validityDays * day - 1000
  const end = Math.min(asked, held.issuerNotAfter.getTime())
  const reasons: readonly (readonly [boolean, string])[] = [
    [held.status === 'revoked', 'it was revoked'],
    [held.notAfter <= now, 'it ended'],
    [held.authority !== authority, 'another authority is asked for'],
    [held.dnsNames.length !== 1 || held.dnsNames[0] !== name, 'it is for another name'],
    [held.keyAlgorithm !== keyAlgorithm, 'another key algorithm is asked for'],
    [held.organization !== organization, 'another organization is asked for'],
    [held.notAfter.getTime() !== end, 'another validity is asked for'],
  ]
  return reasons.find(([broken]) => broken)?.[1]
}

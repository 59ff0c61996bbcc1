import { oids } from '../der/oids.ts'
import type { Certificate } from './read.ts'

/** What leaves of each profile are for (RFC 5280 4.2.1.12). */
export const profilePurposes = {
  server: [oids.serverAuth],
  client: [oids.clientAuth],
  peer: [oids.serverAuth, oids.clientAuth],
} as const

export type LeafProfile = keyof typeof profilePurposes

const leafProfiles = ['server', 'client', 'peer'] as const

type Purposed = Pick<Certificate, 'extendedKeyUsage'>

/** The purposes that an authority's certificate names for all below it, as verifiers take them; empty:
 *  any. */
export function limitingPurposes({ extendedKeyUsage }: Purposed): readonly string[] {
  return extendedKeyUsage.includes(oids.anyExtendedKeyUsage) ? [] : extendedKeyUsage
}

/** Whether a verifier takes this purpose from a certificate below this authority. */
export function servesPurpose(authority: Purposed, purpose: string): boolean {
  const limits = limitingPurposes(authority)
  return limits.length === 0 || limits.includes(purpose)
}

/** The profiles of which leaves below all these authorities are taken for what they are for. */
export function profilesUnder(path: readonly Purposed[]): readonly LeafProfile[] {
  return leafProfiles.filter((profile) =>
    profilePurposes[profile].every((purpose) => path.every((one) => servesPurpose(one, purpose))),
  )
}

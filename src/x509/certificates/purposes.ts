import { oids } from '../der/oids.ts'
import type { ParsedCertificate } from './read.ts'

/** What leaves of each profile are for (RFC 5280 4.2.1.12). */
export const profilePurposes = {
  server: [oids.serverAuth],
  client: [oids.clientAuth],
  peer: [oids.serverAuth, oids.clientAuth],
} as const

export type LeafProfile = keyof typeof profilePurposes

const leafProfiles = ['server', 'client', 'peer'] as const

type Purposed = Pick<ParsedCertificate, 'extendedKeyUsage'>

/** Whether every verifier takes this purpose from a certificate below this authority: none named means
 *  any, but anyExtendedKeyUsage does not (OpenSSL, and so Envoy, wants the purpose itself). */
export function servesPurpose({ extendedKeyUsage }: Purposed, purpose: string): boolean {
  return extendedKeyUsage.length === 0 || extendedKeyUsage.includes(purpose)
}

/** The profiles of which leaves below all these authorities are taken for what they are for. */
export function profilesUnder(path: readonly Purposed[]): readonly LeafProfile[] {
  return leafProfiles.filter((profile) =>
    profilePurposes[profile].every((purpose) => path.every((one) => servesPurpose(one, purpose))),
  )
}

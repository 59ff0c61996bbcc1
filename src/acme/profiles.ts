import Type from 'typebox'
import type { Profile } from '../shared/schema.ts'

/** What a client may order (draft-aaron-acme-profiles), by name. */
export const AcmeProfile = Type.Enum(['default', 'shortlived', 'peer', 'client'], {
  title: 'AcmeProfile',
  description:
    'default: a server certificate as long as the authority gives; shortlived: one of six days; peer: server and client; client',
})
export type AcmeProfile = Type.Static<typeof AcmeProfile>

type Terms = { readonly profile: Profile; readonly days?: number; readonly about: string }

const profileTerms: Readonly<Record<AcmeProfile, Terms>> = {
  default: { profile: 'server', about: 'For servers, as long as the authority gives by itself' },
  shortlived: { profile: 'server', days: 6, about: 'For servers, six days' },
  peer: { profile: 'peer', about: 'For servers that are clients too (mutual TLS)' },
  client: { profile: 'client', about: 'For clients' },
}

/** What a profile of ACME is here: which kind of leaf, and for how many days at most. */
export function termsOf(profile: AcmeProfile): Terms {
  return profileTerms[profile]
}

/** The profiles that an authority signs, and what each is: for the directory. */
export function profilesOffered({
  profiles,
}: {
  readonly profiles: readonly string[]
}): Readonly<Record<string, string>> {
  const offered = AcmeProfile.enum.filter((name) => profiles.includes(termsOf(name).profile))
  return Object.fromEntries(offered.map((name) => [name, termsOf(name).about]))
}

import type { Schemas } from '@gatesmith/client'

type NewAuthority = Schemas['NewAuthority']
type Challenge = Schemas['NewCaChallenge']

/** How names are proved, as the form has it. */
export const ways = {
  http: 'http-01: the gateways of each host answer',
  webhook: 'dns-01 by a webhook of yours',
  rfc2136: 'dns-01 by dynamic updates (RFC 2136)',
} as const
export type Way = keyof typeof ways

/** What the form of a CA elsewhere has: texts, empty where nothing is said. */
export type CaDraft = {
  readonly name: string
  readonly displayName: string
  readonly tenant: string
  readonly directory: string
  readonly contact: string
  readonly keyId: string
  readonly hmacKey: string
  readonly trustedRoots: string
  readonly profile: string
  readonly way: Way
  readonly url: string
  readonly server: string
  readonly zone: string
  readonly keyName: string
  readonly algorithm: string
  readonly secret: string
  readonly agreed: boolean
}

/** Nothing is said yet. */
export const newCaDraft: CaDraft = {
  ...{ name: '', displayName: '', tenant: '', directory: '', contact: '' },
  ...{ keyId: '', hmacKey: '', trustedRoots: '', profile: '', way: 'http', url: '' },
  ...{ server: '', zone: '', keyName: '', algorithm: 'hmac-sha256', secret: '', agreed: false },
}

/** By what dynamic updates are signed. */
export const tsigAlgorithms = ['hmac-sha256', 'hmac-sha384', 'hmac-sha512'] as const

/** What is sent for the form; what is empty is left out, and the service says what of it is missing. */
export function authorityOf(draft: CaDraft): NewAuthority {
  const { name, displayName, tenant, directory, trustedRoots, profile, keyId, hmacKey } = draft
  const contact = draft.contact.split(/[\s,;]+/).filter((each) => each !== '')
  return {
    ...{ name: name.trim(), kind: 'acme', directory: directory.trim() },
    ...(displayName === '' ? {} : { displayName }),
    ...(tenant === '' ? {} : { tenant }),
    ...(contact.length > 0 ? { contact } : {}),
    ...(keyId === '' && hmacKey === ''
      ? {}
      : { externalAccountBinding: { keyId: keyId.trim(), hmacKey: hmacKey.trim() } }),
    ...(trustedRoots.trim() === '' ? {} : { trustedRoots }),
    ...(profile === '' ? {} : { profile }),
    challenge: challengeOf(draft),
    termsOfServiceAgreed: draft.agreed,
  }
}

function challengeOf(draft: CaDraft): Challenge {
  const { way, url, server, zone, keyName, algorithm } = draft
  const secret = draft.secret.trim()
  if (way === 'http') return { type: 'http-01' }
  if (way === 'webhook') return { type: 'dns-01', webhook: { url: url.trim(), secret } }
  const signed = tsigAlgorithms.find((each) => each === algorithm) ?? 'hmac-sha256'
  const update = {
    server: server.trim(),
    keyName: keyName.trim(),
    ...(zone.trim() === '' ? {} : { zone: zone.trim() }),
  }
  return { type: 'dns-01', rfc2136: { ...update, algorithm: signed, secret } }
}

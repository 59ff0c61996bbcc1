import type { Violation } from '../../shared/problem.ts'
import { readCertificate } from '../../x509/certificates/read.ts'
import { X509Error } from '../../x509/der/errors.ts'
import { readPem } from '../../x509/der/pem.ts'
import type { NewAuthority } from '../authority.ts'
import type { CaChallengeSettings, NewCaChallenge } from './schema.ts'

/** Members that an authority of the kind acme alone has. */
const ofCa = [
  ...(['directory', 'contact', 'externalAccountBinding', 'trustedRoots'] as const),
  ...(['profile', 'challenge', 'termsOfServiceAgreed'] as const),
]

/** Members that say how an authority signs, which one of the kind acme does not do here. */
const ofOwn = [
  ...(['subject', 'parent', 'keyAlgorithm', 'validityDays', 'key', 'outlive'] as const),
  ...(['pathLength', 'nameConstraints', 'crlShards', 'listOverflow', 'approval'] as const),
  ...(['maxValidityDays', 'defaultValidityDays', 'profiles'] as const),
]

/** What is said of an authority that signs here and is about a CA elsewhere. */
export function ownKindFaults(request: NewAuthority): readonly Violation[] {
  const given = new Map<string, unknown>(Object.entries(request))
  return ofCa
    .filter((name) => given.has(name))
    .map((name) => ({ field: `/${name}`, message: `${name} is for the kind acme: leave it out` }))
}

/** Why an account with a CA elsewhere cannot be opened like this. */
export function newCaFaults(request: NewAuthority): readonly Violation[] {
  const given = new Map<string, unknown>(Object.entries(request))
  const strange = ofOwn
    .filter((name) => given.has(name))
    .map((name) => ({
      field: `/${name}`,
      message: `A CA elsewhere decides about ${name} itself: leave it out`,
    }))
  const { directory, challenge, termsOfServiceAgreed, trustedRoots } = request
  return [
    ...strange,
    ...(directory === undefined
      ? [{ field: '/directory', message: 'An authority of the kind acme needs a directory' }]
      : []),
    ...(termsOfServiceAgreed === true
      ? []
      : [
          {
            field: '/termsOfServiceAgreed',
            message: 'The terms of the CA have to be agreed to: say termsOfServiceAgreed true',
          },
        ]),
    ...(challenge === undefined
      ? [{ field: '/challenge', message: 'Say how names are proved: http-01 or dns-01' }]
      : challengeFaults(challenge)),
    ...rootFaults(trustedRoots),
  ]
}

/** Why names cannot be proved like this. */
export function challengeFaults({ type, webhook, rfc2136 }: NewCaChallenge): readonly Violation[] {
  const ways = [webhook, rfc2136].filter((each) => each !== undefined).length
  if (type === 'http-01' && ways > 0) {
    const message = 'http-01 is answered by the gateways of the host: leave webhook and rfc2136 out'
    return [{ field: '/challenge', message }]
  }
  if (type === 'dns-01' && ways !== 1) {
    const message = 'dns-01 is answered by a webhook or by rfc2136: name one of them'
    return [{ field: '/challenge', message }]
  }
  return rfc2136 ? updateFaults(rfc2136) : []
}

/** Labels of 1 to 63 characters (RFC 1035 2.3.4). */
const dnsName = /^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$/

/** Why no update can be sent like this. */
function updateFaults(update: NonNullable<NewCaChallenge['rfc2136']>): readonly Violation[] {
  const { server, zone, keyName, secret } = update
  const port = Number(/\]?:(\d+)$/.exec(server)?.[1] ?? 53)
  const field = (name: string) => `/challenge/rfc2136/${name}`
  const octets = Buffer.from(secret, 'base64')
  const rules: readonly (readonly [boolean, Violation])[] = [
    [port < 1 || port > 65_535, { field: field('server'), message: `${port} is no port` }],
    [
      zone !== undefined && !dnsName.test(zone),
      { field: field('zone'), message: `${zone} is no name of DNS` },
    ],
    [!dnsName.test(keyName), { field: field('keyName'), message: `${keyName} is no name of DNS` }],
    [
      octets.toString('base64') !== secret,
      {
        field: field('secret'),
        message: 'The secret is no base64 as keys are written (RFC 4648 4)',
      },
    ],
  ]
  return rules.filter(([broken]) => broken).map(([, fault]) => fault)
}

/** Why these are no roots in PEM. */
export function rootFaults(pem: string | undefined): readonly Violation[] {
  if (pem === undefined || pem.trim() === '') return []
  const field = '/trustedRoots'
  try {
    const roots = readPem(pem, 'CERTIFICATE').map(readCertificate)
    if (roots.length === 0) return [{ field, message: 'There is no certificate in it' }]
    const leaf = roots.find(({ ca }) => !ca)
    return leaf ? [{ field, message: 'One of them is no certificate of a CA' }] : []
  } catch (error) {
    if (!(error instanceof X509Error)) throw error
    return [{ field, message: error.message }]
  }
}

/** What of it is no secret. */
export function challengeSettings({ type, webhook, rfc2136 }: NewCaChallenge): CaChallengeSettings {
  if (webhook) return { type, webhook: { url: webhook.url } }
  if (!rfc2136) return { type }
  const { secret: _, ...update } = rfc2136
  return { type, rfc2136: update }
}

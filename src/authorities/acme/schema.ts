import Type from 'typebox'
import { closed, Timestamp } from '../../shared/schema.ts'

const HttpUrl = Type.String({ pattern: '^https?://[^\\s#@]+$', maxLength: 1024 })

const TsigAlgorithm = Type.Enum(['hmac-sha256', 'hmac-sha384', 'hmac-sha512'], {
  title: 'TsigAlgorithm',
  description: 'By what updates and their answers are signed',
})

const update = {
  server: Type.String({
    pattern: '^(\\[[0-9A-Fa-f:]+\\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?$',
    maxLength: 260,
    description: 'The primary server of the zone, host or host:port (53)',
  }),
  zone: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9_.-]+$',
      maxLength: 253,
      description:
        'The zone that is updated, such as example.com. Left out: the server is asked in which zone each name is',
    }),
  ),
  keyName: Type.String({
    pattern: '^[A-Za-z0-9_.-]+$',
    maxLength: 253,
    description: 'The name of the TSIG key (RFC 8945), as the server has it',
  }),
  algorithm: TsigAlgorithm,
}

const ChallengeType = Type.Enum(['http-01', 'dns-01'], {
  title: 'CaChallengeType',
  description:
    'How names are proved: http-01, by the gateways of the host themselves; dns-01, by a webhook or by dynamic updates, for wildcards too',
})

/** How an ACME CA elsewhere is shown that a name is ours, as it is asked for. */
export const NewCaChallenge = closed(
  {
    type: ChallengeType,
    webhook: Type.Optional(
      closed(
        {
          url: HttpUrl,
          secret: Type.String({
            pattern: '^whsec_[A-Za-z0-9+/]{32,128}={0,2}$',
            description: 'whsec_ and base64 of 24 octets or more: by it calls are signed',
          }),
        },
        { title: 'NewDnsWebhook' },
      ),
    ),
    rfc2136: Type.Optional(
      closed(
        {
          ...update,
          secret: Type.String({
            pattern: '^[A-Za-z0-9+/]{22,172}={0,2}$',
            description: 'The TSIG key in base64',
          }),
        },
        { title: 'NewDnsUpdate', description: 'Dynamic updates (RFC 2136) signed by TSIG' },
      ),
    ),
  },
  { title: 'NewCaChallenge' },
)
export type NewCaChallenge = Type.Static<typeof NewCaChallenge>

/** The same without secrets, as it is stored and shown. */
export const CaChallengeSettings = closed(
  {
    type: ChallengeType,
    webhook: Type.Optional(closed({ url: Type.String() }, { title: 'DnsWebhook' })),
    rfc2136: Type.Optional(
      closed(update, {
        title: 'DnsUpdate',
        description: 'Dynamic updates (RFC 2136), which are signed by TSIG',
      }),
    ),
  },
  { title: 'CaChallengeSettings' },
)
export type CaChallengeSettings = Type.Static<typeof CaChallengeSettings>

const Contact = Type.Array(Type.String({ pattern: '^[^\\s@<>,]+@[^\\s@<>,]+$', maxLength: 254 }), {
  maxItems: 10,
  description: 'Mail addresses that the CA may write to',
})

const TrustedRoots = Type.String({
  maxLength: 131_072,
  description:
    'PEM: the roots that its certificates lead to, and that its own server is trusted by beside those that Node knows. Left out: those that Node knows',
})

const CaProfile = Type.String({
  pattern: '^[A-Za-z0-9._-]{1,64}$',
  description: 'A profile of the CA, as its directory tells them',
})

const Binding = closed(
  {
    keyId: Type.String({ pattern: '^[!-~]{1,256}$' }),
    hmacKey: Type.String({
      pattern: '^[A-Za-z0-9_-]{16,512}$',
      description: 'base64url, as the CA gives it out',
    }),
  },
  { title: 'ExternalAccountBinding', description: 'acme: RFC 8555 7.3.4' },
)

/** What is said of an authority of the kind acme, beside its name. */
export const newCa = {
  directory: Type.Optional(
    Type.String({
      ...HttpUrl,
      description: 'acme: the URL of the directory of the CA (RFC 8555 7.1.1)',
    }),
  ),
  contact: Type.Optional(Contact),
  externalAccountBinding: Type.Optional(Binding),
  trustedRoots: Type.Optional(TrustedRoots),
  profile: Type.Optional(CaProfile),
  challenge: Type.Optional(NewCaChallenge),
  termsOfServiceAgreed: Type.Optional(
    Type.Boolean({ description: 'acme: that the terms of the CA are agreed to, which has to be' }),
  ),
}

/** What of it may be changed. */
export const changedCa = {
  contact: Type.Optional(Contact),
  trustedRoots: Type.Optional(TrustedRoots),
  profile: Type.Optional(Type.Union([CaProfile, Type.Null()])),
  challenge: Type.Optional(NewCaChallenge),
  externalAccountBinding: Type.Optional(Binding),
}

/** How an account with an ACME CA elsewhere stands. */
export const CaAccountView = closed(
  {
    directory: Type.String(),
    contact: Type.Array(Type.String()),
    externalAccountBinding: Type.Union([
      closed({ keyId: Type.String() }, { title: 'BoundAccount' }),
      Type.Null(),
    ]),
    trustedRoots: Type.String({ description: 'PEM; empty: those that Node knows' }),
    profile: Type.Union([Type.String(), Type.Null()]),
    challenge: CaChallengeSettings,
    state: Type.Enum(['registering', 'valid', 'failed', 'deactivating', 'deactivated'], {
      title: 'CaAccountState',
    }),
    url: Type.Union([Type.String(), Type.Null()], { description: 'The account at the CA' }),
    thumbprint: Type.String({ description: 'Of its key (RFC 7638)' }),
    pending: Type.Array(Type.String(), {
      description: 'What the CA was not told yet: contact, key',
    }),
    message: Type.Union([Type.String(), Type.Null()], { description: 'What is wrong with it' }),
    problem: Type.Union([Type.String(), Type.Null()], {
      description: 'What the CA calls it (RFC 8555 6.7), such as rateLimited',
    }),
    nextAttempt: Type.Union([Timestamp, Type.Null()]),
    pausedUntil: Type.Union([Timestamp, Type.Null()], {
      description: 'Until then no order is sent: the CA has said that it is too much',
    }),
    registeredAt: Type.Union([Timestamp, Type.Null()]),
    keyChangedAt: Type.Union([Timestamp, Type.Null()]),
  },
  { title: 'CaAccount' },
)
export type CaAccountView = Type.Static<typeof CaAccountView>

import Type from 'typebox'
import { closed, plainText, Timestamp } from '../../shared/schema.ts'

export const SpkiSha256 = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description: 'SHA-256 of the SubjectPublicKeyInfo, lower-case hexadecimal',
})

const Reason = Type.String({
  minLength: 1,
  maxLength: 200,
  pattern: plainText,
  description: 'Why, in a few words: found in a public repository',
})

export const NewBlockedKey = closed(
  {
    spkiSha256: Type.Optional(SpkiSha256),
    pem: Type.Optional(
      Type.String({
        maxLength: 65_536,
        description: 'The public key, or a certificate that has it, instead of spkiSha256',
      }),
    ),
    reason: Reason,
  },
  {
    title: 'NewBlockedKey',
    examples: [
      {
        spkiSha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
        reason: 'found in a public repository',
      },
    ],
  },
)
export type NewBlockedKey = Type.Static<typeof NewBlockedKey>

/** How blocked keys are ordered. */
export const BlockedKeySort = Type.Enum(['since', '-since'], {
  title: 'BlockedKeySort',
  description: 'The oldest first (the default); -since: the newest first',
})
export type BlockedKeySort = Type.Static<typeof BlockedKeySort>

export const BlockedKey = closed(
  {
    spkiSha256: SpkiSha256,
    reason: Type.String(),
    since: Timestamp,
    by: Type.String({ description: 'Who blocked it' }),
  },
  { title: 'BlockedKey' },
)
export type BlockedKey = Type.Static<typeof BlockedKey>

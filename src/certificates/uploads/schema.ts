import Type from 'typebox'
import { Labels } from '../../shared/lists/labels.ts'
import { closed, Id } from '../../shared/schema.ts'

/** A certificate of a CA elsewhere with its private key. */
export const NewUpload = closed(
  {
    certificate: Type.Optional(
      Type.String({
        maxLength: 65_536,
        description:
          'PEM: the certificate, and those above it in any order; a root that browsers know need not be there. The private key may be beside them',
      }),
    ),
    privateKey: Type.Optional(
      Type.String({
        maxLength: 32_768,
        description: 'PEM: PKCS#8, PKCS#1 or SEC 1, also encrypted; sealed at rest',
      }),
    ),
    pkcs12: Type.Optional(
      Type.String({
        maxLength: 262_144,
        description: 'Instead of both: a PKCS#12 store (.p12, .pfx) in base64',
      }),
    ),
    passphrase: Type.Optional(
      Type.String({ maxLength: 1024, description: 'Of the store, or of the private key' }),
    ),
    replaces: Type.Optional(
      Type.String({
        ...Id,
        description:
          'Id of the uploaded certificate whose place it takes: its hosts and deliveries have this one from now on',
      }),
    ),
    labels: Type.Optional(Labels),
  },
  {
    title: 'NewUpload',
    examples: [
      {
        certificate: '-----BEGIN CERTIFICATE-----\nMIIC…\n-----END CERTIFICATE-----\n',
        privateKey: '-----BEGIN PRIVATE KEY-----\nMIGH…\n-----END PRIVATE KEY-----\n',
      },
    ],
  },
)
export type NewUpload = Type.Static<typeof NewUpload>

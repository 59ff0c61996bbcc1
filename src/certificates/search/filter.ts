import Type from 'typebox'
import { LabelFilter } from '../../shared/lists/labels.ts'
import { type Cursored, listQuery } from '../../shared/lists/query.ts'
import { HostnameText, KeyAlgorithm, moment, Name, Profile } from '../../shared/schema.ts'
import { Origin } from '../certificate.ts'

const hexText = (description: string) =>
  Type.String({ pattern: '^[0-9A-Fa-fxX: -]{2,128}$', description })

/** Which certificates are listed; all that is named must hold. */
export const filters = {
  status: Type.Optional(
    Type.Enum(['active', 'expired', 'revoked'], { title: 'CertificateStatusFilter' }),
  ),
  expiringWithin: Type.Optional(
    Type.String({
      maxLength: 20,
      description: 'Active ones that end within this ISO 8601 period: P30D, P4W, PT12H',
    }),
  ),
  notAfterFrom: Type.Optional(moment('Those that end at this moment or later')),
  notAfterTo: Type.Optional(moment('Those that end before this moment')),
  renewal: Type.Optional(
    Type.Enum(['failing', 'off'], {
      title: 'RenewalFilter',
      description:
        'Active ones whose renewal was tried and failed (failing), or that nothing renews by itself and nothing took the place of (off)',
    }),
  ),
  profile: Type.Optional(Profile),
  origin: Type.Optional(
    Type.Enum(Origin.enum, {
      title: 'CertificateOriginFilter',
      description: 'Those that were issued here, or those that were uploaded',
    }),
  ),
  authority: Type.Optional(Name),
  host: Type.Optional(HostnameText),
  cluster: Type.Optional(
    Type.String({
      ...Name,
      description:
        'Those that a host on this cluster uses, and those of its own that it used before',
    }),
  ),
  name: Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,255}$',
      description:
        'A DNS name; *.example.com finds every name that ends in .example.com, at any depth',
    }),
  ),
  dnsName: Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,255}$',
      description:
        'A DNS name as the certificate bears it; here *.example.com is that wildcard alone',
    }),
  ),
  serial: Type.Optional(hexText('Hexadecimal, in any spelling: colons, capitals, leading zeros')),
  fingerprint: Type.Optional(hexText('SHA-256 of the certificate, hexadecimal in any spelling')),
  publicKey: Type.Optional(hexText('SHA-256 of its SubjectPublicKeyInfo, hexadecimal')),
  keyAlgorithm: Type.Optional(KeyAlgorithm),
  label: Type.Optional(LabelFilter),
} as const

/** How a list of certificates is ordered: by their end, or by when they were made; `-`: downwards. */
export const CertificateSort = Type.Enum(['notAfter', '-notAfter', 'createdAt', '-createdAt'], {
  title: 'CertificateSort',
  description: 'notAfter: soonest end first (the default); -createdAt: the newest first',
})
export type CertificateSort = Type.Static<typeof CertificateSort>

export const CertificateFilter = listQuery(CertificateSort, filters)
export type CertificateFilter = Cursored<Type.Static<typeof CertificateFilter>>

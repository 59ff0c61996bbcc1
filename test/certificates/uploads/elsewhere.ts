import {
  basicConstraintsExtension,
  extendedKeyUsageExtension,
  extension,
  keyUsageExtension,
} from '../../../src/x509/certificates/extensions.ts'
import { oids } from '../../../src/x509/der/oids.ts'
import { encodeAltNames, noAltNames } from '../../../src/x509/names/altnames.ts'
import { type Foreign, foreign, type Said } from '../../authorities/foreign.ts'

/** A CA that is not ours: a root and an intermediate below it. */
export async function openElsewhere(name = 'Elsewhere') {
  const root = await foreign({ name: `${name} Root` })
  const between = await foreign({ name: `${name} CA 1`, issuer: root })
  return { root, between }
}

/** A leaf for servers of these names. */
export function leafFor(
  issuer: Foreign,
  dnsNames: readonly string[],
  said: Partial<Said> & { readonly purposes?: readonly string[] } = {},
): Promise<Foreign> {
  const { purposes = [oids.serverAuth, oids.clientAuth], extensions = [], ...rest } = said
  const names = encodeAltNames({ ...noAltNames, dnsNames })
  return foreign({
    name: dnsNames[0] ?? 'nobody',
    issuer,
    basic: basicConstraintsExtension(false),
    usage: [keyUsageExtension(['digitalSignature'])],
    days: 90,
    ...rest,
    extensions: [
      ...(purposes.length > 0 ? [extendedKeyUsageExtension(purposes)] : []),
      ...(dnsNames.length > 0 ? [extension(oids.subjectAltName, false, names)] : []),
      ...extensions,
    ],
  })
}

/** What is sent of a leaf and those above it. */
export function sentOf(leaf: Foreign, ...above: readonly Foreign[]) {
  return {
    certificate: [leaf, ...above].map(({ pem }) => pem).join(''),
    privateKey: leaf.key,
  }
}

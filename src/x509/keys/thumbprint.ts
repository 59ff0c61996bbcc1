import { hash } from 'node:crypto'

/** The thumbprint of a public key (RFC 7638), in base64url: `jwk` has the members that make it one and no others. */
export function jwkThumbprint(jwk: Readonly<Record<string, string>>): string {
  // Members in the order of their names, without spaces.
  const members = Object.entries(jwk).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return hash('sha256', JSON.stringify(Object.fromEntries(members)), 'base64url')
}

import { createPublicKey, type KeyObject } from 'node:crypto'
import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'
import { spkiOf, weakKeyFault } from '../../x509/keys/public.ts'
import { AcmeProblem } from '../problem.ts'

const octets = (maxLength: number) => Type.String({ pattern: '^[A-Za-z0-9_-]+$', maxLength })

const EcKey = Type.Object({
  kty: Type.Literal('EC'),
  crv: Type.Enum(['P-256', 'P-384']),
  x: octets(64),
  y: octets(64),
})
const EdKey = Type.Object({ kty: Type.Literal('OKP'), crv: Type.Literal('Ed25519'), x: octets(43) })
const RsaKey = Type.Object({ kty: Type.Literal('RSA'), n: octets(683), e: octets(8) })

/** A public key of a client (RFC 7517), with what makes it one and nothing else. */
export type AccountJwk =
  | Readonly<Type.Static<typeof EcKey>>
  | Readonly<Type.Static<typeof EdKey>>
  | Readonly<Type.Static<typeof RsaKey>>

/** A key by which a client may sign: of a kind and a size that certificates here have too. Nothing is computed with
 *  one that is of another size. Throws badPublicKey. */
export function readAccountKey(jwk: unknown): AccountJwk {
  const known = knownKey(jwk)
  const fault = known === undefined ? unknownKey : weakFault(known)
  if (known === undefined || fault !== undefined) throw new AcmeProblem('badPublicKey', `${fault}`)
  return known
}

const unknownKey =
  'jwk must be a public key of EC (P-256, P-384), OKP (Ed25519) or RSA (2048 to 4096 bits)'

function knownKey(jwk: unknown): AccountJwk | undefined {
  if (conforms(EcKey, jwk)) return { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }
  if (conforms(EdKey, jwk)) return { kty: jwk.kty, crv: jwk.crv, x: jwk.x }
  return conforms(RsaKey, jwk) ? { kty: jwk.kty, n: jwk.n, e: jwk.e } : undefined
}

function weakFault(jwk: AccountJwk): string | undefined {
  try {
    return weakKeyFault(spkiOf(jwkKey(jwk)))
  } catch {
    return unknownKey
  }
}

/** The key of a JWK that was read here, also as it comes back from storage. */
export function jwkKey(jwk: unknown): KeyObject {
  const known = knownKey(jwk)
  if (known === undefined) throw new Error('an account has no key')
  return createPublicKey({ key: { ...known }, format: 'jwk' })
}

import type { KeyObject } from 'node:crypto'
import { errors, flattenedVerify } from 'jose'
import Type from 'typebox'
import { type AccountJwk, jwkKey, readAccountKey } from '../../acme/accounts/keys.ts'
import { AcmeProblem } from '../../acme/problem.ts'
import { Problem } from '../../shared/problem.ts'
import { closed } from '../../shared/schema.ts'
import { conforms } from '../../shared/shape.ts'
import { readJson } from '../edge/json.ts'

const text = (maxLength: number) => Type.String({ pattern: '^[A-Za-z0-9_-]*$', maxLength })

/** A JWS as ACME has it (RFC 8555 6.2): flattened, with one signature and nothing beside what is signed. */
export const Jws = closed({
  protected: text(8192),
  payload: text(131_072),
  signature: text(1024),
})
export type Jws = Readonly<Type.Static<typeof Jws>>

const Header = Type.Object({
  alg: Type.String({ maxLength: 16 }),
  url: Type.String({ maxLength: 2048 }),
  nonce: Type.Optional(Type.String({ maxLength: 128 })),
  kid: Type.Optional(Type.String({ maxLength: 2048 })),
  jwk: Type.Optional(Type.Unknown()),
})
export type Header = Readonly<Type.Static<typeof Header>>

/** By which algorithms a client signs (RFC 7518 3.1), by its kind of key: a key is taken for what it is, and none is
 *  taken for a MAC's. */
const algorithmsOf: Readonly<Record<string, readonly string[]>> = {
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  Ed25519: ['EdDSA', 'Ed25519'],
  RSA: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
}

const algorithms = Object.values(algorithmsOf).flat()

/** A JWS as it came. Throws malformed. */
export function readJws(body: unknown): Jws {
  if (conforms(Jws, body)) return body
  throw malformedRequest(
    'Send a flattened JWS: protected, payload and signature, and nothing else (RFC 8555 6.2)',
  )
}

/** Its protected header, before anybody knows whether it is signed. Throws malformed, badSignatureAlgorithm. */
export function headerOf(jws: Jws, allowed: readonly string[] = algorithms): Header {
  const header = jsonIn(jws.protected, 'protected')
  if (!conforms(Header, header)) throw malformedRequest('The protected header needs alg and url')
  if (!allowed.includes(header.alg)) throw badAlgorithm(header, allowed)
  return header
}

function badAlgorithm({ alg }: Header, allowed: readonly string[]): AcmeProblem {
  return new AcmeProblem('badSignatureAlgorithm', `alg ${alg} is none of ${allowed.join(', ')}`, {
    algorithms: allowed,
  })
}

/** The key in a header. Throws malformed, badPublicKey. */
export function keyIn({ jwk, kid }: Header): AccountJwk {
  if (jwk === undefined || kid !== undefined) throw malformedRequest('Send jwk, and no kid')
  return readAccountKey(jwk)
}

/** What was signed by a public key, as octets. Throws badSignatureAlgorithm, unauthorized. */
export async function verifiedBy(jws: Jws, header: Header, jwk: AccountJwk): Promise<Buffer> {
  const allowed = algorithmsOf[jwk.kty === 'RSA' ? 'RSA' : jwk.crv] ?? []
  if (!allowed.includes(header.alg)) throw badAlgorithm(header, allowed)
  return verified(jws, jwkKey(jwk), [header.alg])
}

/** What was signed by a MAC (RFC 8555 7.3.4). Throws unauthorized. */
export function macVerified(jws: Jws, mac: Buffer): Promise<Buffer> {
  return verified(jws, new Uint8Array(mac), [macAlgorithm])
}

/** The one algorithm of external account bindings. */
export const macAlgorithm = 'HS256'

async function verified(
  jws: Jws,
  key: KeyObject | Uint8Array,
  allowed: readonly string[],
): Promise<Buffer> {
  try {
    const { payload } = await flattenedVerify(jws, key, { algorithms: [...allowed] })
    return Buffer.from(payload)
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error
    throw new AcmeProblem('unauthorized', 'The JWS is not signed by this key')
  }
}

/** JSON in base64url. Throws malformed. */
function jsonIn(base64url: string, what: string): unknown {
  return parsed(Buffer.from(base64url, 'base64url'), what)
}

/** A payload that was verified: undefined where it is empty, as in POST-as-GET (RFC 8555 6.3). Throws malformed. */
export function parsedPayload(octets: Buffer): unknown {
  return octets.length === 0 ? undefined : parsed(octets, 'payload')
}

/** As strictly as any body is read, so that nobody reads another thing in it. */
function parsed(octets: Buffer, what: string): unknown {
  try {
    return readJson(octets.toString('utf8'), 2_000)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    throw malformedRequest(`${what}: ${error.message}`)
  }
}

/** That a request is not as RFC 8555 has it. */
export function malformedRequest(detail: string): AcmeProblem {
  return new AcmeProblem('malformed', detail)
}

import { createHash } from 'node:crypto'
import type { Context } from '../../core/context.ts'
import { makeKey } from '../../core/keys/make.ts'
import { Problem } from '../../shared/problem.ts'
import { bitString, derNull, integer, readDer, sequence } from '../../x509/der/encoding.ts'
import { contentsOf } from '../../x509/der/fields.ts'
import { oid, oids } from '../../x509/der/oids.ts'
import { isCertified, type KeyAlgorithm, keyAlgorithmOf } from '../../x509/keys/public.ts'
import { type Signer, signatureAlgorithmOf, verifies } from '../../x509/keys/sign.ts'
import { ck, find, openTokenSession, refused, type Session, unavailable } from './cryptoki.ts'
import { formatKeyUri, type KeyUri, readKeyUri } from './uri.ts'

/** A key that never leaves its token: its public half, where it is, and what signs with it. */
export type TokenKey = {
  readonly spki: Buffer
  readonly uri: string
  readonly signer: Signer
}

/** The key that `uri` names. Throws authority-refused when the token has none, unavailable when the
 *  token cannot be used. */
export async function findTokenKey(ctx: Context, uri: string): Promise<TokenKey> {
  const named = readKeyUri(uri)
  if (typeof named === 'string') throw refused(`${named}: ${uri}`)
  const session = await openTokenSession(ctx, named.token)
  const spki = publicKeyOf(session, named)
  if (!spki) throw refused(`The token "${session.token}" has no key ${uri}`)
  return keyIn(ctx, session, { named, spki })
}

/** The key of this label, made in the token if there is none: as long as nothing is stored about it, a
 *  second attempt finds the key of the first. In a rehearsal none is made there, and another stands for it. Throws
 *  authority-refused, unavailable, busy. */
export async function makeTokenKey(
  ctx: Context,
  { label, algorithm }: { label: string; algorithm: KeyAlgorithm },
): Promise<TokenKey> {
  const session = await openTokenSession(ctx, undefined)
  const named = { object: label }
  if (!publicKeyOf(session, named)) {
    if (ctx.rehearses) {
      const { spki } = await makeKey(ctx, algorithm, { tenantId: null })
      return keyIn(ctx, session, { named, spki })
    }
    await generate(session, { label, algorithm })
  }
  const spki = publicKeyOf(session, named)
  if (!spki) throw unavailable('The token did not keep the key it made')
  return keyIn(ctx, session, { named, spki })
}

function keyIn(
  ctx: Context,
  session: Session,
  { named, spki }: { named: KeyUri; spki: Buffer },
): TokenKey {
  const algorithm = keyAlgorithmOf(spki)
  if (!isCertified(algorithm) || algorithm === 'ED25519') {
    throw refused(
      'The key in the token is not EC P-256, EC P-384 or RSA of 2048, 3072 or 4096 bits',
    )
  }
  const uri = formatKeyUri({ ...named, token: session.token })
  return { spki, uri, signer: signerOf(ctx, { uri, spki, algorithm }) }
}

/** Signs one after the other in one session, and opens another one when that is lost. What the token
 *  answers is verified before it is used: a fault in a signature is found here or by everybody. */
function signerOf(
  ctx: Context,
  { uri, spki, algorithm }: { uri: string; spki: Buffer; algorithm: KeyAlgorithm },
): Signer {
  let open: Promise<{ session: Session; key: Buffer }> | undefined
  let last: Promise<unknown> = Promise.resolve()

  async function signNow(bytes: Buffer): Promise<Buffer> {
    open ??= openPrivateKey(ctx, uri)
    try {
      const signature = await signIn(await open, { bytes, algorithm })
      const signed = { bytes, algorithm: readDer(signatureAlgorithmOf(algorithm)), signature }
      if (!verifies(signed, spki)) throw unavailable('The token made a signature that is not good')
      return signature
    } catch (error) {
      open = undefined
      if (error instanceof Problem) throw error
      throw new Problem('unavailable', 'The token that holds the CA key does not sign; try again')
    }
  }

  return {
    algorithm,
    quick: false,
    sign: (bytes) => {
      const next = last.then(() => signNow(bytes))
      last = next.catch(() => undefined)
      return next
    },
  }
}

async function openPrivateKey(ctx: Context, uri: string) {
  const named = readKeyUri(uri)
  if (typeof named === 'string') throw new Error(`${uri}: ${named}`)
  const session = await openTokenSession(ctx, named.token)
  const key = find(session, ck.privateKey, named)
  if (!key) throw unavailable(`The token "${session.token}" does not have the CA key any more`)
  return { session, key }
}

async function signIn(
  { session: { library, handle }, key }: { session: Session; key: Buffer },
  { bytes, algorithm }: { bytes: Buffer; algorithm: KeyAlgorithm },
): Promise<Buffer> {
  if (algorithm.startsWith('RSA')) {
    library.C_SignInit(handle, { mechanism: ck.mechanism.rsaSha256 }, key)
    return library.C_SignAsync(handle, bytes, Buffer.alloc(512))
  }
  const digest = createHash(algorithm === 'ECDSA_P384' ? 'sha384' : 'sha256').update(bytes)
  library.C_SignInit(handle, { mechanism: ck.mechanism.ecdsa }, key)
  const pair = await library.C_SignAsync(handle, digest.digest(), Buffer.alloc(96))
  // r and s side by side; certificates carry them as a SEQUENCE (RFC 3279 2.2.3).
  const half = pair.length / 2
  return sequence(integer(pair.subarray(0, half)), integer(pair.subarray(half)))
}

function publicKeyOf(session: Session, named: KeyUri): Buffer | undefined {
  const key = find(session, ck.publicKey, named)
  if (!key) return undefined
  const { library, handle } = session
  const read = (...types: readonly number[]) =>
    library
      .C_GetAttributeValue(
        handle,
        key,
        types.map((type) => ({ type })),
      )
      .map(({ value }) => value)
  const [kind = Buffer.alloc(0)] = read(ck.attribute.keyType)
  if (kind[0] === ck.ec) {
    const [parameters, point] = read(ck.attribute.ecParams, ck.attribute.ecPoint)
    if (!parameters || !point) return undefined
    // The point comes inside an OCTET STRING (PKCS#11 2.40, 2.3.3).
    const algorithm = sequence(oid(oids.ecPublicKey), parameters)
    return sequence(algorithm, bitString(contentsOf(readDer(point))))
  }
  if (kind[0] !== ck.rsa) return undefined
  const [modulus, exponent] = read(ck.attribute.modulus, ck.attribute.publicExponent)
  if (!modulus || !exponent) return undefined
  const numbers = sequence(integer(modulus), integer(exponent))
  return sequence(sequence(oid(oids.rsaEncryption), derNull), bitString(numbers))
}

async function generate(
  { library, handle }: Session,
  { label, algorithm }: { label: string; algorithm: KeyAlgorithm },
): Promise<void> {
  if (algorithm === 'ED25519')
    throw refused('Ed25519 keys are not made in tokens; ask for EC or RSA')
  const { attribute, mechanism } = ck
  const rsa = algorithm.startsWith('RSA')
  const id = createHash('sha256').update(label).digest().subarray(0, 16)
  const shared = [
    { type: attribute.token, value: true },
    { type: attribute.label, value: label },
    { type: attribute.id, value: id },
  ]
  const kind = rsa
    ? [
        { type: attribute.modulusBits, value: Number(algorithm.slice(4)) },
        { type: attribute.publicExponent, value: Buffer.of(1, 0, 1) },
      ]
    : [
        {
          type: attribute.ecParams,
          value: oid(algorithm === 'ECDSA_P384' ? oids.p384 : oids.p256),
        },
      ]
  await library.C_GenerateKeyPairAsync(
    handle,
    { mechanism: rsa ? mechanism.rsaKeys : mechanism.ecKeys },
    [...shared, { type: attribute.verify, value: true }, ...kind],
    [
      ...shared,
      { type: attribute.private, value: true },
      { type: attribute.sensitive, value: true },
      { type: attribute.extractable, value: false },
      { type: attribute.sign, value: true },
    ],
  )
}

import type { KeyObject } from 'node:crypto'
import { type Context, lasting } from '../../core/context.ts'
import { bytes, type Tx } from '../../core/database/db.ts'
import { makeKey } from '../../core/keys/make.ts'
import { fairTurns, type Turns } from '../../core/keys/turns.ts'
import { oncePer } from '../../core/onceper.ts'
import { openPrivateKey, sealPrivateKey } from '../../core/sealing/privatekey.ts'
import { Problem, refuse } from '../../shared/problem.ts'
import { openKey } from '../../x509/keys/generate.ts'
import { type KeyAlgorithm, spkiOf } from '../../x509/keys/public.ts'
import { keySigner, type Signer } from '../../x509/keys/sign.ts'
import { findTokenKey, makeTokenKey } from './token.ts'

/** Where the private key of an authority is held. */
export type HeldKey =
  | { readonly store: 'sealed'; readonly privateKey: KeyObject }
  | { readonly store: 'pkcs11'; readonly uri: string }
  | { readonly store: 'absent' }

/** A key for a new authority: one that is in the token, or is made there, when asked for; else a fresh
 *  one. Throws authority-refused, unavailable, busy. */
export async function keyFor(
  ctx: Context,
  { key, keyAlgorithm }: { key?: TokenKeyName; keyAlgorithm?: KeyAlgorithm },
): Promise<{ readonly spki: Buffer; readonly signer: Signer; readonly held: HeldKey }> {
  const algorithm = keyAlgorithm ?? 'ECDSA_P256'
  if (!key) {
    const made = await makeKey(ctx, algorithm, { tenantId: null })
    const { privateKey, publicKey } = openKey(made)
    const held = { store: 'sealed', privateKey } as const
    return { spki: spkiOf(publicKey), signer: keySigner(privateKey), held }
  }
  const found = await tokenKey(ctx, key, algorithm)
  const { spki, signer, uri } = found
  if (keyAlgorithm !== undefined && signer.algorithm !== keyAlgorithm) {
    refuse('authority-refused', [
      { field: '/keyAlgorithm', message: `The key in the token is ${signer.algorithm}` },
    ])
  }
  return { spki, signer, held: { store: 'pkcs11', uri } }
}

/** How a key in a token is named in a request. */
export type TokenKeyName = {
  readonly pkcs11: { readonly label: string } | { readonly uri: string }
}

function tokenKey(ctx: Context, { pkcs11 }: TokenKeyName, algorithm: KeyAlgorithm) {
  return 'uri' in pkcs11
    ? findTokenKey(ctx, pkcs11.uri)
    : makeTokenKey(ctx, { label: pkcs11.label, algorithm })
}

/** Opened signers of each context, by key: unsealing for every signature would double its cost. */
const opened = oncePer(() => new Map<string, Signer>())

/** The signer of an authority's key: the only place where a CA key is opened. Throws
 *  authority-keyless when the key is not held here. */
export async function openSigner(ctx: Context, keyId: string): Promise<Signer> {
  const signers = opened(lasting(ctx))
  const known = signers.get(keyId)
  if (known) return known
  const signer = await open(lasting(ctx), keyId)
  signers.set(keyId, signer)
  return signer
}

/** A signature for `party`; of a key that takes its time (RSA, or in a token), in turns that are fair
 *  between parties: a batch of one keeps nobody else waiting. */
export async function signInTurn(
  signer: Signer,
  { party, bytes: octets }: { readonly party: string; readonly bytes: Buffer },
): Promise<Buffer> {
  if (signer.quick) return signer.sign(octets)
  const turns = turnsOf.get(signer) ?? fairTurns(signing)
  turnsOf.set(signer, turns)
  return turns(party, () => signer.sign(octets))
}

/** One for each core that most machines have, and of the four threads of the pool some stay free. */
const signing = {
  atOnce: 2,
  room: { all: 20_000, each: 2_000 },
  what: 'signatures of this authority',
  seconds: 0.01,
}

const turnsOf = new WeakMap<Signer, Turns>()

async function open(ctx: Context, keyId: string): Promise<Signer> {
  const key = await ctx.db.read.authorityKey.findUniqueOrThrow({
    where: { id: keyId },
    select: { uri: true, spki: true, secret: { select: { sealed: true } } },
  })
  if (key.uri !== null) {
    const found = await findTokenKey(ctx, key.uri)
    if (found.spki.equals(key.spki)) return found.signer
    throw new Error(`${key.uri} is another key than when it was registered`)
  }
  if (!key.secret) {
    throw new Problem(
      'authority-keyless',
      'This authority was imported without its private key and cannot sign here',
    )
  }
  return keySigner(openPrivateKey(ctx.seal, bindingOf(keyId), key.secret.sealed))
}

/** Stores an authority's private key, sealed for its row. */
export async function storeKey(
  ctx: Context,
  tx: Tx,
  { keyId, privateKey }: { keyId: string; privateKey: KeyObject },
): Promise<void> {
  const sealed = bytes(sealPrivateKey(ctx.seal, bindingOf(keyId), privateKey))
  await tx.authoritySecret.create({ data: { keyId, sealed } })
}

function bindingOf(keyId: string): string {
  return `authority_secret/${keyId}`
}

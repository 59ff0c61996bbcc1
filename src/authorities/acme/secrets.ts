import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import Type from 'typebox'
import Value from 'typebox/value'
import type { Context } from '../../core/context.ts'
import { bytes, type Tx } from '../../core/database/db.ts'
import { makeKey } from '../../core/keys/make.ts'
import { jwkThumbprint } from '../../x509/keys/thumbprint.ts'

/** What of an account with a CA elsewhere is sealed: its key and the next one (PKCS#8 in base64), what binds it to a
 *  customer of the CA, and by what DNS is asked to answer challenges. */
const Stored = Type.Object({
  key: Type.String(),
  nextKey: Type.Optional(Type.String()),
  hmacKey: Type.Optional(Type.String()),
  webhookSecret: Type.Optional(Type.String()),
  tsigSecret: Type.Optional(Type.String()),
})
export type CaSecrets = Type.Static<typeof Stored>

/** A fresh account key, as it is sealed: P-256, which every CA takes. */
export async function newAccountKey(ctx: Context): Promise<string> {
  const { pkcs8 } = await makeKey(ctx, 'ECDSA_P256', { tenantId: null })
  return pkcs8.toString('base64')
}

/** The private key out of what is sealed. */
export function accountKey(key: string): KeyObject {
  return createPrivateKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'pkcs8' })
}

/** The public half of an account key as a JWK, with what makes it one and nothing else. */
export function jwkOf(key: KeyObject): Readonly<Record<'crv' | 'kty' | 'x' | 'y', string>> {
  const { x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' })
  return { crv: 'P-256', kty: 'EC', x, y }
}

/** The thumbprint of an account key (RFC 7638). */
export function accountThumbprint(key: KeyObject): string {
  return jwkThumbprint(jwkOf(key))
}

/** Seals these for the account, in place of those before. */
export async function keepSecrets(
  ctx: Context,
  tx: Tx,
  { authorityId, secrets }: { readonly authorityId: string; readonly secrets: CaSecrets },
): Promise<void> {
  const text = Buffer.from(JSON.stringify(secrets))
  const sealed = bytes(ctx.seal.seal(`ca_account_secret/${authorityId}`, text))
  await tx.caAccountSecret.upsert({
    where: { authorityId },
    update: { sealed },
    create: { authorityId, sealed },
  })
}

/** The same, opened. Undefined: the account was given up. */
export async function secretsOfCa(
  ctx: Context,
  tx: Tx,
  authorityId: string,
): Promise<CaSecrets | undefined> {
  const row = await tx.caAccountSecret.findUnique({ where: { authorityId } })
  if (!row) return undefined
  const opened = ctx.seal.open(`ca_account_secret/${authorityId}`, Buffer.from(row.sealed))
  return Value.Parse(Stored, JSON.parse(opened.toString()))
}

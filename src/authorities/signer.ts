import { createPrivateKey, type KeyObject } from 'node:crypto'
import type { Context } from '../ground/context.ts'
import { bytes, type Tx } from '../ground/db.ts'
import { Problem } from '../words/problem.ts'
import { keySigner, type Signer } from '../x509/sign.ts'

/** Opened signers of each context, by key: unsealing for every signature would double its cost. */
const opened = new WeakMap<Context, Map<string, Signer>>()

/** The signer of an authority's key: the only place where a CA key is opened. Throws
 *  authority-keyless when the key is not held here. */
export async function openSigner(ctx: Context, keyId: string): Promise<Signer> {
  const signers = opened.get(ctx) ?? new Map<string, Signer>()
  opened.set(ctx, signers)
  const known = signers.get(keyId)
  if (known) return known
  const row = await ctx.db.read.authoritySecret.findUnique({ where: { keyId } })
  if (!row) {
    throw new Problem(
      'authority-keyless',
      'This authority was imported without its private key and cannot sign here',
    )
  }
  const der = ctx.seal.open(bindingOf(keyId), Buffer.from(row.sealed))
  const signer = keySigner(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))
  der.fill(0)
  signers.set(keyId, signer)
  return signer
}

/** Stores an authority's private key, sealed for its row. */
export async function storeKey(
  ctx: Context,
  tx: Tx,
  { keyId, privateKey }: { keyId: string; privateKey: KeyObject },
): Promise<void> {
  const der = privateKey.export({ format: 'der', type: 'pkcs8' })
  await tx.authoritySecret.create({
    data: { keyId, sealed: bytes(ctx.seal.seal(bindingOf(keyId), der)) },
  })
  der.fill(0)
}

function bindingOf(keyId: string): string {
  return `authority_secret/${keyId}`
}

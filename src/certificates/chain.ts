import { chainPem } from '../authorities/issuers/ready.ts'
import type { Context } from '../core/context.ts'

/** By whom a certificate was signed: an issuer of ours, or a CA elsewhere, whose chain came with it. */
export type SignedBy = { readonly issuerId: string | null; readonly chainPem: string | null }

/** What a server sends after a certificate, in PEM: the intermediates up to the root, without it. */
export async function sentChain(ctx: Context, signed: SignedBy): Promise<string> {
  return signed.issuerId === null ? (signed.chainPem ?? '') : chainPem(ctx, signed.issuerId)
}

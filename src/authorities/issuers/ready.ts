import { cachedFor, cacheMilliseconds } from '../../core/cache.ts'
import { type Context, lasting } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import {
  fingerprintSha256,
  issuerKeyIdentifier,
  type ParsedCertificate,
  readCertificate,
  signsLists,
} from '../../x509/certificates/read.ts'
import { type PreparedIssuer, prepareIssuer } from '../../x509/certificates/template.ts'
import type { NameConstraints } from '../../x509/constraints/subtrees.ts'
import { toPem } from '../../x509/der/pem.ts'
import type { Signer } from '../../x509/keys/sign.ts'
import { issuerUrl, ocspUrl, shardUrl } from '../crl/urls.ts'
import { openSigner } from '../keys/signer.ts'
import { permitsTenantUris } from '../trust/tenantnames.ts'
import { chainOf, currentIssuer, pathOf } from './current.ts'

/** An issuer certificate made ready: read, its shared pieces encoded, its chain in PEM. */
export type ReadyIssuer = {
  readonly certificate: ParsedCertificate
  /** For certificates that would be on this shard of its revocation lists. */
  readonly onShard: (shard: number) => ReadyShard
  readonly signer: Signer
  /** Those of the issuer and of every authority above it. */
  readonly constraints: readonly NameConstraints[]
  /** Whether those let its certificates name the tenant (src/tenants/uri.ts). */
  readonly namesTenants: boolean
}

/** What certificates of an issuer on one shard share, and the URL of its list, if it may sign any. */
export type ReadyShard = { readonly prepared: PreparedIssuer; readonly crlUrl: string | undefined }

type Stored = {
  readonly id: string
  readonly keyId: string
  readonly der: Uint8Array
}

/** What is known of issuers of each context, by id: an issuer certificate never changes. */
const ready = oncePer(() => new Map<string, ReadyIssuer>())

/** The certificate of an authority that signs now, ready to sign. Throws authority-keyless. */
export async function readyIssuer(
  ctx: Context,
  authority: { readonly name: string; readonly issuers: readonly Stored[] },
): Promise<ReadyIssuer> {
  const issuer = currentIssuer(authority)
  const known = ready(lasting(ctx)).get(issuer.id)
  if (known) return known
  const certificate = readCertificate(Buffer.from(issuer.der))
  const signer = await openSigner(ctx, issuer.keyId)
  const onShard = shardsOf(ctx.config.publicUrl, {
    certificate,
    authority: authority.name,
    signer,
  })
  const path = await pathOf(ctx.db.read, issuer.id)
  const constraints = path.flatMap(({ der }) => readCertificate(der).nameConstraints ?? [])
  const namesTenants = permitsTenantUris(constraints)
  const made = { certificate, onShard, signer, constraints, namesTenants }
  ready(lasting(ctx)).set(issuer.id, made)
  return made
}

function shardsOf(
  publicUrl: string,
  {
    certificate,
    authority,
    signer,
  }: { certificate: ParsedCertificate; authority: string; signer: Signer },
): (shard: number) => ReadyShard {
  const spkiSha256 = fingerprintSha256(certificate.spki)
  const shards = new Map<number, ReadyShard>()
  return (shard) => {
    const known = shards.get(shard)
    if (known) return known
    const crlUrl = signsLists(certificate)
      ? shardUrl(publicUrl, { authority, spkiSha256, shard })
      : undefined
    const prepared = prepareIssuer({
      issuer: certificate.subjectDer,
      authorityKeyIdentifier: issuerKeyIdentifier(certificate),
      ...(crlUrl === undefined ? {} : { crlUrl }),
      ocspUrl: ocspUrl(publicUrl, authority),
      issuerUrl: issuerUrl(publicUrl, { authority, spkiSha256 }),
      signerAlgorithm: signer.algorithm,
    })
    const made = { prepared, crlUrl }
    shards.set(shard, made)
    return made
  }
}

/** What a server sends after its leaf, in PEM: the intermediates up to the root, without it. It is read
 *  again after a while, because the root may be cross-signed; a page of certificates shares one read. */
export const chainPem: (ctx: Context, issuerId: string) => Promise<string> = cachedFor(
  cacheMilliseconds,
  readChain,
)

async function readChain(ctx: Context, issuerId: string): Promise<string> {
  const chain = await chainOf(ctx.db.read, issuerId)
  return chain.map((der) => toPem('CERTIFICATE', der)).join('')
}

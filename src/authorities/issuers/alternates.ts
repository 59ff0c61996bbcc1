import { cachedFor, cacheMilliseconds } from '../../core/cache.ts'
import type { Context } from '../../core/context.ts'
import { toPem } from '../../x509/der/pem.ts'

/** More roots than that are not told of. */
const most = 8
/** Nor chains that are longer. */
const longest = 8

/** The chains from an issuer's key to each root that it leads to, in PEM, without the roots, the shortest first: after a
 *  root's change of key, and where an authority is cross-signed, there are several (RFC 8555 7.4.2). Certificates that
 *  were revoked or have ended are in none. */
export const chainsFrom: (ctx: Context, issuerId: string) => Promise<readonly string[]> = cachedFor(
  cacheMilliseconds,
  readChains,
)

async function readChains(ctx: Context, issuerId: string): Promise<readonly string[]> {
  const { keyId } = await ctx.db.read.issuer.findUniqueOrThrow({
    where: { id: issuerId },
    select: { keyId: true },
  })
  const ofKey = await certificatesAbove(ctx, keyId)
  const chains = pathsFrom(keyId, ofKey, []).map((path) => path.map(pemOf).join(''))
  return [...new Set(chains)].toSorted((a, b) => a.length - b.length).slice(0, most)
}

type CaCertificate = {
  readonly der: Uint8Array
  readonly anchor: Uint8Array
  readonly keyId: string
  readonly parent: { readonly keyId: string } | null
}

const pemOf = ({ der }: CaCertificate) => toPem('CERTIFICATE', Buffer.from(der))

/** The certificates of a key and of all keys above it, by their keys. */
async function certificatesAbove(ctx: Context, first: string) {
  const known = new Map<string, readonly CaCertificate[]>()
  for (let keys = [first]; keys.length > 0; ) {
    const rows: readonly CaCertificate[] = await ctx.db.read.issuer.findMany({
      where: { keyId: { in: keys }, revokedAt: null, notAfter: { gt: ctx.now() } },
      select: { der: true, anchor: true, keyId: true, parent: { select: { keyId: true } } },
      orderBy: { createdAt: 'asc' },
    })
    for (const key of keys) {
      known.set(
        key,
        rows.filter(({ keyId }) => keyId === key),
      )
    }
    const above = rows.flatMap(({ parent }) => parent?.keyId ?? [])
    keys = [...new Set(above)].filter((key) => !known.has(key))
  }
  return known
}

/** Each way up to a root, which is left out; no key is passed twice, since two may certify each other. */
function pathsFrom(
  keyId: string,
  ofKey: ReadonlyMap<string, readonly CaCertificate[]>,
  passed: readonly string[],
): readonly (readonly CaCertificate[])[] {
  if (passed.includes(keyId) || passed.length >= longest) return []
  return (ofKey.get(keyId) ?? []).flatMap((certificate) => {
    const { der, anchor, parent } = certificate
    if (Buffer.from(der).equals(Buffer.from(anchor))) return [[]]
    // Signed elsewhere: whoever verifies knows that root.
    if (!parent) return [[certificate]]
    return pathsFrom(parent.keyId, ofKey, [...passed, keyId]).map((rest) => [certificate, ...rest])
  })
}

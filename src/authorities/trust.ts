import type { Context } from '../ground/context.ts'
import { Problem } from '../words/problem.ts'
import { toPem } from '../x509/pem.ts'
import { pathsOf } from './issuer.ts'

/** What to trust for an authority's certificates, in PEM: the roots above each of its issuer
 *  certificates, so that through a rotation it holds the old and the new one. Public. Throws
 *  authority-unknown. */
export async function getTrustBundle(ctx: Context, name: string): Promise<string> {
  const issuers = await ctx.db.read.issuer.findMany({
    where: { authority: { name }, trusted: true },
    orderBy: { createdAt: 'asc' },
    select: { id: true },
  })
  if (issuers.length === 0) {
    throw new Problem('authority-unknown', `There is no authority "${name}"`)
  }
  const ids = issuers.map(({ id }) => id)
  const paths = await pathsOf(ctx.db.read, ids)
  const roots = ids.flatMap((id) => paths.get(id)?.at(-1)?.anchor ?? [])
  return [...new Set(roots.map((der) => toPem('CERTIFICATE', der)))].join('')
}

import type { FastifyRequest } from 'fastify'

/** Whether a page of another origin sent a request, as far as its browser tells: by Sec-Fetch-Site (Fetch Metadata),
 *  which no page can write, or else by Origin. What neither is told of comes from no page. */
export function isForeign({ headers, protocol, host }: FastifyRequest): boolean {
  const { 'sec-fetch-site': site, origin } = headers
  // `none`: a person typed the address, or opened a bookmark.
  if (site !== undefined) return site !== 'same-origin' && site !== 'none'
  if (origin === undefined) return false
  const own = `${protocol}://${host}`
  // A proxy that ends TLS need not tell that it does: names and ports are compared.
  return !URL.canParse(origin) || !URL.canParse(own) || new URL(origin).host !== new URL(own).host
}

import type { Issuing } from '../authorities/trust/clients.ts'
import { tenantUri } from '../tenants/uri.ts'
import type { CompleteSpec } from './host.ts'
import { coversName } from './request/hostname.ts'

/** How a host's connections are secured. */
export type Tls = CompleteSpec['tls']

/** Whose client certificates a MUTUAL host accepts. `subjectAltName` is what a certificate of the
 *  authority must bear besides; null: every certificate of it will do. */
export type LetIn = {
  readonly authority: string
  /** Nobody else's clients are let in. */
  readonly onlyOwn: boolean
  readonly subjectAltName: string | null
}

/** Who is let in by a host of `tenantId`, given who issues certificates that lead to its client
 *  authority; undefined: nobody is asked for a certificate. */
export function letIn(
  { mode, clientAuthority, clients }: Tls,
  tenantId: string,
  issuing: readonly Issuing[],
): LetIn | undefined {
  if (mode !== 'MUTUAL' || clientAuthority === undefined) return undefined
  const own = issuing.length > 0 && issuing.every((each) => each.tenantId === tenantId)
  const all = clients === 'authority' || own
  return {
    authority: clientAuthority,
    onlyOwn: own || !(all || issuing.some(({ elsewhere }) => elsewhere)),
    subjectAltName: all ? null : tenantUri(tenantId),
  }
}

/** How a host is served to clients: by TLS, and on port 80. */
export type Served = Pick<CompleteSpec, 'tls' | 'http'> & { readonly name: string }

/** Whether a connection to `outer` lets somebody ask for `inner` without the client certificate that is
 *  demanded there. Envoy answers what is asked over a connection by the routes of the host that its SNI
 *  led to: between exact names that is 404, but a wildcard's routes answer for all names under it, and
 *  no certificate is asked for again (the class of Gateway API GEP-3567). The same goes for port 80,
 *  where a wildcard answers for a name that has nothing of its own there. */
export function opensWay(outer: Served, inner: Served): boolean {
  if (outer.name === inner.name || !coversName(outer.name, inner.name)) return false
  const plain = inner.tls.mode === 'MUTUAL' && inner.http === 'off' && outer.http === 'serve'
  return plain || !admitsAll(inner.tls, outer.tls)
}

/** Whether everybody who is let in by `outer` would be let in by `inner`. */
function admitsAll(inner: Tls, outer: Tls): boolean {
  if (inner.mode !== 'MUTUAL') return true
  if (outer.mode !== 'MUTUAL' || inner.clientAuthority !== outer.clientAuthority) return false
  return inner.clients === 'authority' || outer.clients !== 'authority'
}

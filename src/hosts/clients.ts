import { tenantUri } from '../tenants/uri.ts'
import type { CompleteSpec } from './host.ts'

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

/** Who is let in by a host of `tenantId`, given to whom its client authority issues (null: to any
 *  tenant); undefined: nobody is asked for a certificate. */
export function letIn(
  { mode, clientAuthority, clients }: Tls,
  tenantId: string,
  issuedTo: readonly (string | null)[],
): LetIn | undefined {
  if (mode !== 'MUTUAL' || clientAuthority === undefined) return undefined
  const own = issuedTo.every((each) => each === tenantId)
  const all = clients === 'authority' || own
  return {
    authority: clientAuthority,
    onlyOwn: own || clients !== 'authority',
    subjectAltName: all ? null : tenantUri(tenantId),
  }
}

/** Whether everybody who is let in by `outer` would be let in by `inner`. */
export function admitsAll(inner: Tls, outer: Tls): boolean {
  if (inner.mode !== 'MUTUAL') return true
  if (outer.mode !== 'MUTUAL' || inner.clientAuthority !== outer.clientAuthority) return false
  return inner.clients === 'authority' || outer.clients !== 'authority'
}

import { tenantUri } from '../../tenants/uri.ts'
import { constraintFaults } from '../../x509/constraints/faults.ts'
import type { NameConstraints } from '../../x509/constraints/subtrees.ts'
import { noAltNames } from '../../x509/names/altnames.ts'

const nobody = { ...noAltNames, uris: [tenantUri('00000000-0000-0000-0000-000000000000')] }

/** Whether certificates under these name constraints may bear the URI of their tenant: a URI without a
 *  host is refused wherever URIs are constrained at all (RFC 5280 4.2.1.10). */
export function permitsTenantUris(constraints: readonly NameConstraints[]): boolean {
  const faults = constraintFaults(nobody, {}, ...constraints)
  return faults.every(({ field }) => field !== '/uris/0')
}

import { queryOptions } from '@tanstack/react-query'
import { api, type Listed, listed } from '../shared/api.ts'
import type { HostInTrouble, LeafInTrouble } from './concerns.ts'

// What may need attention is asked for in one round. The keys begin with the noun, so that what happens to one has it
// asked for anew.

const leafFields = 'id,tenant,host,authority,profile,dnsNames,subject,notAfter,autoRenew,renewal'
const hostFields = 'name,tenant,status'

/** Certificates of a tenant, or of all: whose renewal fails, or that nothing renews and that end within thirty days. */
export function leavesQuery(tenant: string | null, renewal: 'failing' | 'off') {
  const within = renewal === 'off' ? { expiringWithin: 'P30D' } : {}
  return queryOptions({
    queryKey: ['certificates', 'attention', renewal, tenant],
    queryFn: (): Promise<Listed<LeafInTrouble>> =>
      listed((page) => {
        const query = { ...page, ...within, renewal, fields: leafFields }
        return tenant === null
          ? api.GET('/v1/certificates', { params: { query } })
          : api.GET('/v1/tenants/{tenant}/certificates', { params: { query, path: { tenant } } })
      }),
  })
}

/** Hosts of a tenant, or of all, that are not served as asked somewhere. */
export function hostsQuery(tenant: string | null, status: 'Failed' | 'Conflict') {
  return queryOptions({
    queryKey: ['hosts', 'attention', status, tenant],
    queryFn: (): Promise<Listed<HostInTrouble>> =>
      listed((page) => {
        const query = { ...page, status, fields: hostFields }
        return tenant === null
          ? api.GET('/v1/hosts', { params: { query } })
          : api.GET('/v1/tenants/{tenant}/hosts', { params: { query, path: { tenant } } })
      }),
  })
}

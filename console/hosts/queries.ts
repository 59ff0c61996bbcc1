import { queryOptions } from '@tanstack/react-query'
import { answered, api, type Listed, listed, type Schemas } from '../shared/api.ts'

/** A host as the API tells it. */
export type Host = Schemas['Host']
/** A host on one ingress of a cluster. */
export type Placement = Schemas['Placement']
/** Of a host what the matrix shows. */
export type MatrixRow = Pick<Host, 'name' | 'tenant' | 'tls' | 'status'>

const fields = 'name,tenant,tls,status'

/** The hosts of a tenant, or of all, with how they stand on each cluster; of a name, or of all. */
export function matrixQuery(tenant: string | null, name: string | null) {
  return queryOptions({
    queryKey: ['hosts', 'matrix', tenant, name],
    queryFn: (): Promise<Listed<MatrixRow>> =>
      listed((page) => {
        const query = { ...page, fields, ...(name ? { name } : {}) }
        return tenant === null
          ? api.GET('/v1/hosts', { params: { query } })
          : api.GET('/v1/tenants/{tenant}/hosts', { params: { query, path: { tenant } } })
      }),
  })
}

type Place = { readonly tenant: string; readonly name: string }

/** A host, with the tag that a change of it is to name. */
export function hostQuery({ tenant, name }: Place) {
  return queryOptions({
    queryKey: ['hosts', 'one', tenant, name],
    queryFn: async () => {
      const path = { tenant, host: name }
      const call = api.GET('/v1/tenants/{tenant}/hosts/{host}', { params: { path } })
      const { response } = await call
      return { host: await answered(call), etag: response.headers.get('etag') }
    },
  })
}

/** What the ingresses serve for a host, looked at now as a client would. */
export function probeQuery({ tenant, name }: Place) {
  return queryOptions({
    queryKey: ['probes', tenant, name],
    queryFn: async () => {
      const path = { tenant, host: name }
      const { results } = await answered(
        api.POST('/v1/tenants/{tenant}/hosts/{host}/probe', { params: { path }, body: {} }),
      )
      return { results, at: new Date().toISOString() }
    },
    staleTime: 60_000,
  })
}

/** What a push of a host would change on each cluster. */
export function planQuery({ tenant, name }: Place, spec?: Schemas['HostSpec']) {
  return queryOptions({
    queryKey: ['plans', tenant, name, spec],
    queryFn: () =>
      answered(
        api.POST('/v1/tenants/{tenant}/hosts/{host}/plan', {
          params: { path: { tenant, host: name } },
          body: spec ? { spec } : {},
        }),
      ),
    staleTime: 0,
  })
}

/** What was done to a host, newest first. */
export function historyQuery({ tenant, name }: Place) {
  return queryOptions({
    queryKey: ['hosts', 'history', tenant, name],
    queryFn: () =>
      listed((page) =>
        api.GET('/v1/tenants/{tenant}/hosts/{host}/history', {
          params: { path: { tenant, host: name }, query: page },
        }),
      ),
  })
}

/** What was asked for, of a host as it is answered. */
export function specOf(host: Host): Schemas['HostSpec'] {
  const { annotations, aliases, onRemoval, tls, http, certificate, routes, clusters } = host
  const { labels, owner, contact } = host
  return {
    ...(annotations ? { annotations } : {}),
    ...(aliases ? { aliases } : {}),
    ...(onRemoval ? { onRemoval } : {}),
    ...{ tls, http, certificate, routes, clusters, labels, owner, contact },
  }
}

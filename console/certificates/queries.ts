import { queryOptions } from '@tanstack/react-query'
import {
  answered,
  api,
  graphql,
  listed,
  record,
  records,
  type Schemas,
  text,
} from '../shared/api.ts'

/** A certificate as the API tells it. */
export type Leaf = Schemas['Certificate']

/** Which certificate. */
export type Which = { readonly tenant: string; readonly id: string }

/** A certificate. */
export function leafQuery({ tenant, id }: Which) {
  return queryOptions({
    queryKey: ['certificates', 'one', tenant, id],
    queryFn: () =>
      answered(
        api.GET('/v1/tenants/{tenant}/certificates/{id}', { params: { path: { tenant, id } } }),
      ),
  })
}

/** What a certificate replaced, and what took its place: the oldest first, itself included. */
export function lineageQuery({ tenant, id }: Which) {
  const towards = (direction: 'older' | 'newer') =>
    listed((page) =>
      api.GET('/v1/tenants/{tenant}/certificates/{id}/lineage', {
        params: { path: { tenant, id }, query: { ...page, towards: direction } },
      }),
    )
  return queryOptions({
    queryKey: ['certificates', 'lineage', tenant, id],
    queryFn: async (): Promise<readonly Leaf[]> => {
      const [older, newer] = await Promise.all([towards('older'), towards('newer')])
      const all = [...older.items, ...newer.items]
      const known = new Map(all.map((leaf) => [leaf.id, leaf]))
      return [...known.values()].toSorted((a, b) => a.createdAt.localeCompare(b.createdAt))
    },
  })
}

/** Where a certificate was last seen to be served. */
export type ServedOn = {
  readonly cluster: string
  readonly ingress: string
  readonly status: string
  readonly provedAt: string | null
}

/** Where a certificate was last seen to be served. */
export function servedQuery(which: Which) {
  return queryOptions({
    queryKey: ['certificates', 'served', which.tenant, which.id],
    queryFn: async (): Promise<readonly ServedOn[]> => {
      const data = await graphql(
        `query Served($tenant: String!, $id: ID!) {
          certificate(tenant: $tenant, id: $id) { clusters { cluster { name } ingress status provedAt } }
        }`,
        which,
      )
      return records(record(data.certificate).clusters).map((each) => ({
        cluster: text(record(each.cluster).name),
        ingress: text(each.ingress),
        status: text(each.status),
        provedAt: text(each.provedAt) || null,
      }))
    },
  })
}

/** The uploaded certificates of a tenant that are good now, for a host to serve. */
export function uploadsQuery(tenant: string) {
  return queryOptions({
    queryKey: ['certificates', 'uploads', tenant],
    enabled: tenant !== '',
    queryFn: async () => {
      const query = { origin: 'uploaded', status: 'active', limit: 200 } as const
      const asked = { params: { path: { tenant }, query } }
      return (await answered(api.GET('/v1/tenants/{tenant}/certificates', asked))).items
    },
  })
}

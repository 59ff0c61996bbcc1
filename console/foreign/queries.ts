import { queryOptions } from '@tanstack/react-query'
import {
  answered,
  api,
  graphql,
  type Listed,
  listed,
  record,
  records,
  type Schemas,
  text,
} from '../shared/api.ts'

/** A certificate that gateways hold and that nobody has here. */
export type Foreign = Schemas['ForeignCertificate']

/** What the list is narrowed by. */
export type Asked = {
  readonly cluster: string | null
  readonly within: string | null
  readonly name: string | null
}

/** Certificates that gateways hold and that nobody has here, those that end soonest first. */
export function foreignQuery({ cluster, within, name }: Asked) {
  return queryOptions({
    queryKey: ['foreign', 'list', cluster, within, name],
    queryFn: (): Promise<Listed<Foreign>> =>
      listed((page) =>
        api.GET('/v1/foreign-certificates', {
          params: {
            query: {
              ...page,
              ...(cluster ? { cluster } : {}),
              ...(within ? { expiringWithin: within } : {}),
              ...(name ? { name } : {}),
            },
          },
        }),
      ),
  })
}

/** A gateway pod whose certificates could not be read, and why. */
export type Unread = { readonly cluster: string; readonly reason: string }

/** The gateway pods that could not be read, of all clusters. */
export const unreadQuery = queryOptions({
  queryKey: ['foreign', 'unread'],
  queryFn: async (): Promise<readonly Unread[]> => {
    const data = await graphql(
      '{ clusters(first: 100) { items { name gateways { pod reason } } } }',
    )
    return records(record(data.clusters).items).flatMap(({ name, gateways }) =>
      records(gateways).flatMap(({ pod, reason }) => {
        const why = text(reason)
        const which = text(pod)
        return why === ''
          ? []
          : [{ cluster: text(name), reason: which === '' ? why : `${which}: ${why}` }]
      }),
    )
  },
})

/** The gateway pods of a cluster, as they were last read. */
export function gatewaysQuery(cluster: string) {
  return queryOptions({
    queryKey: ['clusters', 'gateways', cluster],
    queryFn: async () =>
      (
        await answered(
          api.GET('/v1/clusters/{cluster}/gateways', { params: { path: { cluster } } }),
        )
      ).items,
  })
}

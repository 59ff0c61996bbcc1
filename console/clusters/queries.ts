import { queryOptions } from '@tanstack/react-query'
import { answered, api, type Schemas } from '../shared/api.ts'

/** A cluster as the API tells it. */
export type Cluster = Schemas['Cluster']

/** The clusters that who is signed in may see. */
export const clustersQuery = queryOptions({
  queryKey: ['clusters', 'list'],
  queryFn: async (): Promise<readonly Cluster[]> =>
    (await answered(api.GET('/v1/clusters', { params: { query: { limit: 500 } } }))).items,
})

/** A cluster. */
export function clusterQuery(name: string) {
  return queryOptions({
    queryKey: ['clusters', 'one', name],
    queryFn: () =>
      answered(api.GET('/v1/clusters/{cluster}', { params: { path: { cluster: name } } })),
  })
}

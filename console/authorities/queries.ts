import { ProblemError } from '@gatesmith/client'
import { queryOptions } from '@tanstack/react-query'
import { answered, api, type Schemas } from '../shared/api.ts'

/** An authority as the API tells it. */
export type Authority = Schemas['Authority']

/** The authorities that who is signed in may see. */
export const authoritiesQuery = queryOptions({
  queryKey: ['authorities', 'list'],
  queryFn: async (): Promise<readonly Authority[]> =>
    (await answered(api.GET('/v1/authorities', { params: { query: { limit: 500 } } }))).items,
})

/** An authority. */
export function authorityQuery(name: string) {
  return queryOptions({
    queryKey: ['authorities', 'one', name],
    queryFn: () =>
      answered(api.GET('/v1/authorities/{authority}', { params: { path: { authority: name } } })),
  })
}

/** The certificates of all keys of an authority. */
export function issuersQuery(name: string) {
  return queryOptions({
    queryKey: ['authorities', 'issuers', name],
    queryFn: () =>
      answered(
        api.GET('/v1/authorities/{authority}/issuers', { params: { path: { authority: name } } }),
      ),
  })
}

/** How far a change of the key of an authority is; null: its key was never changed. */
export function rotationQuery(name: string) {
  return queryOptions({
    queryKey: ['authorities', 'rotation', name],
    queryFn: async (): Promise<Schemas['Rotation'] | null> => {
      const path = { authority: name }
      try {
        return await answered(api.GET('/v1/authorities/{authority}/rotation', { params: { path } }))
      } catch (error) {
        // Its key was never changed, which is as it should be.
        if (error instanceof ProblemError && error.type === 'rotation-unknown') return null
        throw error
      }
    },
    // The steps follow one another by themselves, and no event tells of them.
    refetchInterval: ({ state }) => (state.data && state.data.step !== 'done' ? 5_000 : false),
  })
}

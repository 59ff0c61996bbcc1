import { queryOptions } from '@tanstack/react-query'
import { graphql, records, text } from '../shared/api.ts'

/** What is narrowed by. */
export type Narrowing = {
  readonly tenant?: string
  readonly authority?: string
  readonly cluster?: string
}

const variables = '$within: String!, $tenant: String, $authority: String, $cluster: String'
const narrowed = 'within: $within, tenant: $tenant, authority: $authority, cluster: $cluster'

/** How many certificates end in each day or week. */
export function expiriesQuery(asked: Narrowing & { within: string; by: 'day' | 'week' }) {
  return queryOptions({
    queryKey: ['expiry', 'steps', asked],
    queryFn: async () => {
      const data = await graphql(
        `query Expiries(${variables}, $by: ExpiryStep) { expiries(${narrowed}, by: $by) { from count renewing } }`,
        asked,
      )
      return records(data.expiries).map(({ from, count, renewing }) => ({
        from: text(from),
        count: Number(count),
        renewing: Number(renewing),
      }))
    },
  })
}

/** By what ends are put together. */
export const groupings = ['tenant', 'authority', 'cluster'] as const
/** By what ends are put together. */
export type Grouping = (typeof groupings)[number]

/** What ends of each tenant, authority or cluster. */
export type Group = {
  readonly key: string
  readonly count: number
  readonly renewing: number
  readonly soonestEnd: string
}

/** What ends within a period, by tenant, authority and cluster. */
export function groupsQuery(asked: Narrowing & { within: string }) {
  const groups = groupings
    .map(
      (by) =>
        `${by}: expiringCertificates(${narrowed}, first: 1, groupBy: ${by}) { groups { key count renewing soonestEnd } }`,
    )
    .join(' ')
  return queryOptions({
    queryKey: ['expiry', 'groups', asked],
    queryFn: async (): Promise<Readonly<Record<Grouping, readonly Group[]>>> => {
      const data = await graphql(`query Groups(${variables}) { ${groups} }`, asked)
      return {
        tenant: groupsIn(data.tenant),
        authority: groupsIn(data.authority),
        cluster: groupsIn(data.cluster),
      }
    },
  })
}

function groupsIn(answer: unknown): readonly Group[] {
  const [connection] = records([answer])
  return records(connection?.groups).map(({ key, count, renewing, soonestEnd }) => ({
    key: text(key),
    count: Number(count),
    renewing: Number(renewing),
    soonestEnd: text(soonestEnd),
  }))
}

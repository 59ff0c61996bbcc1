import Type from 'typebox'
import { joinSql, type Sql, sql } from '../../core/database/db.ts'
import { type Listing, when } from '../../core/database/lists.ts'
import { named, type Row, rowsOf } from '../../core/database/rows.ts'
import { LabelFilter, labelTerms } from '../../shared/lists/labels.ts'
import { type Cursored, listQuery, NameSort } from '../../shared/lists/query.ts'
import { Name } from '../../shared/schema.ts'
import { PlacementStatus } from '../host.ts'

/** Which hosts are listed; all that is named must hold. */
export const HostQuery = listQuery(NameSort, {
  status: Type.Optional(
    Type.Enum(PlacementStatus.enum, {
      title: 'PlacementStatusFilter',
      description: 'Those that stand so on a cluster; with `cluster`, on that one',
    }),
  ),
  cluster: Type.Optional(Name),
  authority: Type.Optional(Name),
  name: Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e]{1,255}$',
      description:
        'A name or an alias; *.example.com finds every name that ends in .example.com, at any depth',
    }),
  ),
  label: Type.Optional(LabelFilter),
})
export type HostQuery = Cursored<Type.Static<typeof HostQuery>>

const rows = rowsOf('Host', { tenant: named(sql`tenant`, sql`host."tenantId"`) })

/** A host as it is listed: with the name of its tenant. */
export type ListedHost = Row<typeof rows>

/** How hosts are listed; an id of a later one is greater. */
export const hostListing: Listing<NameSort, ListedHost> = {
  rows,
  usual: 'name',
  orders: {
    name: [
      { member: 'name', kind: 'text' },
      { member: 'id', kind: 'uuid' },
    ],
    createdAt: [{ member: 'id', kind: 'uuid' }],
  },
}

/** What holds for the hosts that are asked for; `tenantId` null: of every tenant. */
export function hostConditions(tenantId: string | null, query: HostQuery): readonly Sql[] {
  const { status, cluster, authority, name, label } = query
  const placed = [
    ...when(status, (one) => sql`placement."status" = ${one}`),
    ...when(
      cluster,
      (one) => sql`placement."clusterId" = (select "id" from cluster where "name" = ${one})`,
    ),
  ]
  return [
    ...(tenantId === null ? [] : [sql`host."tenantId" = ${tenantId}::uuid`]),
    ...(placed.length === 0 ? [] : [standing(placed, status === undefined && tenantId === null)]),
    ...when(authority, (one) => sql`host."spec" #>> '{certificate,authority}' = ${one}`),
    ...when(name, (one) => sql`host."dnsEndings" @> array[${endingOf(one)}::text]`),
    ...when(label, (one) => sql`host."labelTerms" @> ${[...labelTerms(one)]}::text[]`),
  ]
}

/** `is true` has the hosts of a cluster looked up in a table of hashes, on the way along all hosts. */
function standing(placed: readonly Sql[], many: boolean): Sql {
  const where = joinSql([...placed], ' and ')
  return many
    ? sql`(host."id" in (select placement."hostId" from placement where ${where})) is true`
    : sql`exists (select from placement where placement."tenantId" = host."tenantId"
        and placement."hostId" = host."id" and ${where})`
}

/** What names that are asked for end in: `*.example.com` is every name that ends in .example.com, which that
 *  wildcard itself does. */
export function endingOf(name: string): string {
  const lower = name.toLowerCase().replace(/\.$/, '')
  return lower.startsWith('*.') ? lower.slice(1) : lower
}

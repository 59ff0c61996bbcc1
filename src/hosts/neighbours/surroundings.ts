import { issuingUnder } from '../../authorities/trust/clients.ts'
import { sql, type Tx } from '../../core/database/db.ts'
import { shownJson } from '../../shared/view.ts'
import { type LetIn, letIn, type Served } from '../clients.ts'
import { CompleteSpec, namesOf } from '../host.ts'
import { wildcardsOver } from '../request/hostname.ts'

/** What around a host decides how it is served. */
export type Surroundings = {
  readonly letIn: LetIn | undefined
  /** Hosts of the same tenant on an ingress that serves this one, where one of the two is a wildcard
   *  over the other; of those under a wildcard only the first by name. */
  readonly neighbours: readonly Served[]
}

type Stored = {
  readonly id: string
  readonly tenantId: string
  readonly name: string
  readonly spec: unknown
}

/** How many hosts under a wildcard are looked at. */
const most = 20

/** The surroundings of these hosts, by id. */
export async function surroundingsOf(
  tx: Tx,
  hosts: readonly Stored[],
): Promise<ReadonlyMap<string, Surroundings>> {
  const secured = hosts.map((host) => ({ ...host, tls: shownJson(CompleteSpec, host.spec).tls }))
  const authorities = secured.flatMap(({ tls }) => tls.clientAuthority ?? [])
  const [issuing, neighbours] = await Promise.all([
    issuingUnder(tx, [...new Set(authorities)]),
    neighboursOf(tx, hosts),
  ])
  return new Map(
    secured.map(({ id, tenantId, tls }) => [
      id,
      {
        letIn: letIn(tls, tenantId, issuing.get(tls.clientAuthority ?? '') ?? []),
        neighbours: neighbours.get(id) ?? [],
      },
    ]),
  )
}

async function neighboursOf(
  tx: Tx,
  hosts: readonly Stored[],
): Promise<ReadonlyMap<string, readonly Served[]>> {
  const items = hosts.map(({ id, tenantId, name, spec }) => {
    const names = namesOf(name, shownJson(CompleteSpec, spec))
    const wildcards = names.filter((each) => each.startsWith('*.'))
    return {
      id,
      tenantId,
      over: names.flatMap((each) => wildcardsOver(each).filter((wide) => wide !== each)),
      below: wildcards.map((each) => each.slice(1)),
    }
  })
  const held = sql`placement_name as held join placement on placement."id" = held."placementId"
    and placement."wanted" and held."wanted"
    where held."clusterId" = own."clusterId" and held."ingress" = own."ingress"
      and placement."tenantId" = own."tenantId" and placement."hostId" <> own."hostId"`
  // offset 0: PostgreSQL takes the hosts for a hundred, and would rather read all placements.
  const rows = await tx.$queryRaw<readonly { id: string; name: string; spec: unknown }[]>(sql`
    select distinct asked."id"::text, other."name", host."spec"
    from jsonb_to_recordset(${JSON.stringify(items)}::jsonb)
      as asked ("id" uuid, "tenantId" uuid, "over" text[], "below" text[])
    cross join lateral (select * from placement where placement."tenantId" = asked."tenantId"
      and placement."hostId" = asked."id" and placement."wanted" offset 0) own
    cross join lateral (
      (select held."name", placement."hostId" from ${held} and held."name" = any(asked."over"))
      union
      (select held."name", placement."hostId" from ${held}
        and cardinality(asked."below") > 0
        and exists (select from unnest(asked."below") as base
          where right(held."name", length(base)) = base)
        order by held."name" limit ${most})
    ) other
    cross join lateral (select "spec" from host where "id" = other."hostId" limit 1) host
    order by other."name"`)
  const found = rows.map(({ id, name, spec }) => {
    const { tls, http } = shownJson(CompleteSpec, spec)
    return { id, name, tls, http }
  })
  return Map.groupBy(found, ({ id }) => id)
}

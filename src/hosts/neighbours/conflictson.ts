import { placeText } from '../../clusters/cluster.ts'
import type { Actor } from '../../core/actor.ts'
import type { Tx } from '../../core/database/db.ts'
import { shownJson } from '../../shared/view.ts'
import { CompleteSpec, namesOf, ServedSpecs } from '../host.ts'
import type { CheckedHost } from '../request/check.ts'
import { wildcardsOver } from '../request/hostname.ts'
import { concealed, conflicts, type HostConflict, type Placed } from './conflicts.ts'
import { withTwins } from './twins.ts'

/** Which hosts stand in the way on these ingresses, as far as the actor may know. Ask under the clusters'
 *  locks before placing anything. */
export async function conflictsOn(
  tx: Tx,
  actor: Pick<Actor, 'tenantId'>,
  { tenant, name, spec, clusters }: CheckedHost,
): Promise<readonly HostConflict[]> {
  const names = namesOf(name, spec)
  const found = await placedAround(tx, { tenant, name, spec, clusters })
  const all = names.flatMap((each) => {
    const host = { tenantId: tenant.id, name: each, ...spec }
    const shown = actor.tenantId === null ? (one: HostConflict) => one : concealed(host, found)
    return conflicts(host, found).map(shown)
  })
  return all.slice(0, mostShown)
}

/** What other hosts answer for there, as far as it has to do with a name of this one. */
async function placedAround(
  tx: Tx,
  { tenant, name, spec, clusters }: CheckedHost,
): Promise<readonly Placed[]> {
  const names = namesOf(name, spec)
  const places = clusters.map(({ id: clusterId, ingress }) => ({ clusterId, ingress }))
  const on = [...(await withTwins(tx, places))]
  const same = { name: { in: [...names] } }
  const over = { name: { in: names.flatMap(wildcardsOver) } }
  const below = names
    .filter((each) => each.startsWith('*.'))
    .map((each) => ({ name: { endsWith: each.slice(1) } }))
  const others = await tx.placementName.findMany({
    where: {
      placement: { tenantId: { not: tenant.id } },
      AND: [{ OR: on }, { OR: [same, over, ...below] }],
    },
    select: placed,
    orderBy,
    take: mostShown,
  })
  // Of one's own, only MUTUAL hosts are protected by anything that a wildcard could lack.
  const mutual = {
    placement: { host: { spec: { path: ['tls', 'mode'], equals: 'MUTUAL' } } },
  }
  const near = [
    same,
    ...(spec.tls.mode === 'MUTUAL' ? [over] : []),
    ...below.map((each) => ({ ...each, ...mutual })),
  ]
  const own = await tx.placementName.findMany({
    where: {
      placement: { tenantId: tenant.id, name: { not: name } },
      AND: [{ OR: on }, { OR: near }],
    },
    select: placed,
    orderBy,
  })
  return [...others, ...own].map(({ name: held, wanted, placement }) => {
    const { cluster, ingress, tenantId, served } = placement
    const { tls, http } = shownJson(CompleteSpec, placement.host.spec)
    return {
      tenantId,
      name: held,
      tls,
      http,
      cluster: placeText({ cluster: cluster.name, ingress }),
      wanted: wanted && placement.wanted,
      served: shownJson(ServedSpecs, served ?? []),
    }
  })
}

const mostShown = 100

const orderBy = [
  { clusterId: 'asc' as const },
  { ingress: 'asc' as const },
  { name: 'asc' as const },
]

const placed = {
  name: true,
  wanted: true,
  placement: {
    select: {
      tenantId: true,
      wanted: true,
      served: true,
      cluster: { select: { name: true } },
      ingress: true,
      host: { select: { spec: true } },
    },
  },
} as const

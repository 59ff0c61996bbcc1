import { placeText } from '../../clusters/cluster.ts'
import type { Actor } from '../../core/actor.ts'
import type { Tx } from '../../core/database/db.ts'
import { shownJson } from '../../shared/view.ts'
import { CompleteSpec, ServedSpecs } from '../host.ts'
import type { CheckedHost } from '../request/check.ts'
import { wildcardsOver } from '../request/hostname.ts'
import { concealed, conflicts, type HostConflict } from './conflicts.ts'

/** Which hosts stand in the way on these ingresses, as far as the actor may know. Ask under the clusters'
 *  locks before placing anything. */
export async function conflictsOn(
  tx: Tx,
  actor: Pick<Actor, 'tenantId'>,
  { tenant, name, spec, clusters }: CheckedHost,
): Promise<readonly HostConflict[]> {
  const host = { tenantId: tenant.id, name, ...spec }
  const on = clusters.map(({ id: clusterId, ingress }) => ({ clusterId, ingress }))
  const over = { name: { in: [...wildcardsOver(name)] } }
  const below = name.startsWith('*.') ? [{ name: { endsWith: name.slice(1) } }] : []
  const others = await tx.placement.findMany({
    where: {
      tenantId: { not: tenant.id },
      AND: [{ OR: on }, { OR: [{ name }, over, ...below] }],
    },
    select: placed,
    orderBy: [{ clusterId: 'asc' }, { ingress: 'asc' }, { name: 'asc' }],
    take: mostShown,
  })
  // Of one's own, only MUTUAL hosts are protected by anything that a wildcard could lack.
  const mutual = { host: { spec: { path: ['tls', 'mode'], equals: 'MUTUAL' } } }
  const own = await tx.placement.findMany({
    where: {
      tenantId: tenant.id,
      AND: [
        { OR: on },
        {
          OR: [
            ...(spec.tls.mode === 'MUTUAL' ? [over] : []),
            ...below.map((b) => ({ ...b, ...mutual })),
          ],
        },
      ],
    },
    select: placed,
    orderBy: [{ clusterId: 'asc' }, { ingress: 'asc' }, { name: 'asc' }],
  })
  const found = [...others, ...own].map(
    ({ cluster, ingress, host: { spec: stored }, served, ...row }) => {
      const { tls, http } = shownJson(CompleteSpec, stored)
      const before = shownJson(ServedSpecs, served ?? [])
      const place = placeText({ cluster: cluster.name, ingress })
      return { ...row, tls, http, cluster: place, served: before }
    },
  )
  const all = conflicts(host, found).slice(0, mostShown)
  return actor.tenantId === null ? all : all.map(concealed(host, found))
}

const mostShown = 100

const placed = {
  tenantId: true,
  name: true,
  wanted: true,
  served: true,
  cluster: { select: { name: true } },
  ingress: true,
  host: { select: { spec: true } },
} as const

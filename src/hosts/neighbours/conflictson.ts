import type { Actor } from '../../core/actor.ts'
import type { Tx } from '../../core/database/db.ts'
import { shownJson } from '../../shared/view.ts'
import { CompleteSpec, ServedSpecs } from '../host.ts'
import type { CheckedHost } from '../request/check.ts'
import { wildcardsOver } from '../request/hostname.ts'
import { concealed, conflicts, type HostConflict } from './conflicts.ts'

/** Which hosts stand in the way on these clusters, as far as the actor may know. Ask under the clusters'
 *  locks before placing anything. */
export async function conflictsOn(
  tx: Tx,
  actor: Pick<Actor, 'tenantId'>,
  { tenant, name, spec, clusters }: CheckedHost,
): Promise<readonly HostConflict[]> {
  const host = { tenantId: tenant.id, name, ...spec }
  const over = { name: { in: [...wildcardsOver(name)] } }
  const below = name.startsWith('*.') ? [{ name: { endsWith: name.slice(1) } }] : []
  const on = { clusterId: { in: clusters.map(({ id }) => id) } }
  const others = await tx.placement.findMany({
    where: { ...on, tenantId: { not: tenant.id }, OR: [{ name }, over, ...below] },
    select: placed,
    orderBy: [{ clusterId: 'asc' }, { name: 'asc' }],
    take: mostShown,
  })
  // Of one's own, only MUTUAL hosts are protected by anything that a wildcard could lack.
  const mutual = { host: { spec: { path: ['tls', 'mode'], equals: 'MUTUAL' } } }
  const own = await tx.placement.findMany({
    where: {
      ...on,
      tenantId: tenant.id,
      OR: [
        ...(spec.tls.mode === 'MUTUAL' ? [over] : []),
        ...below.map((b) => ({ ...b, ...mutual })),
      ],
    },
    select: placed,
    orderBy: [{ clusterId: 'asc' }, { name: 'asc' }],
  })
  const found = [...others, ...own].map(({ cluster, host: { spec: stored }, served, ...row }) => {
    const { tls, http } = shownJson(CompleteSpec, stored)
    const before = shownJson(ServedSpecs, served ?? [])
    return { ...row, tls, http, cluster: cluster.name, served: before }
  })
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
  host: { select: { spec: true } },
} as const

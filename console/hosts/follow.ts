import type { Listed, Schemas } from '../shared/api.ts'
import { record, text } from '../shared/api.ts'
import type { MatrixRow } from './queries.ts'

type Told = Schemas['Event']

const states = ['Pending', 'Applied', 'Synced', 'Failed', 'Conflict'] as const

/** The matrix after an event: the one cell that it tells of is another. Undefined: the event tells of more than a cell. */
export function afterEvent(
  list: Listed<MatrixRow>,
  { type, tenant, subject, at, data }: Told,
): Listed<MatrixRow> | undefined {
  if (type !== 'host.status') return undefined
  const { cluster, ingress, status: word, message } = record(data)
  const status = states.find((each) => each === word)
  const isIt = (row: MatrixRow) => row.name === subject.name && row.tenant === tenant
  const row = list.items.find(isIt)
  const known = row?.status.clusters.some(
    (each) => each.cluster === cluster && each.ingress === ingress,
  )
  if (!status || !row || !known) return undefined
  const clusters = row.status.clusters.map((each) =>
    each.cluster === cluster && each.ingress === ingress
      ? { ...each, status, since: at, message: text(message) || null }
      : each,
  )
  const next = { ...row, status: { ...row.status, clusters } }
  return { ...list, items: list.items.map((each) => (each === row ? next : each)) }
}

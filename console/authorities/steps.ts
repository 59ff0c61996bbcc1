import type { Schemas } from '@gatesmith/client'
import { counted } from '../shared/when.ts'

type Rotation = Schemas['Rotation']
type RotationStep = Schemas['RotationStep']

/** A step of a change of key: what it does, and what it waits for while it is the one under way. */
export type Step = {
  readonly name: RotationStep
  readonly title: string
  readonly state: 'done' | 'now' | 'later'
  readonly waitsFor: string | undefined
}

/** The steps, in their order. */
const titles: readonly (readonly [RotationStep, string])[] = [
  ['trust', 'Everybody who trusts the old key trusts the new one, too'],
  ['leaves', 'Hosts get certificates by the new key'],
  ['clients', 'Holders of client certificates renew theirs'],
  ['distrust', 'The old key is trusted no longer'],
  ['done', 'The new key is the only one'],
]

/** How far a change of key is, step by step. */
export function steps({ step, outstanding }: Rotation): readonly Step[] {
  const at = titles.findIndex(([name]) => name === step)
  return titles.map(([name, title], index) => {
    const state = index < at || step === 'done' ? 'done' : index === at ? 'now' : 'later'
    return { name, title, state, waitsFor: state === 'now' ? waiting(outstanding) : undefined }
  })
}

function waiting({ trust, hosts, certificates, authorities }: Rotation['outstanding']): string {
  const places = trust.map(({ host, cluster }) => `${host} on ${cluster}`)
  const few = places.slice(0, 3).join(', ')
  const parts = [
    ...(places.length > 0
      ? [`${few}${places.length > 3 ? ` and ${places.length - 3} more` : ''} to be told`]
      : []),
    ...(hosts > 0 ? [`${counted(hosts, 'host')} to move over`] : []),
    ...(certificates > 0 ? [`${counted(certificates, 'certificate')} of the old key`] : []),
    ...(authorities.length > 0 ? [`the authorities below: ${authorities.join(', ')}`] : []),
  ]
  return parts.length > 0 ? `Waits for ${parts.join('; ')}` : 'Goes on by itself in a moment'
}

import Type from 'typebox'
import { closed, Id, KeyAlgorithm, Name, Timestamp } from '../../shared/schema.ts'
import { NewAuthority } from '../authority.ts'
import { IssuerView } from '../issuers/view.ts'

/** The steps of an authority's change of key, each begun when the one before is seen to be done:
 *
 *    trust     the new key exists; whoever lets in clients of the authority is to trust both
 *    leaves    the new key signs; hosts get certificates of it
 *    clients   whoever holds certificates of the old key has them replaced, or they end
 *    distrust  the old key is no longer trusted for clients
 *    done      the old key signs revocation lists and nothing else
 *
 *  So nobody is turned away: trust is there before anything needs it and goes after everything that did. */
export const rotationSteps = ['trust', 'leaves', 'clients', 'distrust', 'done'] as const
export type RotationStep = (typeof rotationSteps)[number]

/** What decides whether a step is done. */
export type RotationFacts = {
  /** Hosts on clusters that let in its clients. */
  readonly trusting: number
  /** Those of them that were not yet seen to trust what they are to trust. */
  readonly unsettled: number
  /** Since when there are none of those. */
  readonly settledAt: Date | null
  /** Hosts that have, or on some cluster still serve, a certificate of the old key. */
  readonly hosts: number
  /** Certificates of the old key that others hold. */
  readonly certificates: number
  /** Authorities whose certificate is by the old key. */
  readonly authorities: number
  /** An operator said that those do not matter any more. */
  readonly retired: boolean
}

/** A gateway has taken up its Secret by then (istio.md 1.6: seconds). */
const propagation = 60_000

/** The step that may begin: `step` itself while it is not done. */
export function nextStep(step: RotationStep, facts: RotationFacts, now: Date): RotationStep {
  const settled =
    facts.trusting === 0 ||
    (facts.unsettled === 0 &&
      facts.settledAt !== null &&
      now.getTime() - facts.settledAt.getTime() >= propagation)
  const free = facts.retired || facts.certificates + facts.authorities === 0
  const done: Readonly<Record<RotationStep, boolean>> = {
    trust: settled,
    leaves: facts.hosts === 0,
    clients: facts.hosts === 0 && free,
    distrust: facts.unsettled === 0,
    done: false,
  }
  const next = rotationSteps[rotationSteps.indexOf(step) + 1]
  return done[step] && next !== undefined ? next : step
}

export const NewRotation = closed(
  {
    keyAlgorithm: Type.Optional(KeyAlgorithm),
    validityDays: NewAuthority.properties.validityDays,
    key: NewAuthority.properties.key,
    deadlineDays: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 3650,
        description:
          'From when on the old key may be retired although certificates of it are left (30)',
      }),
    ),
  },
  { title: 'NewRotation', examples: [{ keyAlgorithm: 'ECDSA_P384', deadlineDays: 30 }] },
)
export type NewRotation = Type.Static<typeof NewRotation>

const few = 100

export const Rotation = closed(
  {
    authority: Name,
    step: Type.Enum([...rotationSteps], {
      title: 'RotationStep',
      description:
        'trust: the new key is made known; leaves: it signs, hosts get new certificates; clients: certificates that others hold are replaced; distrust: trust in the old key is taken back; done',
    }),
    since: Timestamp,
    startedAt: Timestamp,
    deadline: Timestamp,
    retiredBy: Type.Union([Type.String(), Type.Null()], {
      description: 'Who had the old key retired although certificates of it were left',
    }),
    from: IssuerView,
    to: IssuerView,
    outstanding: closed(
      {
        trust: Type.Array(
          closed(
            {
              host: Type.String(),
              cluster: Name,
              status: Type.String(),
              message: Type.Union([Type.String(), Type.Null()]),
            },
            { title: 'UnsettledTrust' },
          ),
          {
            description: `Hosts that do not trust yet, or still, what they are to; the first ${few}`,
          },
        ),
        hosts: Type.Integer({ description: 'Hosts with a certificate of the old key' }),
        certificates: Type.Integer({
          description: 'Certificates of the old key that others hold, not replaced for a day',
        }),
        held: Type.Array(
          closed(
            {
              id: Id,
              tenant: Name,
              serial: Type.String(),
              profile: Type.String(),
              notAfter: Timestamp,
            },
            { title: 'HeldCertificate' },
          ),
          { description: `Those, the last to end first; the first ${few}` },
        ),
        authorities: Type.Array(Name, { description: 'Authorities below it: rotate them too' }),
      },
      { title: 'RotationOutstanding', description: 'What the rotation waits for' },
    ),
  },
  { title: 'Rotation' },
)
export type Rotation = Type.Static<typeof Rotation>

import Type from 'typebox'
import { getCertificate } from '../../../certificates/find.ts'
import { type Event, EventsQuery, positionOf } from '../../../events/event.ts'
import { accessEvents } from '../../../events/find.ts'
import { type FollowStep, followEvents } from '../../../events/follow.ts'
import { getHost } from '../../../hosts/find.ts'
import { must } from '../../../shared/must.ts'
import { Problem } from '../../../shared/problem.ts'
import { closed, HostnameText, Id, Name } from '../../../shared/schema.ts'
import { takeSeat } from '../../rest/events/seats.ts'
import { type Asking, followed } from '../field.ts'
import { loadsFor } from '../reading/loads.ts'
import type { Shape } from '../sdl.ts'

const { after } = EventsQuery.properties

const fields: Shape['fields'] = {
  hostStatus: followed({
    type: 'Host',
    description:
      'A host as it stands, at once and whenever something happens to it; null when it is gone, which ends it',
    args: { tenant: Name, name: HostnameText },
    follow: async function* ({ tenant, name }, asking) {
      const host = await getHost(asking.ctx, asking.actor, { tenant, name })
      const isAbout = ({ subject }: Event) => subject.kind === 'host' && subject.name === host.name
      yield* states(asking, { tenant, isAbout }, () =>
        getHost(asking.ctx, asking.actor, { tenant, name }),
      )
    },
  }),
  certificateStatus: followed({
    type: 'Certificate',
    description:
      'A certificate as it stands, at once and whenever it is revoked, replaced or fails to be renewed',
    args: { tenant: Name, id: Id },
    follow: async function* ({ tenant, id }, asking) {
      const isAbout = ({ subject, data }: Event) =>
        subject.kind === 'certificate' && (subject.id === id || data.replaces === id)
      yield* states(asking, { tenant, isAbout }, () =>
        getCertificate(asking.ctx, asking.actor, { tenant, id }),
      )
    },
  }),
  events: followed({
    type: 'Event!',
    description:
      'What happens from now on, or from after an event, in its order; without a tenant to a platform-wide key, of all of them',
    args: { tenant: Type.Optional(Name), after },
    follow: async function* ({ tenant = null, after: last }, asking) {
      for await (const told of toldTo(asking, { tenant, last })) {
        if (told.kind === 'reset') {
          throw new Problem(
            'cursor-refused',
            'Events after this one are no longer kept: read all anew, and leave after out',
          )
        }
        if (told.kind !== 'events') continue
        for (const event of told.events) {
          renew(asking)
          yield event
        }
      }
    },
  }),
}

/** What can be followed, over a WebSocket. */
export const subscription: Shape = {
  name: 'Subscription',
  schema: closed({}, { description: 'What can be followed, over a WebSocket' }),
  fields,
}

type About = { readonly tenant: string; readonly isAbout: (event: Event) => boolean }

/** A thing as it stands: first once all that happens from then on is told, so that nothing is missed in between, then
 *  whenever something that is about it was told. */
async function* states(
  asking: Asking,
  { tenant, isAbout }: About,
  read: () => Promise<unknown>,
): AsyncGenerator<unknown> {
  for await (const told of toldTo(asking, { tenant })) {
    const isNew = told.kind !== 'nothing' && (told.kind !== 'events' || told.events.some(isAbout))
    if (!isNew) continue
    renew(asking)
    const now = await read().catch(goneAsNull)
    yield now
    if (now === null) return
  }
}

function goneAsNull(error: unknown): null {
  if (error instanceof Problem && error.type === 'host-unknown') return null
  throw error
}

type Whose = { readonly tenant: string | null; readonly last?: string | undefined }

/** What is told to who follows, for as long as that one may be told. Throws busy, and what accessEvents throws. */
async function* toldTo(asking: Asking, { tenant, last }: Whose): AsyncGenerator<FollowStep> {
  const { ctx, actor } = asking
  const { signal, admitted } = must(asking.following, 'what is followed is asked for by a follower')
  const whose = await accessEvents(ctx, actor, tenant)
  const leave = takeSeat(ctx, actor)
  try {
    yield* followEvents(ctx, whose, {
      after: last === undefined ? undefined : positionOf(last),
      signal,
      admitted: async () => {
        const now = await admitted()
        await accessEvents(ctx, now, tenant)
        Object.assign(asking, { actor: now })
      },
    })
  } finally {
    leave()
  }
}

/** Each answer reads what there is then. */
function renew(asking: Asking): void {
  Object.assign(asking, { loads: loadsFor(asking.ctx, asking.actor) })
}

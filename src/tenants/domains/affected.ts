import Type from 'typebox'
import { closed, Id, Name } from '../../shared/schema.ts'

/** How many are named. */
export const mostAffected = 100

/** What a change of domains leaves outside the domains of whoever has it: it goes on as it is until it
 *  ends, and is not renewed. */
export const Affected = closed(
  {
    hosts: Type.Array(closed({ tenant: Name, name: Type.String() }, { title: 'AffectedHost' }), {
      description: `Hosts; the first ${mostAffected}`,
    }),
    certificates: Type.Array(
      closed(
        {
          tenant: Name,
          id: Id,
          serial: Type.String(),
          names: Type.Array(Type.String(), { description: 'Those that are not its own now' }),
        },
        { title: 'AffectedCertificate' },
      ),
      { description: `Certificates in force; the first ${mostAffected}` },
    ),
    hostCount: Type.Integer(),
    certificateCount: Type.Integer(),
  },
  {
    title: 'Affected',
    description:
      'What this leaves outside the domains of the tenant that has it, whichever that is: it stays as it is until it ends, is not renewed, and its hosts say so',
  },
)
export type Affected = Type.Static<typeof Affected>

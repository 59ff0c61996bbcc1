import Type from 'typebox'
import { Actor, permissionsOf } from '../../../core/actor.ts'
import { closed, Name, nullable, Role, Timestamp } from '../../../shared/schema.ts'
import { shown } from '../../../shared/view.ts'
import { ownTenant } from '../../../tenants/find.ts'
import { Quotas, Usage } from '../../../tenants/quotas/limits.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { limitsOf } from '../../edge/ratelimit.ts'

const Whoami = closed(
  {
    kind: Actor.properties.kind,
    id: nullable(Type.String()),
    name: Type.String(),
    tenant: Type.Union([Name, Type.Null()], { description: 'null: platform-wide' }),
    role: Role,
    permissions: Type.Array(Type.String(), { description: 'What the role allows' }),
    scopes: nullable(
      Type.Array(Type.String(), { description: 'What of that may be used; null: all of it' }),
    ),
    expiresAt: nullable(Timestamp, 'When these credentials end; null: never'),
    limits: Type.Array(
      closed(
        {
          name: Type.Enum(['key', 'tenant']),
          limit: Type.Integer({ description: 'Requests a minute, in each process' }),
          remaining: Type.Integer(),
          resetSeconds: Type.Integer({ description: 'Until all of it is there again' }),
        },
        { title: 'RateLimit' },
      ),
    ),
    quotas: nullable(Quotas, 'What the tenant may have; null: platform-wide'),
    usage: nullable(Usage, 'What the tenant has used of it'),
  },
  { title: 'Whoami' },
)

/** /v1/whoami */
export const whoami: Routes = {
  getWhoami(api, ctx) {
    api.get(
      '/whoami',
      {
        config: { needs: 'read', anyScope: true },
        schema: {
          tags: ['access'],
          summary: 'Tell who asks, what that one may do, and how much of the limits is left',
          description:
            'For any credentials in force, whatever their role and scopes. No token is shown.',
          response: { 200: Whoami },
        },
      },
      async (request) => {
        const actor = actorOf(request)
        const { kind, id, name, role, scopes = null, expiresAt = null } = actor
        const tenant = await ownTenant(ctx, actor)
        return shown(Whoami, {
          ...{ kind, id, name, role, scopes, expiresAt },
          tenant: tenant?.name ?? null,
          permissions: permissionsOf(role),
          limits: limitsOf(ctx, actor),
          quotas: tenant?.quotas ?? null,
          usage: tenant?.usage ?? null,
        })
      },
    )
  },
}

import Type from 'typebox'
import { Problem } from '../shared/problem.ts'
import { closed, Role } from '../shared/schema.ts'

const nullable = Type.Union([Type.String(), Type.Null()])

/** Who asks; of `oidc` the name is issuer and subject. `tenantId` null is platform-wide; `system` is the service
 *  itself, at its own work; `acme-account` a client of its ACME server. */
export const Actor = closed({
  kind: Type.Enum(['api-key', 'oidc', 'system', 'acme-account']),
  id: nullable,
  name: Type.String(),
  role: Role,
  tenantId: nullable,
  requestId: nullable,
  /** What of its role it may use, as src/core/actor.ts lists them; absent: all of it. */
  scopes: Type.Optional(Type.Array(Type.String())),
  /** When its credentials end; absent: never. */
  expiresAt: Type.Optional(Type.String()),
})
export type Actor = Readonly<Type.Static<typeof Actor>>

/** What may be done, and by which roles. An auditor reads, and reads the audit trail; a viewer reads;
 *  an operator also runs hosts and certificates; an admin also decides who may do what. */
const permissions = {
  read: ['admin', 'operator', 'viewer', 'auditor'],
  'read-audit': ['admin', 'auditor'],
  'write-hosts': ['admin', 'operator'],
  'write-certificates': ['admin', 'operator'],
  'replace-certificates': ['admin'],
  'write-notices': ['admin', 'operator'],
  'read-keys': ['admin', 'operator'],
  'check-clusters': ['admin', 'operator'],
  'write-clusters': ['admin'],
  'write-authorities': ['admin'],
  'block-keys': ['admin'],
  'write-tenants': ['admin'],
  'write-api-keys': ['admin'],
  'write-acme-keys': ['admin', 'operator'],
} as const satisfies Record<string, readonly Role[]>

export type Permission = keyof typeof permissions

/** What a role allows. */
export function permissionsOf(role: Role): readonly string[] {
  const all: readonly (readonly [string, readonly Role[]])[] = Object.entries(permissions)
  return all.flatMap(([permission, roles]) => (roles.includes(role) ? [permission] : []))
}

/** What credentials may be narrowed to, each within what their role allows. A write scope has the read
 *  scope of the same noun in it; private keys are handed out to `keys:read` alone. */
export const Scope = Type.Enum(
  [
    'tenants:read',
    'tenants:write',
    'api-keys:write',
    'authorities:read',
    'authorities:write',
    'certificates:read',
    'certificates:write',
    'keys:read',
    'clusters:read',
    'clusters:write',
    'hosts:read',
    'hosts:write',
    'deliveries:read',
    'deliveries:write',
    'events:read',
    'notices:read',
    'notices:write',
    'audit:read',
  ],
  { title: 'Scope' },
)
export type Scope = Type.Static<typeof Scope>

/** Whether the actor's scopes have this one in them; an actor without scopes has all that its role allows. */
export function holds({ scopes }: Pick<Actor, 'scopes'>, scope: string): boolean {
  return !scopes || scopes.includes(scope) || scopes.includes(scope.replace(/:read$/, ':write'))
}

/** Throws forbidden unless the actor has the scope. What no scope stands for (undefined) is done by
 *  actors without scopes alone. */
export function allowScope(actor: Actor, scope: Scope | undefined): void {
  if (scope === undefined ? actor.scopes === undefined : holds(actor, scope)) return
  const needed = scope === undefined ? 'credentials without scopes' : `the scope ${scope}`
  throw new Problem(
    'forbidden',
    `This needs ${needed}; "${actor.name}" has ${actor.scopes?.join(', ')}`,
  )
}

/** Throws forbidden unless the actor's role has the permission; what of its role its scopes leave it is
 *  looked at where a request comes in (src/api/scopes.ts), but for private keys. Which tenant it holds for is a second
 *  question: see src/tenants/access.ts. */
export function allow(actor: Actor, permission: Permission): void {
  const roles: readonly Role[] = permissions[permission]
  if (roles.includes(actor.role)) {
    if (permission === 'read-keys') allowScope(actor, 'keys:read')
    return
  }
  throw new Problem(
    'forbidden',
    `${permission} needs the role ${roles.join(' or ')}; "${actor.name}" is ${actor.role}`,
  )
}

/** Throws forbidden unless the actor is platform-wide and its role has the permission. */
export function allowPlatform(actor: Actor, permission: Permission): void {
  allow(actor, permission)
  if (actor.tenantId === null) return
  throw new Problem('forbidden', `${permission} here needs a platform-wide API key`)
}

/** The service itself, for work that no request asked for: `name` says which. */
export function systemActor(name: string): Actor {
  return { kind: 'system', id: null, name, role: 'admin', tenantId: null, requestId: null }
}

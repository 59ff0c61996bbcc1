import Type from 'typebox'
import { Problem } from '../shared/problem.ts'
import { closed, Role } from '../shared/schema.ts'

const nullable = Type.Union([Type.String(), Type.Null()])

/** Who asks. `tenantId` null is platform-wide; `system` is the service itself, at its own work. */
export const Actor = closed({
  kind: Type.Enum(['api-key', 'system']),
  id: nullable,
  name: Type.String(),
  role: Role,
  tenantId: nullable,
  requestId: nullable,
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
} as const satisfies Record<string, readonly Role[]>

export type Permission = keyof typeof permissions

/** Throws forbidden unless the actor's role has the permission. Which tenant it holds for is a second
 *  question: see src/tenants/access.ts. */
export function allow(actor: Actor, permission: Permission): void {
  const roles: readonly Role[] = permissions[permission]
  if (roles.includes(actor.role)) return
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

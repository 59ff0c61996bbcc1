import type { Permission, Scope } from '../core/actor.ts'

/** What a noun of the URL is called in scopes. A noun that is not here is open to credentials without
 *  scopes alone. */
const nouns = {
  tenants: 'tenants',
  'api-keys': 'api-keys',
  authorities: 'authorities',
  'blocked-keys': 'authorities',
  certificates: 'certificates',
  'acme-keys': 'certificates',
  'acme-accounts': 'certificates',
  replacements: 'certificates',
  clusters: 'clusters',
  'foreign-certificates': 'clusters',
  hosts: 'hosts',
  deliveries: 'deliveries',
  events: 'events',
  notices: 'notices',
  calendar: 'certificates',
  'audit-events': 'audit',
} as const

/** The same for the types of GraphQL; one that is not here is a part of another. */
const types = {
  Tenant: 'tenants:read',
  Authority: 'authorities:read',
  Certificate: 'certificates:read',
  Expiries: 'certificates:read',
  Inventory: 'certificates:read',
  CertificateGroup: 'certificates:read',
  ExpiringCertificate: 'certificates:read',
  Host: 'hosts:read',
  HostPlan: 'hosts:read',
  ProbeResults: 'hosts:read',
  Placement: 'hosts:read',
  Cluster: 'clusters:read',
  Listener: 'clusters:read',
  ForeignCertificate: 'clusters:read',
  Gateway: 'clusters:read',
  Delivery: 'deliveries:read',
  AuditEvent: 'audit:read',
  Event: 'events:read',
} as const satisfies Record<string, Scope>

/** The scope of a route under /v1, by the noun of its URL and by whether it reads; undefined: there is
 *  none. */
export function scopeOfRoute(url: string, needs: Permission): Scope | undefined {
  // The audit trail is read with its own scope, by whatever URL.
  if (needs === 'read-audit') return 'audit:read'
  const [, path = ''] = /^\/v1\/(?:tenants\/:\w+\/)?([a-z-]+)/.exec(url) ?? []
  const noun = lookedUp(nouns, path)
  if (noun === undefined) return undefined
  if (noun === 'api-keys') return 'api-keys:write'
  if (noun === 'audit' || noun === 'events') return `${noun}:read`
  return `${noun}:${needs === 'read' ? 'read' : 'write'}`
}

/** The scope that a field of this GraphQL type needs; undefined: none of its own. */
export function scopeOfType(type: string): Scope | undefined {
  return lookedUp(types, type.replace(/[[\]!]/g, '').replace(/(Connection|Edge)$/, ''))
}

function lookedUp<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined
}

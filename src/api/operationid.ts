/** Words that have no plain singular. */
const singulars: Readonly<Record<string, string>> = {
  authorities: 'authority',
  deliveries: 'delivery',
  'mesh-tls': 'mesh-tls',
}

/** Those whose URL says it otherwise than one would call it. */
const others: Readonly<Record<string, string>> = {
  'post /graphql': 'queryGraphql',
  'get /graphql': 'subscribeGraphql',
  'post /v1/authorities/import': 'importAuthority',
  'post /v1/tenants/{tenant}/certificates:import': 'importTenantCertificate',
  'post /v1/tenants/{tenant}/api-keys:certificate': 'createTenantCertificateKey',
  'get /v1/tenants/{tenant}/calendar.ics': 'getTenantCalendar',
  'get /v1/audit-events/verify': 'verifyAuditEvents',
  'get /v1/audit-events/checkpoint': 'getAuditCheckpoint',
  'get /v1/audit-events/forwarding': 'getAuditForwarding',
}

/** What is done by posting to a thing's own URL is named by its last part; these are things, not deeds. */
const things = new Set(['ocsp'])

/** The name of an operation for generated clients, from its method and path alone, so that it never changes while
 *  they stay: `listTenantHosts`, `putTenantHost`, `planTenantHost`, `createAuthority`. */
export function operationId(method: string, path: string): string {
  const other = others[`${method} ${path}`]
  if (other !== undefined) return other
  const [joined = '', deed] = path.replace(/^\/v1/, '').split(':')
  const parts = joined.split('/').filter((part) => part !== '')
  const names = parts.flatMap((part, at) =>
    part.startsWith('{') ? [] : [(parts[at + 1] ?? '').startsWith('{') ? singular(part) : part],
  )
  const last = parts.at(-1) ?? ''
  const isCollection = !last.startsWith('{') && singular(last) !== last
  const qualified = last.startsWith('{') && parts.at(-2)?.startsWith('{') ? ['by', bare(last)] : []
  if (deed !== undefined) return camel([deed, ...names, ...qualified])
  if (method === 'get') return camel([isCollection ? 'list' : 'get', ...names, ...qualified])
  if (method === 'post' && isCollection) return camel(['create', ...names.with(-1, singular(last))])
  const isDeed = method === 'post' && !last.startsWith('{') && !things.has(last) && parts.length > 1
  if (isDeed) return camel([last, ...names.slice(0, -1)])
  const verbs: Readonly<Record<string, string>> = {
    post: 'post',
    patch: 'update',
    delete: 'delete',
  }
  return camel([verbs[method] ?? method, ...names, ...qualified])
}

function singular(word: string): string {
  return singulars[word] ?? word.replace(/(?<!s)s$/, '')
}

function bare(part: string): string {
  return part.replace(/[{}*]/g, '') || 'rest'
}

function camel(words: readonly string[]): string {
  const text = words
    .join('-')
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')
  return text.charAt(0).toLowerCase() + text.slice(1)
}

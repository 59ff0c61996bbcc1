/** The URI by which certificates say whose client it is: a name of the tenant that no other tenant ever
 *  has, and that stays when it is renamed (RFC 9562 4). */
export function tenantUri(tenantId: string): string {
  return `urn:uuid:${tenantId}`
}

/** Whether a URI is one that nobody may ask for, since gateways tell tenants apart by such. */
export function isReservedUri(uri: string): boolean {
  return /^\s*urn:/i.test(uri)
}

import type { Reservation } from './issuance/store.ts'

/** What people know a certificate by. */
export function nameOf(row: {
  readonly commonName: string | null
  readonly dnsNames: readonly string[]
  readonly serial: string
}): string {
  return row.dnsNames[0] ?? row.commonName ?? row.serial
}

/** What the audit trail says of an issued certificate. */
export function factsOf(
  row: Pick<
    Reservation,
    | 'serial'
    | 'profile'
    | 'dnsNames'
    | 'ipAddresses'
    | 'emailAddresses'
    | 'uris'
    | 'keyAlgorithm'
    | 'keySource'
    | 'cause'
    | 'reason'
    | 'replacesId'
    | 'notAfter'
  >,
  authority: string,
) {
  return {
    serial: row.serial,
    authority,
    profile: row.profile,
    dnsNames: row.dnsNames,
    ipAddresses: row.ipAddresses,
    emailAddresses: row.emailAddresses,
    uris: row.uris,
    keyAlgorithm: row.keyAlgorithm,
    keySource: row.keySource,
    cause: row.cause,
    ...(row.replacesId === null ? {} : { replaces: row.replacesId, reason: row.reason }),
    notAfter: row.notAfter.toISOString(),
  }
}

/** What people know a certificate by. */
export function certificateName(row: {
  readonly commonName: string | null
  readonly dnsNames: readonly string[]
  readonly serial: string
}): string {
  return row.dnsNames[0] ?? row.commonName ?? row.serial
}

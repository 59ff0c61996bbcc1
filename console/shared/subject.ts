import type { Schemas } from '@gatesmith/client'

const short: Readonly<Record<string, string>> = {
  commonName: 'CN',
  organization: 'O',
  organizationalUnit: 'OU',
  country: 'C',
  locality: 'L',
  state: 'ST',
  organizationalUnits: 'OU',
  domainComponents: 'DC',
  street: 'STREET',
  givenName: 'GN',
  surname: 'SN',
  userId: 'UID',
}

/** A distinguished name as people write it: "CN=example.com, O=example Inc." */
export function subjectText(subject: Schemas['DistinguishedName']): string {
  const { organizationalUnits, organizationalUnit, ...rest } = subject
  const units = organizationalUnits ?? organizationalUnit
  const all = units === undefined ? rest : { ...rest, organizationalUnits: units }
  return Object.entries(all)
    .flatMap(([key, value]) => [value].flat().map((one) => `${short[key] ?? key}=${one}`))
    .join(', ')
}

/** What a certificate is called by people: its first name, or its subject's. */
export function nameOf(leaf: Pick<Schemas['Certificate'], 'dnsNames' | 'subject' | 'id'>): string {
  return leaf.dnsNames[0] ?? leaf.subject.commonName ?? leaf.id
}

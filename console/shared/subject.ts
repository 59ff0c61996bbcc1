import type { Schemas } from '@gatesmith/client'

const short: Readonly<Record<string, string>> = {
  commonName: 'CN',
  organization: 'O',
  organizationalUnit: 'OU',
  country: 'C',
  locality: 'L',
  state: 'ST',
}

/** A distinguished name as people write it: "CN=example.com, O=example Inc." */
export function subjectText(subject: Schemas['DistinguishedName']): string {
  return Object.entries(subject)
    .map(([key, value]) => `${short[key] ?? key}=${value}`)
    .join(', ')
}

/** What a certificate is called by people: its first name, or its subject's. */
export function nameOf(leaf: Pick<Schemas['Certificate'], 'dnsNames' | 'subject' | 'id'>): string {
  return leaf.dnsNames[0] ?? leaf.subject.commonName ?? leaf.id
}

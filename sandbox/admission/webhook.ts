import { type Fields, fields } from '../json.ts'

/** What istiod's validation webhook says: errors refuse the object, warnings are told. */
export type Verdict = { readonly errors: readonly string[]; readonly warnings: readonly string[] }

/** One label of a name, in either case. */
export const label = /^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$/

const alwaysReject = 'internal.istio.io/webhook-always-reject'
const forbiddenAnnotations = ['istio.io/dry-run']

/** What is wrong with the annotations of any Istio kind. */
export function annotationErrors(object: Fields): string[] {
  const annotations = Object.keys(fields(object, 'metadata', 'annotations'))
  // By which istiod itself tries out whether it is asked.
  if (annotations.includes(alwaysReject)) return [`"${alwaysReject}" annotation found, rejecting`]
  const bad = annotations.filter((key) => forbiddenAnnotations.includes(key))
  return bad.map((key) => `unsupported annotation: ${key}`)
}

/** What is wrong with a host name or a wildcard of a whole first label. */
export function hostErrors(host: string): string[] {
  const bare = host.replace(/^\*\./, '').replace(/\.$/, '')
  const labels = bare.split('.')
  if (bare.includes('*'))
    return [`wildcard characters may appear only as a whole first label: "${host}"`]
  if (host.length > 255) return [`domain name "${host}" too long (max 255)`]
  if (!host.startsWith('*.') && labels.length < 2) {
    return [`short names (non FQDN) are not allowed: "${host}"`]
  }
  const bad = labels.find((each) => !label.test(each) || each.length > 63)
  if (bad !== undefined) return [`domain name "${host}" invalid (label "${bad}" invalid)`]
  return /^\d+$/.test(labels.at(-1) ?? '')
    ? [`domain name "${host}" invalid (top level domain cannot be all-numeric)`]
    : []
}

import { pointerPart, type Violation } from '../../shared/problem.ts'

/** What may be said where nothing is set: all of external-dns, which reads Gateways. */
export const defaultAnnotations: readonly string[] = ['external-dns.alpha.kubernetes.io/']

/** Domains whose annotations say how Kubernetes, Istio or Gatesmith itself deal with an object. */
const reserved = ['kubernetes.io', 'k8s.io', 'istio.io', 'gatesmith.dev']

/** Under those, but another project's by long custom. */
const foreign = ['external-dns.alpha.kubernetes.io']

/** Which names DNS is to have is said by the host: as an annotation any name could be claimed. */
const ofNames = ['hostname', 'internal-hostname']

/** So much of all keys and values together. */
const mostOctets = 8192

/** What is wrong with annotations of a host; `allowed` are keys, or beginnings of keys that end in `/` or
 *  `-`. */
export function annotationFaults(
  annotations: Readonly<Record<string, string>>,
  allowed: readonly string[],
): readonly Violation[] {
  const all = Object.entries(annotations)
  const octets = all.reduce((sum, [key, value]) => sum + Buffer.byteLength(key + value), 0)
  const large = `Annotations come to ${octets} octets; at most ${mostOctets} may be said`
  return [
    ...all.flatMap(([key]) => {
      const message = keyFault(key, allowed)
      const field = `/annotations/${pointerPart(key)}`
      return message === undefined ? [] : [{ field, message }]
    }),
    ...(octets > mostOctets ? [{ field: '/annotations', message: large }] : []),
  ]
}

function keyFault(key: string, allowed: readonly string[]): string | undefined {
  const [domain = '', name = ''] = key.split('/')
  const owned = reserved.some((each) => domain === each || domain.endsWith(`.${each}`))
  if (owned && !foreign.includes(domain)) return `${domain} is not for hosts to annotate`
  if (foreign.includes(domain) && ofNames.includes(name)) {
    return `Which names are published follows from the host: its name and its aliases`
  }
  const open = allowed.some((each) => (/[/-]$/.test(each) ? key.startsWith(each) : key === each))
  return open ? undefined : `Only ${allowed.join(', ') || 'none'} may be said here`
}

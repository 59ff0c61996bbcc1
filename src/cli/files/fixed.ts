import { answerOf, type Schemas } from '@gatesmith/client'
import { CommandError, exits } from '../io.ts'
import type { Session } from '../session/contexts.ts'
import { isRecord, labelOf, type Manifest, type Spec } from './documents.ts'

// What stays as it was made: a file that says otherwise is refused, never passed over.

/** Members of an authority that are answered as they were said. */
const answered = ['kind', 'parent', 'tenant', 'subject', 'keyAlgorithm', 'pathLength', 'crlShards']
/** Members of an authority that are in its certificate or are its key: they are said when it is made. */
const ofAuthorities = [
  ...answered,
  ...[
    'nameConstraints',
    'validityDays',
    'key',
    'certificate',
    'privateKey',
    'pkcs12',
    'passphrase',
  ],
  // Of an account with a CA elsewhere.
  ...['directory', 'externalAccountBinding', 'termsOfServiceAgreed'],
]

/** What of an authority's file is sent when it is there: all that is not fixed, so that the service takes or refuses it;
 *  but not how names are proved where that is as it is answered, without its secret. */
export function changeableOf(spec: Spec, { acme }: Schemas['Authority']): Spec {
  const asAnswered = acme !== null && isSame(spec.challenge, acme.challenge)
  const left = asAnswered ? [...ofAuthorities, 'challenge'] : ofAuthorities
  return Object.fromEntries(Object.entries(spec).filter(([name]) => !left.includes(name)))
}

/** Refuses a file that says of an authority what it is not and cannot become. Tells of what cannot be compared. */
export async function refuseOtherAuthority(
  session: Session,
  wanted: Manifest,
  found: Schemas['Authority'],
): Promise<void> {
  const { spec } = wanted
  const note = (text: string) => session.io.err.write(`${labelOf(wanted)}: ${text}\n`)
  if (found.kind === 'acme') return refuseOtherCa(wanted, found)
  const has: Spec = { ...found }
  const other = answered.filter((name) => name in spec && !isSame(spec[name], has[name]))
  if (!(await hasConstraints(session, spec.nameConstraints, found))) other.push('nameConstraints')
  if ('certificate' in spec && !isCertificate(spec.certificate, found.pem)) {
    other.push('certificate')
  }
  if ('privateKey' in spec && !found.keyHeld) other.push('privateKey')
  if ('key' in spec && found.keyStore !== 'pkcs11') other.push('key')
  if (other.length > 0) {
    throw new CommandError(
      `${other.join(', ')} cannot be changed: that is in its certificate or its key; make another authority`,
      exits.conflict,
    )
  }
  if ('key' in spec) note('which key of the token it has is not answered, so "key" is not compared')
  if ('pkcs12' in spec) note('what is in its store is not looked at again: it was taken over once')
  const days = lifetimeDays(found)
  if ('validityDays' in spec && spec.validityDays !== days) {
    note(`validityDays counts when it is made or rotated; its certificate is for ${days} days`)
  }
}

/** An account is with one CA, bound to one customer of it. Its secrets are never answered, and not compared. */
function refuseOtherCa({ spec }: Manifest, { kind, tenant, acme }: Schemas['Authority']): void {
  const has: Spec = { kind, tenant, directory: acme?.directory }
  const other = Object.keys(has).filter((name) => name in spec && !isSame(spec[name], has[name]))
  const keyId = inside(spec.externalAccountBinding, 'keyId')
  if (keyId !== undefined && keyId !== acme?.externalAccountBinding?.keyId) {
    other.push('externalAccountBinding')
  }
  if (other.length === 0) return
  throw new CommandError(
    `${other.join(', ')} cannot be changed: the account is with that CA; make another authority`,
    exits.conflict,
  )
}

/** Refuses a file with another server than the cluster has, unless its credentials are sent with it. */
export async function refuseOtherServer(wanted: Manifest, before: Manifest): Promise<void> {
  const { server, kubeconfig } = wanted.spec
  const said = typeof kubeconfig === 'string' ? await serverIn(kubeconfig) : server
  const { server: known } = before.spec
  // A kubeconfig that cannot be read is told where it is sent; a tenant is not shown the server.
  if (typeof said !== 'string' || typeof known !== 'string' || isSameUrl(said, known)) return
  throw new CommandError(
    `its server is ${known}, not ${said}: that is changed together with its credentials, by --credentials`,
    exits.conflict,
  )
}

async function serverIn(kubeconfig: string): Promise<unknown> {
  const { parse } = await import('yaml')
  try {
    const config: unknown = parse(kubeconfig)
    if (!isRecord(config)) return undefined
    const context = named(config.contexts, config['current-context'])?.context
    return inside(named(config.clusters, inside(context, 'cluster'))?.cluster, 'server')
  } catch {
    return undefined
  }
}

function named(list: unknown, name: unknown): Record<string, unknown> | undefined {
  const all: readonly unknown[] = Array.isArray(list) ? list : []
  return all.filter(isRecord).find((each) => each.name === name)
}

const inside = (value: unknown, name: string) => (isRecord(value) ? value[name] : undefined)

const isSameUrl = (a: string, b: string) =>
  a === b || (URL.canParse(a) && URL.canParse(b) && new URL(a).href === new URL(b).href)

/** Equal, where null, nothing and an empty list say the same. */
function isSame(wanted: unknown, found: unknown): boolean {
  return JSON.stringify(normal(wanted)) === JSON.stringify(normal(found))
}

function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(normal).toSorted()
  if (!isRecord(value)) return value ?? undefined
  const said = Object.entries(value).flatMap(([name, inner]) => {
    const one = normal(inner)
    return one === undefined ? [] : [[name, one] as const]
  })
  return said.length === 0 ? undefined : Object.fromEntries(said.toSorted())
}

/** Whether the certificate has these constraints: those of the authorities above were added to what was asked for. */
async function hasConstraints(
  { client }: Session,
  wanted: unknown,
  { nameConstraints: found, parent }: Schemas['Authority'],
): Promise<boolean> {
  if (wanted === undefined || isSame(wanted, found)) return true
  if (parent === null) return false
  const above = await answerOf(
    client.GET('/v1/authorities/{authority}', { params: { path: { authority: parent } } }),
  )
  const [asked, has, added] = [wanted, found, above.nameConstraints].map(subtreesOf)
  if (!asked || !has || !added) return false
  return (
    asked.every((one) => has.includes(one)) &&
    has.every((one) => [...asked, ...added].includes(one))
  )
}

/** `permitted dnsNames example.com`, one for each subtree. */
function subtreesOf(constraints: unknown): readonly string[] {
  const of = (value: unknown) => Object.entries(isRecord(value) ? value : {})
  return of(constraints).flatMap(([side, kinds]) =>
    of(kinds).flatMap(([kind, names]) =>
      (Array.isArray(names) ? names : []).map((name) => `${side} ${kind} ${name}`),
    ),
  )
}

/** Whether one of a file's certificates is this one. */
function isCertificate(file: unknown, pem: string): boolean {
  const octets = (text: string) =>
    [...text.matchAll(/-----BEGIN (?:X509 )?CERTIFICATE-----([^-]*)-----END/g)].map(
      ([, base64 = '']) => base64.replace(/\s/g, ''),
    )
  const [own] = octets(pem)
  return typeof file === 'string' && own !== undefined && octets(file).includes(own)
}

/** Of a certificate in whole days: both ends belong to its period. */
function lifetimeDays({ notBefore, notAfter }: Schemas['Authority']): number {
  if (notBefore === null || notAfter === null) return 0
  return Math.round((Date.parse(notAfter) + 1000 - Date.parse(notBefore)) / 86_400_000)
}

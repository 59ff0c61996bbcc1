import { createHash } from 'node:crypto'
import { placeOf, placeText } from '../../clusters/cluster.ts'
import type { Violation } from '../../shared/problem.ts'
import type { Policy } from '../../tenants/tenant.ts'
import { usualDays } from '../../x509/certificates/validity.ts'
import type { CompleteSpec, HostSpec } from '../host.ts'
import { annotationFaults, defaultAnnotations } from './annotations.ts'
import { coversName, parseHostname } from './hostname.ts'
import { completeRoute, routeFaults } from './routes.ts'

/** What of the tenant decides about a host's defaults and limits. */
export type HostRules = {
  readonly namespaces: readonly string[]
  readonly defaultAuthority: string | null
  readonly policy: Policy
  /** Which annotations may be said (src/hosts/request/annotations.ts). */
  readonly annotations?: readonly string[]
}

/** The spec complete with defaults, or every rule it breaks, at once. Whether names (clusters,
 *  authorities, the host's own) exist is asked elsewhere: src/hosts/put.ts. */
export function completeSpec(
  name: string,
  request: HostSpec,
  rules: HostRules,
): { readonly spec: CompleteSpec } | { readonly violations: readonly Violation[] } {
  const aliases = (request.aliases ?? []).map(parseHostname)
  const names = [name, ...aliases.flatMap((each) => ('name' in each ? each.name : []))]
  const violations = [
    ...aliasFaults(name, aliases),
    ...annotationFaults(request.annotations ?? {}, rules.annotations ?? defaultAnnotations),
    ...tlsFaults(request, rules),
    ...certificateFaults(request, rules),
    ...routeFaults(names, request, rules.namespaces),
  ]
  const uploaded = request.certificate?.uploaded
  const authority = request.certificate?.authority ?? rules.defaultAuthority
  if (authority === null && uploaded === undefined) {
    const message = 'The tenant has no default authority: name one in certificate.authority'
    return { violations: [...violations, { field: '/certificate/authority', message }] }
  }
  if (violations.length > 0) return { violations }
  return {
    spec: {
      ...(names.length > 1 ? { aliases: names.slice(1) } : {}),
      ...annotated(request),
      ...(request.onRemoval === undefined ? {} : { onRemoval: request.onRemoval }),
      tls: completeTls(request, rules.defaultAuthority ?? authority ?? undefined),
      http: request.http ?? 'redirect',
      certificate: {
        ...(uploaded === undefined
          ? issued(request, { authority, policy: rules.policy })
          : { uploaded: uploaded.toLowerCase() }),
        ...(modeOf(request) === 'PASSTHROUGH'
          ? {
              secretName: request.certificate?.secretName ?? secretNameFor(name),
              ...backend(request),
            }
          : {}),
      },
      routes: request.routes.map((route) => completeRoute(modeOf(request), route)),
      clusters: request.clusters.map((text) => placeText(placeOf(text))),
    },
  }
}

/** What a host asks for whose certificate is issued here. */
function issued(
  { certificate }: HostSpec,
  { authority, policy }: { readonly authority: string | null; readonly policy: Policy },
): Pick<CompleteSpec['certificate'], 'authority' | 'keyAlgorithm' | 'validityDays'> {
  const { keyAlgorithm, validityDays, organization } = certificate ?? {}
  return {
    ...(authority === null ? {} : { authority }),
    keyAlgorithm: keyAlgorithm ?? defaultAlgorithm(policy),
    validityDays: validityDays ?? Math.min(usualDays, policy.maxValidityDays ?? usualDays),
    ...(organization === undefined ? {} : { organization }),
  }
}

function annotated({ annotations = {} }: HostSpec): Pick<CompleteSpec, 'annotations'> {
  return Object.keys(annotations).length > 0 ? { annotations } : {}
}

/** A VirtualService with two hosts of which one covers the other is refused by Istio. */
function aliasFaults(
  name: string,
  aliases: readonly ReturnType<typeof parseHostname>[],
): readonly Violation[] {
  return aliases.flatMap((alias, index) => {
    const field = `/aliases/${index}`
    if ('fault' in alias) return [{ field, message: alias.fault }]
    const before = aliases.slice(0, index).flatMap((each) => ('name' in each ? each.name : []))
    const other = [name, ...before].find(
      (each) => coversName(each, alias.name) || coversName(alias.name, each),
    )
    if (other === undefined) return []
    const message =
      other === alias.name
        ? `${other} is a name of this host already`
        : `${alias.name} and ${other} answer for the same names: leave the narrower one out`
    return [{ field, message }]
  })
}

function modeOf({ tls }: HostSpec) {
  return tls?.mode ?? 'SIMPLE'
}

function completeTls({ tls }: HostSpec, authority: string | undefined): CompleteSpec['tls'] {
  const mode = tls?.mode ?? 'SIMPLE'
  // The backend ends the connection and decides the versions.
  if (mode === 'PASSTHROUGH') return { mode }
  return {
    mode,
    minVersion: tls?.minVersion ?? 'TLSV1_2',
    maxVersion: tls?.maxVersion ?? 'TLSV1_3',
    ...(mode === 'MUTUAL' ? completeClients(tls?.clientAuthority ?? authority, tls?.clients) : {}),
    ...(tls?.plainHttpWithoutClientCertificate === true
      ? { plainHttpWithoutClientCertificate: true }
      : {}),
  }
}

function completeClients(
  clientAuthority: string | undefined,
  clients: CompleteSpec['tls']['clients'] = 'tenant',
) {
  return { ...(clientAuthority === undefined ? {} : { clientAuthority }), clients }
}

/** ED25519 is left out: Envoy serves RSA and ECDSA only. */
function defaultAlgorithm({ keyAlgorithms }: Policy) {
  const allowed = (keyAlgorithms ?? []).filter((algorithm) => algorithm !== 'ED25519')
  return allowed.includes('ECDSA_P256') ? 'ECDSA_P256' : (allowed[0] ?? 'ECDSA_P256')
}

/** What is asked for of the certificate of a backend, but for what is so anyway. */
function backend({ certificate }: HostSpec) {
  const { store, privateKeyInConfigMap, restart } = certificate ?? {}
  return {
    ...(store === 'configMap'
      ? { store, privateKeyInConfigMap: privateKeyInConfigMap === true }
      : {}),
    ...(restart ? { restart } : {}),
  }
}

/** `www.example.com` → `www-example-com-tls`; shortened by a hash to 63 characters. */
function secretNameFor(name: string): string {
  const whole = `${name.replace('*', 'wildcard').replaceAll('.', '-')}-tls`
  if (whole.length <= 63) return whole
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8)
  return `${whole.slice(0, 50).replace(/-+$/, '')}-${hash}-tls`
}

function tlsFaults(request: HostSpec, { defaultAuthority }: HostRules): readonly Violation[] {
  const { minVersion, maxVersion, clientAuthority } = request.tls ?? {}
  const mode = modeOf(request)
  const faults: Violation[] = []
  if (minVersion === 'TLSV1_3' && maxVersion === 'TLSV1_2') {
    faults.push({ field: '/tls/minVersion', message: 'minVersion is above maxVersion' })
  }
  if (mode === 'PASSTHROUGH' && (minVersion !== undefined || maxVersion !== undefined)) {
    const message = 'With PASSTHROUGH the backend decides the TLS versions: leave these out'
    faults.push({
      field: minVersion === undefined ? '/tls/maxVersion' : '/tls/minVersion',
      message,
    })
  }
  if (mode !== 'MUTUAL' && clientAuthority !== undefined) {
    const message = 'Client certificates are asked for with mode MUTUAL only: leave this out'
    faults.push({ field: '/tls/clientAuthority', message })
  }
  if (mode !== 'MUTUAL' && request.tls?.clients !== undefined) {
    const message = 'Clients are told apart with mode MUTUAL only: leave this out'
    faults.push({ field: '/tls/clients', message })
  }
  const plain = request.tls?.plainHttpWithoutClientCertificate === true
  const serves = mode === 'MUTUAL' && request.http === 'serve'
  if (serves && !plain) {
    const message =
      'Port 80 asks nobody for a certificate: leave this out, or say tls.plainHttpWithoutClientCertificate true'
    faults.push({ field: '/http', message })
  }
  if (plain && !serves) {
    const message = 'This is for mode MUTUAL with http "serve" only: leave it out'
    faults.push({ field: '/tls/plainHttpWithoutClientCertificate', message })
  }
  if (mode === 'MUTUAL' && clientAuthority === undefined && defaultAuthority === null) {
    const message = 'The tenant has no default authority: name one in tls.clientAuthority'
    faults.push({ field: '/tls/clientAuthority', message })
  }
  return faults
}

function certificateFaults(request: HostSpec, { policy }: HostRules): readonly Violation[] {
  const { keyAlgorithm, validityDays, secretName } = request.certificate ?? {}
  const { keyAlgorithms, maxValidityDays } = policy
  const faults: Violation[] = []
  if (keyAlgorithm === 'ED25519' && modeOf(request) !== 'PASSTHROUGH') {
    const message = 'Envoy serves RSA and ECDSA keys only: choose another keyAlgorithm'
    faults.push({ field: '/certificate/keyAlgorithm', message })
  }
  if (keyAlgorithm !== undefined && keyAlgorithms && !keyAlgorithms.includes(keyAlgorithm)) {
    const message = `The tenant's policy allows ${keyAlgorithms.join(', ')}, not ${keyAlgorithm}`
    faults.push({ field: '/certificate/keyAlgorithm', message })
  }
  if (validityDays !== undefined && maxValidityDays && validityDays > maxValidityDays) {
    const message = `The tenant's policy allows at most ${maxValidityDays} days`
    faults.push({ field: '/certificate/validityDays', message })
  }
  if (secretName !== undefined && modeOf(request) !== 'PASSTHROUGH') {
    const message = 'Gatesmith names the Secret unless mode is PASSTHROUGH: leave this out'
    faults.push({ field: '/certificate/secretName', message })
  }
  // Istio reads a Secret of such a name as client CA only (istio.md 1.5).
  if (secretName?.endsWith('-cacert')) {
    faults.push({ field: '/certificate/secretName', message: 'secretName must not end in -cacert' })
  }
  return [...faults, ...uploadedFaults(request), ...backendFaults(request)]
}

/** What an uploaded certificate is was decided when it was signed. */
function uploadedFaults({ certificate = {} }: HostSpec): readonly Violation[] {
  const { uploaded, authority, keyAlgorithm, validityDays, organization } = certificate
  if (uploaded === undefined) return []
  const said = Object.entries({ authority, keyAlgorithm, validityDays, organization })
  return said.flatMap(([field, value]) => {
    const message = 'An uploaded certificate is as its CA signed it: leave this out, or uploaded'
    return value === undefined ? [] : [{ field: `/certificate/${field}`, message }]
  })
}

function backendFaults(request: HostSpec): readonly Violation[] {
  const { store, privateKeyInConfigMap, restart } = request.certificate ?? {}
  const faults: Violation[] = []
  if (modeOf(request) !== 'PASSTHROUGH') {
    for (const [field, value] of Object.entries({ store, privateKeyInConfigMap, restart })) {
      const message = 'The backend has the certificate with mode PASSTHROUGH only: leave this out'
      if (value !== undefined) faults.push({ field: `/certificate/${field}`, message })
    }
    return faults
  }
  if (store === 'configMap' && privateKeyInConfigMap !== true) {
    const message =
      'A ConfigMap is no place for a private key: leave this out, or say privateKeyInConfigMap true'
    faults.push({ field: '/certificate/store', message })
  }
  if (store !== 'configMap' && privateKeyInConfigMap !== undefined) {
    const message = 'This is for store "configMap" only: leave it out'
    faults.push({ field: '/certificate/privateKeyInConfigMap', message })
  }
  return faults
}

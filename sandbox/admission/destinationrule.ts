import { at, type Fields, isFields, type Json, list, text, texts } from '../json.ts'
import { annotationErrors, hostErrors, label, type Verdict } from './webhook.ts'

/** The rules for a DestinationRule (ValidateDestinationRule), as far as TLS and subsets go. */
export function judgeDestinationRule(object: Fields): Verdict {
  const errors: string[] = annotationErrors(object)
  const host = text(object, 'spec', 'host')
  if (host.includes('.')) errors.push(...hostErrors(host))
  errors.push(...policyErrors(at(object, 'spec', 'trafficPolicy')))
  const names = new Set<string>()
  for (const subset of list(object, 'spec', 'subsets')) {
    const name = text(subset, 'name')
    if (names.has(name)) errors.push(`duplicate subset names: ${name}`)
    names.add(name)
    if (!name) errors.push('subset name cannot be empty')
    else if (!label.test(name) || name.length > 63 || /[A-Z]/.test(name))
      errors.push(`subset name is invalid: ${name}`)
    errors.push(...policyErrors(at(subset, 'trafficPolicy')))
  }
  const exported = texts(object, 'spec', 'exportTo')
  if (new Set(exported).size < exported.length) errors.push('duplicate entries in exportTo')
  return { errors, warnings: [] }
}

function policyErrors(policy: Json | undefined): readonly string[] {
  if (!isFields(policy)) return []
  if (Object.keys(policy).length === 0) return ['traffic policy must have at least one field']
  const tls = at(policy, 'tls')
  const mode = text(tls, 'mode')
  const files = ['clientCertificate', 'caCertificates', 'privateKey', 'caCrl']
  const named = files.some((name) => text(tls, name) !== '')
  const trusted = text(tls, 'caCertificates') !== '' || texts(tls, 'subjectAltNames').length > 0
  const errors: string[] = []
  if (at(tls, 'insecureSkipVerify') === true && (trusted || text(tls, 'credentialName') !== ''))
    errors.push(
      'cannot specify CaCertificates or CredentialName or SubjectAltNames when InsecureSkipVerify is set true',
    )
  if (text(tls, 'credentialName') !== '' && ['SIMPLE', 'MUTUAL'].includes(mode)) {
    if (named)
      errors.push(
        'cannot specify client certificates or CA certificate or CA CRL If credentialName is set',
      )
  } else if (mode === 'MUTUAL') {
    if (text(tls, 'clientCertificate') === '')
      errors.push('client certificate required for mutual tls')
    if (text(tls, 'privateKey') === '') errors.push('private key required for mutual tls')
  }
  return errors
}

import { isIP } from 'node:net'
import { at, type Fields, isFields, list, text, texts } from '../json.ts'
import { annotationErrors, hostErrors, label, type Verdict } from './webhook.ts'

const plain = ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY']
const protocols = [...plain, 'HTTPS', 'TLS', 'TCP', 'MONGO', 'REDIS', 'MYSQL', 'UDP']

/** The rules for a Gateway (pkg/config/validation, TestValidateGateway and its neighbours). */
export function judgeGateway(object: Fields): Verdict {
  const errors: string[] = annotationErrors(object)
  const warnings: string[] = []
  const name = text(object, 'metadata', 'name')
  if (!label.test(name) || name.length > 63) errors.push(`invalid gateway name: "${name}"`)
  const servers = list(object, 'spec', 'servers').filter(isFields)
  if (servers.length === 0) errors.push('gateway must have at least one server')
  const names = new Set<string>()
  for (const server of servers) {
    judgeServer(server, errors, warnings)
    const port = text(server, 'port', 'name')
    if (names.has(port)) errors.push(`port names in servers must be unique: duplicate name ${port}`)
    names.add(port)
  }
  return { errors, warnings }
}

function judgeServer(server: Fields, errors: string[], warnings: string[]): void {
  const hosts = texts(server, 'hosts')
  if (hosts.length === 0) errors.push('server config must contain at least one host')
  for (const host of hosts) errors.push(...gatewayHostErrors(host))
  const bind = text(server, 'bind')
  if (bind && !isIP(bind) && !bind.startsWith('unix://')) errors.push(`invalid bind: ${bind}`)
  if (!isFields(at(server, 'port'))) {
    errors.push('port is required')
    return
  }
  const number = Number(at(server, 'port', 'number'))
  const protocol = text(server, 'port', 'protocol').toUpperCase()
  if (!(number >= 1 && number <= 65_535))
    errors.push(`port number ${number} must be in the range 1..65535`)
  if (!protocols.includes(protocol))
    errors.push(`invalid protocol "${protocol}", supported protocols are ${protocols.join(', ')}`)
  if (!text(server, 'port', 'name'))
    errors.push(`port name must be set: ${JSON.stringify(server.port)}`)
  if (Number(at(server, 'port', 'targetPort') ?? 0) > 0)
    errors.push('targetPort has no effect: it is not supported')
  judgeTls(server, protocol, errors, warnings)
}

function gatewayHostErrors(written: string): string[] {
  const [first = '', second] = written.split('/')
  const host = second ?? first
  const namespaceOk = second === undefined || ['*', '.'].includes(first) || label.test(first)
  const errors = namespaceOk ? [] : [`invalid namespace value "${first}" in "${written}"`]
  if (host === '*' || isIP(host)) return errors
  return [...errors, ...hostErrors(host)]
}

const sources = [
  'credentialName',
  'credentialNames',
  'serverCertificate',
  'tlsCertificates',
] as const

function judgeTls(server: Fields, protocol: string, errors: string[], warnings: string[]): void {
  const tls = at(server, 'tls')
  const secured = protocol === 'HTTPS' || protocol === 'TLS'
  if (!isFields(tls)) {
    if (secured) errors.push('server must have TLS settings for HTTPS/TLS protocols')
    return
  }
  const given = sources.filter((source) => has(tls, source))
  const mode = text(tls, 'mode') || 'PASSTHROUGH'
  if (plain.includes(protocol)) {
    if (mode !== 'PASSTHROUGH' || given.length > 0)
      errors.push('server cannot have TLS settings for plain text HTTP ports')
    return
  }
  if (!secured) {
    errors.push(`server cannot have TLS settings for non HTTPS/TLS ports`)
    return
  }
  if (tls.httpsRedirect === true)
    warnings.push('tls.httpsRedirect should only be used with http servers')
  if (given.length > 1) errors.push(`only one of ${sources.join(', ')} should be set`)
  const certified = given.length > 0
  if (mode === 'PASSTHROUGH' && certified)
    warnings.push('PASSTHROUGH mode does not use certificates, they will be ignored')
  if (mode === 'ISTIO_MUTUAL' && certified)
    errors.push('ISTIO_MUTUAL TLS cannot have associated server certificate')
  if (['SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL'].includes(mode)) judgeCertificates(tls, mode, errors)
  const ciphers = texts(tls, 'cipherSuites')
  const minimum = text(tls, 'minProtocolVersion')
  if (['TLSV1_0', 'TLSV1_1'].includes(minimum) && ciphers.length === 0) {
    warnings.push(
      'TLS version below TLSV1_2 require setting compatible ciphers as by default they no longer include compatible ciphers.',
    )
  }
}

function judgeCertificates(tls: Fields, mode: string, errors: string[]): void {
  if (['credentialName', 'credentialNames', 'tlsCertificates'].some((source) => has(tls, source)))
    return
  if (!text(tls, 'serverCertificate')) errors.push(`${mode} TLS requires a server certificate`)
  if (!text(tls, 'privateKey')) errors.push(`${mode} TLS requires a private key`)
  if (mode === 'SIMPLE' && text(tls, 'caCrl')) errors.push('SIMPLE TLS does not support CRL')
  if (mode !== 'SIMPLE' && !text(tls, 'caCertificates'))
    errors.push(`${mode} TLS requires a client CA bundle`)
}

function has(tls: Fields, member: string): boolean {
  return text(tls, member) !== '' || list(tls, member).length > 0
}

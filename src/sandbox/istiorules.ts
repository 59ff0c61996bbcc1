import { isIP } from 'node:net'
import { covers } from './hostname.ts'
import { at, type Fields, fields, isFields, type Json, list, text, texts } from './json.ts'

/** What istiod's validation webhook says: errors refuse the object, warnings are told. */
export type Verdict = { readonly errors: readonly string[]; readonly warnings: readonly string[] }

const label = /^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$/
const plain = ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY']
const protocols = [...plain, 'HTTPS', 'TLS', 'TCP', 'MONGO', 'REDIS', 'MYSQL', 'UDP']
const forbiddenAnnotations = ['istio.io/dry-run', 'internal.istio.io/webhook-always-reject']

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

function annotationErrors(object: Fields): string[] {
  const annotations = Object.keys(fields(object, 'metadata', 'annotations'))
  const bad = annotations.filter((key) => forbiddenAnnotations.includes(key))
  return bad.map((key) => `unsupported annotation: ${key}`)
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

function hostErrors(host: string): string[] {
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

/** The rules for a VirtualService (TestValidateVirtualService and its neighbours). */
export function judgeVirtualService(object: Fields): Verdict {
  const errors: string[] = annotationErrors(object)
  const warnings: string[] = []
  const hosts = texts(object, 'spec', 'hosts')
  const given = texts(object, 'spec', 'gateways')
  const gateways = given.length > 0 ? given : ['mesh']
  if (hosts.length === 0) errors.push('virtual service must have at least one host')
  for (const gateway of gateways) errors.push(...gatewayReferenceErrors(gateway))
  for (const [index, host] of hosts.entries()) {
    if (host === '*' && gateways.includes('mesh'))
      errors.push('wildcard host * is not allowed for virtual services bound to the mesh gateway')
    if (host !== '*' && host.includes('.') && !isIP(host))
      errors.push(...hostErrors(host.replace(/^\*-/, '')))
    const clash = hosts.find(
      (other, at) => at < index && (covers(other, host) || covers(host, other)),
    )
    if (clash) errors.push(`duplicate hosts in virtual service: ${host} and ${clash}`)
  }
  const { http, tls, tcp } = {
    http: list(object, 'spec', 'http'),
    tls: list(object, 'spec', 'tls'),
    tcp: list(object, 'spec', 'tcp'),
  }
  if (http.length + tls.length + tcp.length === 0)
    errors.push('http, tcp or tls must be provided in virtual service')
  for (const route of http) judgeHttp(route, errors)
  for (const route of tls) judgeTlsRoute(route, hosts, errors, warnings)
  const exported = texts(object, 'spec', 'exportTo')
  if (new Set(exported).size < exported.length) errors.push('duplicate entries in exportTo')
  if (exported.includes('*') && exported.length > 1)
    errors.push('exportTo: * cannot be mixed with other values')
  return { errors, warnings }
}

function gatewayReferenceErrors(written: string): string[] {
  const parts = written.split('/')
  if (parts.length > 2 || parts.some((part) => !label.test(part.replaceAll('.', '')))) {
    return [`config must be namespace/name, got "${written}"`]
  }
  return []
}

function judgeHttp(route: Json, errors: string[]): void {
  const routes = list(route, 'route')
  const answers = ['redirect', 'directResponse'].filter((name) => isFields(at(route, name)))
  if (routes.length === 0 && answers.length === 0 && !isFields(at(route, 'delegate'))) {
    errors.push('HTTP route, redirect or direct_response is required')
  }
  if (routes.length > 0 && answers.length > 0)
    errors.push(`HTTP route cannot contain both route and ${answers.join(', ')}`)
  if (answers.length > 1) errors.push('HTTP route cannot contain both redirect and direct_response')
  if (isFields(at(route, 'mirror')) && list(route, 'mirrors').length > 0)
    errors.push('HTTP route cannot contain both mirror and mirrors')
  for (const match of list(route, 'match')) {
    const uri = fields(match, 'uri')
    if (Object.keys(uri).length > 1)
      errors.push('uri match must have one of exact, prefix or regex')
    if (text(uri, 'regex').length > 1024)
      errors.push('regex is too large, max length allowed is 1024')
    if (!isExpression(text(uri, 'regex'))) errors.push(`invalid regex: ${text(uri, 'regex')}`)
  }
  errors.push(...destinationErrors(routes))
}

function isExpression(source: string): boolean {
  try {
    return new RegExp(source).source !== ''
  } catch {
    return false
  }
}

function destinationErrors(routes: readonly Json[]): string[] {
  const errors: string[] = []
  for (const route of routes) {
    if (!text(route, 'destination', 'host')) errors.push('destination is required: host missing')
    const port = at(route, 'destination', 'port', 'number')
    if (port !== undefined && !(Number(port) >= 1 && Number(port) <= 65_535))
      errors.push(`port number ${port} must be in the range 1..65535`)
    if (Number(at(route, 'weight') ?? 0) < 0) errors.push(`weight ${at(route, 'weight')} < 0`)
  }
  const total = routes.reduce<number>((sum, route) => sum + Number(at(route, 'weight') ?? 0), 0)
  if (routes.length > 1 && total === 0) errors.push('total destination weight = 0')
  return errors
}

function judgeTlsRoute(
  route: Json,
  hosts: readonly string[],
  errors: string[],
  warnings: string[],
): void {
  const matches = list(route, 'match')
  if (matches.length === 0) errors.push('TLS route must have at least one match condition')
  for (const match of matches) {
    const names = texts(match, 'sniHosts')
    if (names.length === 0) errors.push('TLS match must have at least one SNI host')
    for (const name of names) {
      if (isIP(name))
        warnings.push(
          `using an IP address (${name}) goes against SNI spec and most clients do not support this`,
        )
      if (!hosts.some((host) => covers(host, name))) {
        errors.push(
          `SNI host "${name}" is not a compatible subset of any of the virtual service hosts: [${hosts.join(', ')}]`,
        )
      }
    }
  }
  if (list(route, 'route').length === 0) errors.push('TLS route is required')
  errors.push(...destinationErrors(list(route, 'route')))
}

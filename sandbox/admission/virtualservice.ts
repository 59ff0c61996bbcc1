import { isIP } from 'node:net'
import { covers } from '../hostname.ts'
import { at, type Fields, type Json, list, text, texts } from '../json.ts'
import { httpErrors } from './httproute.ts'
import { annotationErrors, hostErrors, label, type Verdict } from './webhook.ts'

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
  for (const route of http)
    errors.push(...httpErrors(route), ...destinationErrors(list(route, 'route')))
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

function destinationErrors(routes: readonly Json[]): string[] {
  const errors: string[] = []
  for (const route of routes) {
    if (!text(route, 'destination', 'host')) errors.push('destination is required: host missing')
    const subset = text(route, 'destination', 'subset')
    if (subset && !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(subset))
      errors.push(`subset name is invalid: ${subset}`)
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

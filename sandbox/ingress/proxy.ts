import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { bestMatch } from '../hostname.ts'
import type { VirtualHosts } from './listeners.ts'
import { takes } from './routes.ts'
import type { Upstreams } from './upstreams.ts'

/** Answers one HTTP request as an Envoy with these virtual hosts: 301 to https where a plain request is to
 *  be redirected, 404 where no host or route takes it, 503 where the route leads nowhere. */
export function proxy(
  request: IncomingMessage,
  response: ServerResponse,
  hosts: VirtualHosts,
  upstreams: Upstreams,
): void {
  const written = request.headers.host ?? ''
  const authority = written.replace(/:\d+$/, '').toLowerCase()
  const host = bestMatch(hosts, authority)
  const secure = request.socket instanceof TLSSocket
  response.setHeader('server', 'istio-envoy')
  if (host?.redirect && !secure) {
    response.writeHead(301, { location: `https://${written}${request.url}` }).end()
    return
  }
  const route = host?.routes.find((each) => takes(each, request.method ?? '', request.url ?? ''))
  if (!route) return void response.writeHead(404).end()
  if (route.answer) return void response.writeHead(route.answer.status).end(route.answer.body)
  const found = route.to ? upstreams.find(route.to) : ({ kind: 'unknown' } as const)
  if (found.kind !== 'http') {
    const body = found.kind === 'unhealthy' ? 'no healthy upstream' : ''
    response.writeHead(503, { 'content-type': 'text/plain' }).end(body)
    return
  }
  forward(request, response, secure)
  found.handler(request, response)
}

/** What Envoy adds on the way to a workload and back. */
function forward(request: IncomingMessage, response: ServerResponse, secure: boolean): void {
  request.headers['x-forwarded-for'] = request.socket.remoteAddress ?? ''
  request.headers['x-forwarded-proto'] = secure ? 'https' : 'http'
  request.headers['x-request-id'] ??= randomUUID()
  delete request.headers['x-forwarded-client-cert']
  const certificate =
    request.socket instanceof TLSSocket ? request.socket.getPeerX509Certificate() : undefined
  if (certificate) {
    const digest = certificate.fingerprint256.replaceAll(':', '').toLowerCase()
    request.headers['x-forwarded-client-cert'] =
      `Hash=${digest};Subject="${certificate.subject.replaceAll('\n', ',')}"`
  }
  response.setHeader('x-envoy-upstream-service-time', '0')
}

import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { bestMatch } from '../hostname.ts'
import { at, fields, isFields, text } from '../json.ts'
import { type Answer, changeHeaders, cors, redirection } from './http/answer.ts'
import { forward, rewritten } from './http/forward.ts'
import { type Asked, normalized } from './http/match.ts'
import type { VirtualHosts } from './listeners.ts'
import { taking } from './routes.ts'
import type { Upstreams } from './upstreams.ts'

/** What a request is answered by: the virtual hosts of its connection, and whom that is with. */
type Proxied = {
  readonly hosts: VirtualHosts
  readonly client: Socket
  readonly upstreams: Upstreams
}

/** Answers one HTTP request as an Envoy with these virtual hosts: 301 to https where a plain request is to
 *  be redirected, 404 where no host or route takes it, what the route says, or what its backend does; 503
 *  where that leads nowhere. */
export function proxy(
  request: IncomingMessage,
  response: ServerResponse,
  { hosts, client, upstreams }: Proxied,
): void {
  const written = request.headers.host ?? ''
  const authority = written.replace(/:\d+$/, '').toLowerCase()
  const host = bestMatch(hosts, authority)
  const secure = client instanceof TLSSocket
  const { method = '', headers } = request
  response.setHeader('server', 'istio-envoy')
  if (request.httpVersion === '1.0') return void answer(response, { status: 426, headers: {} })
  const url = normalized(request.url ?? '')
  if (url === undefined) return void answer(response, { status: 400, headers: {} })
  const asked: Asked = { method, url, headers, secure }
  if (host?.redirect && !secure)
    return void answer(response, redirection({ scheme: 'https' }, asked))
  const found = taking(host?.routes ?? [], asked)
  if (!found) return void answer(response, { status: 404, headers: {} })
  const { route, match } = found
  const policy = at(route.spec, 'corsPolicy')
  const shared = isFields(policy) ? cors(policy, asked) : { headers: {} }
  if (shared.preflight) return void answer(response, shared.preflight)
  const finish = (sent: Record<string, string | string[] | undefined>): void => {
    Object.assign(sent, shared.headers)
    changeHeaders(fields(route.spec, 'headers', 'response'), sent)
  }
  const redirect = at(route.spec, 'redirect')
  const direct = at(route.spec, 'directResponse')
  if (isFields(redirect)) return void answer(response, redirection(redirect, asked), finish)
  if (isFields(direct)) {
    const status = Number(at(direct, 'status'))
    const body = text(direct, 'body', 'string')
    return void answer(response, { status, headers: {}, body }, finish)
  }
  const seen = { method, url, headers: withForwarded(headers, client) }
  const onward = rewritten(route.spec, match, seen)
  forward({ request, response }, { route, onward }, { upstreams, finish }).catch(() =>
    response.destroy(),
  )
}

function answer(
  response: ServerResponse,
  { status, headers, body = '' }: Answer,
  finish: (headers: Record<string, string | string[] | undefined>) => void = () => {},
): void {
  const sent: Record<string, string | string[] | undefined> = { ...headers }
  finish(sent)
  response.writeHead(status, sent).end(body)
}

/** Node has no subject for a certificate that names nobody there. */
function subjectOf({ subject }: { readonly subject?: string | undefined }): string {
  return (subject ?? '').replaceAll('\n', ',')
}

/** What Envoy adds on the way to a workload. */
function withForwarded(
  headers: IncomingMessage['headers'],
  client: Socket,
): Record<string, string | string[] | undefined> {
  const { 'x-forwarded-client-cert': _, connection: __, ...kept } = headers
  const certificate = client instanceof TLSSocket ? client.getPeerX509Certificate() : undefined
  const digest = certificate?.fingerprint256.replaceAll(':', '').toLowerCase()
  return {
    ...kept,
    'x-forwarded-for': client.remoteAddress ?? '',
    'x-forwarded-proto': client instanceof TLSSocket ? 'https' : 'http',
    'x-request-id': kept['x-request-id'] ?? randomUUID(),
    ...(certificate
      ? {
          'x-forwarded-client-cert': `Hash=${digest};Subject="${subjectOf(certificate)}"`,
        }
      : {}),
  }
}

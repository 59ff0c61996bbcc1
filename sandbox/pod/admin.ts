import { createServer, type Server } from 'node:http'
import type { Configuration } from '../ingress/configuration.ts'
import type { Chain, Listener } from '../ingress/listeners.ts'
import type { FindSecret } from '../ingress/tls/credentials.ts'
import { at, type Fields, type Json } from '../json.ts'

/** Envoy's admin interface, as far as its listeners and their credentials go, not yet listening: `config_dump` whole or of one
 *  resource, in Envoy's shape (envoy.admin.v3.ListenersConfigDump). Of a mask it heeds whether it wants the
 *  listeners in use. */
export function createAdmin(configuration: Configuration, find: FindSecret): Server {
  return createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://sandbox')
    const dump = pathname === '/config_dump' ? dumpOf(configuration, find, searchParams) : undefined
    response.writeHead(dump === undefined ? 404 : 200, {
      'content-type': dump === undefined ? 'text/plain' : 'application/json',
    })
    const missing = `${searchParams.get('resource') ?? pathname} not found in config dump`
    response.end(dump === undefined ? missing : JSON.stringify(dump, null, 1))
  })
}

const type = (name: string) => `type.googleapis.com/envoy.${name}`
const dumpType = 'admin.v3.ListenersConfigDump'

function dumpOf(
  configuration: Configuration,
  find: FindSecret,
  query: URLSearchParams,
): Fields | undefined {
  const mask = query.get('mask') ?? ''
  const whole = mask === '' || /listeners|active_state/.test(mask)
  const dynamic = dynamicListeners(configuration, whole)
  switch (query.get('resource')) {
    case null:
      return {
        configs: [{ '@type': type(dumpType), dynamic_listeners: dynamic, static_listeners: fixed }],
      }
    case 'dynamic_listeners':
      return { configs: typed(`${dumpType}.DynamicListener`, dynamic) }
    case 'static_listeners':
      return { configs: typed(`${dumpType}.StaticListener`, fixed) }
    case 'dynamic_active_secrets':
      return {
        configs: typed('admin.v3.SecretsConfigDump.DynamicSecret', secretsOf(configuration, find)),
      }
    default:
      return undefined
  }
}

/** Every credential that a listener has; of its key Envoy says no more than that there is one. */
function secretsOf(configuration: Configuration, find: FindSecret): readonly Fields[] {
  const { ports, bound } = configuration.listeners()
  const chains = [...ports.values(), ...bound.values()].flatMap((listener) =>
    'tls' in listener ? [...listener.tls.values()] : [],
  )
  const names = chains.flatMap((chain) => ('name' in chain ? [chain.termination.credential] : []))
  return [...new Set(names)].flatMap((credential) => {
    const chain = at(find(credential), 'data', 'tls.crt')
    if (typeof chain !== 'string') return []
    const name = `kubernetes://${credential}`
    const tls_certificate = {
      certificate_chain: { inline_bytes: chain },
      private_key: { inline_bytes: Buffer.from('[redacted]').toString('base64') },
    }
    const secret = {
      '@type': type('extensions.transport_sockets.tls.v3.Secret'),
      ...{ name, tls_certificate },
    }
    return [{ name, secret }]
  })
}

function typed(name: string, items: readonly Fields[]): readonly Fields[] {
  return items.map((item) => ({ '@type': type(name), ...item }))
}

function dynamicListeners(configuration: Configuration, whole: boolean): readonly Fields[] {
  const { ports, bound, rejected } = configuration.listeners()
  const listening = new Map([
    ...[...ports].map(([port, listener]) => [`0.0.0.0_${port}`, listener] as const),
    ...[...bound].map(([place, listener]) => [place.replace(/:(\d+)$/, '_$1'), listener] as const),
  ])
  const refused = new Map([...rejected].map(([port, name]) => [`0.0.0.0_${port}`, name]))
  const names = [...new Set([...listening.keys(), ...refused.keys()])].toSorted()
  return names.flatMap((name) => {
    const listener = listening.get(name)
    const serverName = refused.get(name)
    // What speaks neither TLS nor HTTP leads nowhere here, and istiod sends no such listener.
    if (listener && 'tcp' in listener) return []
    return [
      {
        name,
        ...(listener && { active_state: whole ? { listener: listenerFor(name, listener) } : {} }),
        ...(serverName === undefined ? {} : { error_state: refusalFor(name, serverName) }),
      },
    ]
  })
}

/** As Envoy 1.40 says it. */
function refusalFor(listener: string, serverName: string): Fields {
  const matcher = JSON.stringify(/^\*?$/.test(serverName) ? {} : { server_names: [serverName] })
  return {
    details: `error adding listener '${listener.replace('_', ':')}': filter chain '' has the same matching rules defined as ''. duplicate matcher is: ${matcher}`,
  }
}

function listenerFor(name: string, listener: Exclude<Listener, { tcp: true }>): Fields {
  const [, address = '', port = ''] = /^(.*)_(\d+)$/.exec(name) ?? []
  const clear = 'plain' in listener || (listener.clear !== undefined && listener.clear !== 'tcp')
  return {
    '@type': type('config.listener.v3.Listener'),
    name,
    address: { socket_address: { address, port_value: Number(port) } },
    filter_chains: [
      ...('tls' in listener ? chainsOf(listener.tls) : []),
      ...(clear ? [{ filters: [manager(`http.${port}`)] }] : []),
    ],
    traffic_direction: 'OUTBOUND',
  }
}

/** One of Envoy's for all names of a server. */
function chainsOf(tls: ReadonlyMap<string, Chain>): readonly Fields[] {
  const names = new Map<Chain, string[]>()
  for (const [name, chain] of tls) names.set(chain, [...(names.get(chain) ?? []), name])
  return [...names].map(([chain, all]) => ({
    ...(all.includes('*') ? {} : { filter_chain_match: { server_names: all.toSorted() } }),
    ...('name' in chain ? terminated(chain) : { filters: [tcpProxy(chain.to)] }),
  }))
}

function terminated({ name, termination }: Extract<Chain, { name: string }>): Fields {
  const { mode, credential, minVersion, maxVersion } = termination
  const params = {
    ...(minVersion && { tls_minimum_protocol_version: envoyVersion(minVersion) }),
    ...(maxVersion && { tls_maximum_protocol_version: envoyVersion(maxVersion) }),
  }
  return {
    filters: [manager(name)],
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': type('extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
        common_tls_context: {
          ...(Object.keys(params).length > 0 && { tls_params: params }),
          tls_certificate_sds_secret_configs: [{ name: `kubernetes://${credential}` }],
        },
        require_client_certificate: mode === 'MUTUAL',
      },
    },
  }
}

function envoyVersion(version: string): string {
  return version.replace('TLSV', 'TLSv')
}

function manager(routeName: string): Fields {
  return filter('http_connection_manager', 'HttpConnectionManager', {
    rds: { route_config_name: routeName },
  })
}

function tcpProxy({ host, namespace, port }: Extract<Chain, { to: unknown }>['to']): Fields {
  const name = host.includes('.') ? host : `${host}.${namespace}.svc.cluster.local`
  const cluster = `outbound|${port ?? ''}||${name}`
  return filter('tcp_proxy', 'TcpProxy', { stat_prefix: cluster, cluster })
}

function filter(name: string, message: string, config: Fields): Fields {
  const full = type(`extensions.filters.network.${name}.v3.${message}`)
  return {
    name: `envoy.filters.network.${name}`,
    typed_config: { '@type': full, ...config },
  }
}

/** What every gateway of Istio listens for beside its Gateways: metrics and health. */
const fixed: readonly Fields[] = [
  [15090, '/stats/prometheus', 'prometheus_stats'] as const,
  [15021, '/healthz/ready', 'agent'] as const,
].map(([port, prefix, cluster]) => {
  const routes: Json = [{ match: { prefix }, route: { cluster } }]
  const route_config = { virtual_hosts: [{ name: 'backend', domains: ['*'], routes }] }
  return {
    listener: {
      '@type': type('config.listener.v3.Listener'),
      name: `0.0.0.0_${port}`,
      address: { socket_address: { address: '0.0.0.0', port_value: port } },
      filter_chains: [
        { filters: [filter('http_connection_manager', 'HttpConnectionManager', { route_config })] },
      ],
    },
  }
})

import type {
  DynamicListener,
  EnvoyListener,
  EnvoyRouteMatch,
  Filter,
  FilterChain,
  FilterChainMatch,
  VirtualHost,
} from './dump.ts'

/** One filter chain of a listener in use: a line of `istioctl proxy-config listener`, and how it
 *  terminates TLS; null where it does not. */
export type Chain = {
  readonly listener: string
  readonly addresses: string
  readonly port: number
  readonly match: string
  readonly destination: string
  readonly serverNames: readonly string[]
  /** Of the routes that it asks for by name. */
  readonly routeName: string | null
  readonly tls: ChainTls | null
}

/** As Envoy names them, TLSv1_2 and the like; a version that is null is Envoy's own choice. */
export type ChainTls = {
  readonly minVersion: string | null
  readonly maxVersion: string | null
  readonly credential: string | null
  readonly clientCertificate: boolean
}

const http = 'envoy.filters.network.http_connection_manager'
const tcp = 'envoy.filters.network.tcp_proxy'
const blackHole = 'BlackHoleCluster'

/** The chains of the listeners in use, in the order of istioctl: by port, address and kind of listener,
 *  and within one by destination, the last first. Those of one destination stay in Envoy's order. */
export function chainsOf(
  dynamic: readonly DynamicListener[],
  fixed: readonly EnvoyListener[],
): readonly Chain[] {
  const active = dynamic.flatMap(({ active_state }) => active_state?.listener ?? [])
  const listeners = [...active, ...fixed].map((listener) => ({ listener, key: keyOf(listener) }))
  const sorted = listeners.toSorted(
    ({ key: a }, { key: b }) =>
      a.port - b.port || order(a.address, b.address) || order(a.kind, b.kind),
  )
  return sorted.flatMap(({ listener, key }) => {
    const addresses = [key.address, ...furtherAddresses(listener)].join(',')
    const chains = chainsIn(listener).map((chain) => ({
      listener: listener.name ?? '',
      addresses,
      port: key.port,
      match: matchText(chain.filter_chain_match ?? {}),
      destination: destinationText(chain.filters ?? []),
      serverNames: chain.filter_chain_match?.server_names ?? [],
      routeName: routeNameOf(chain.filters ?? []),
      tls: tlsOf(chain),
    }))
    return chains.toSorted((a, b) => order(b.destination, a.destination))
  })
}

function order(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1
}

function chainsIn({
  filter_chains = [],
  default_filter_chain,
}: EnvoyListener): readonly FilterChain[] {
  return default_filter_chain ? [...filter_chains, default_filter_chain] : filter_chains
}

function keyOf(listener: EnvoyListener) {
  const { socket_address: socket, pipe } = listener.address ?? {}
  return {
    port: socket?.port_value ?? 0,
    address: socket ? (socket.address ?? '') : (pipe?.path ?? ''),
    kind: kindOf(listener),
  }
}

function furtherAddresses({ additional_addresses: more = [] }: EnvoyListener): readonly string[] {
  return more.map(({ address }) => address?.socket_address?.address ?? '')
}

function kindOf(listener: EnvoyListener): string {
  const filters = chainsIn(listener).flatMap((chain) => chain.filters ?? [])
  const hasHttp = filters.some(({ name }) => name === http)
  const hasTcp = filters.some((filter) => filter.name === tcp && !isBlackHole(filter))
  if (hasHttp) return hasTcp ? 'HTTP+TCP' : 'HTTP'
  return hasTcp ? 'TCP' : 'UNKNOWN'
}

function isBlackHole({ typed_config: config }: Filter): boolean {
  return [config?.cluster, config?.stat_prefix].some((name) => name?.includes(blackHole))
}

/** Sets of application protocols that istioctl has a word for. */
const protocolSets = new Map([
  ['http/1.0,http/1.1,h2c,istio-http/1.0,istio-http/1.1,istio-h2', 'HTTP TLS'],
  ['istio,istio-http/1.0,istio-http/1.1,istio-h2', 'Istio HTTP Plain'],
  ['istio-peer-exchange,istio', 'TCP TLS'],
  ['http/1.0,http/1.1,h2c', 'HTTP'],
])

function matchText(match: FilterChainMatch): string {
  const {
    server_names: names = [],
    transport_protocol: transport = '',
    application_protocols: protocols = [],
    destination_port: port,
    prefix_ranges: ranges = [],
  } = match
  const application = protocols.join(',')
  const at = port === undefined ? '' : `:${port}`
  const prefixes = ranges.map((each) => `${each.address_prefix ?? ''}/${each.prefix_len ?? 0}`)
  const parts = [
    ...(names.length > 0 ? [`SNI: ${names.join(',')}`] : []),
    ...(transport ? [`Trans: ${transport}`] : []),
    ...(application ? [`App: ${protocolSets.get(application) ?? application}`] : []),
    ...(prefixes.length > 0 ? [`Addr: ${prefixes.join(',')}${at}`] : at ? [`Addr: *${at}`] : []),
  ]
  return parts.join('; ') || 'ALL'
}

/** Where the first filter leads that leads anywhere. */
function destinationText(filters: readonly Filter[]): string {
  for (const filter of filters) {
    const { route_config, rds, cluster = '' } = filter.typed_config ?? {}
    if (filter.name === http) {
      if (route_config) return inlineRoutes(route_config.virtual_hosts ?? [])
      return rds?.route_config_name ? `Route: ${rds.route_config_name}` : 'HTTP'
    }
    if (filter.name === tcp && !isBlackHole(filter)) return clusterText(cluster)
  }
  return 'Non-HTTP/Non-TCP'
}

function routeNameOf(filters: readonly Filter[]): string | null {
  const manager = filters.find(({ name }) => name === http)
  return manager?.typed_config?.rds?.route_config_name ?? null
}

function clusterText(cluster: string): string {
  return cluster.includes('Cluster') ? cluster : `Cluster: ${cluster}`
}

function inlineRoutes(hosts: readonly VirtualHost[]): string {
  const only = onlyCluster(hosts)
  if (only) return clusterText(only)
  const texts = hosts.map(({ domains = [], routes = [] }) => {
    const all = domains.length === 1 && domains[0] === '*'
    const paths = routes.map(({ match }) => pathText(match ?? {})).join(', ')
    return all || domains.length === 0 ? paths : `${domains.join('/')} ${paths}`
  })
  return `Inline Route: ${texts.join('; ')}`
}

/** The cluster that everything goes to, where that is all that the routes say. */
function onlyCluster([host, ...others]: readonly VirtualHost[]): string | undefined {
  const [route, ...more] = host?.routes ?? []
  const everywhere = host?.domains?.length === 1 && host.domains[0] === '*'
  if (!everywhere || others.length > 0 || more.length > 0) return undefined
  return route?.match?.prefix === '/' ? route.route?.cluster : undefined
}

function pathText({ prefix, path_separated_prefix, path, safe_regex }: EnvoyRouteMatch): string {
  return [
    ...(prefix ? [`${prefix}*`] : []),
    ...(path_separated_prefix ? [`PathPrefix:${path_separated_prefix}`] : []),
    ...(path ? [path] : []),
    ...(safe_regex ? [`regex ${safe_regex.regex ?? ''}`] : []),
  ].join(' ')
}

function tlsOf({ transport_socket }: FilterChain): ChainTls | null {
  const tls = transport_socket?.typed_config
  if (!tls?.common_tls_context) return null
  const { tls_params, tls_certificate_sds_secret_configs: secrets } = tls.common_tls_context
  return {
    minVersion: tls_params?.tls_minimum_protocol_version ?? null,
    maxVersion: tls_params?.tls_maximum_protocol_version ?? null,
    credential: secrets?.[0]?.name ?? null,
    clientCertificate: tls.require_client_certificate === true,
  }
}

/** What a listener is in besides being in use: refused with the reason, warming up or draining. */
export type Trouble = {
  readonly listener: string
  readonly addresses: string | null
  readonly port: number | null
  readonly state: 'error' | 'warming' | 'draining'
  readonly reason: string | null
  readonly since: string | null
}

/** Every such state of the listeners. A refusal without a name is left out where a named one tells the
 *  same: Envoy lists both. */
export function troublesOf(dynamic: readonly DynamicListener[]): readonly Trouble[] {
  const all = dynamic.flatMap((each): Trouble[] => {
    const { name = '', error_state: error, warming_state, draining_state } = each
    const place = { listener: name, ...placeIn(name) }
    return [
      ...(error
        ? [
            {
              ...place,
              state: 'error' as const,
              reason: error.details ?? null,
              since: error.last_update_attempt ?? null,
            },
          ]
        : []),
      ...waiting(place, 'warming', warming_state),
      ...waiting(place, 'draining', draining_state),
    ]
  })
  const told = new Set(all.filter(({ listener }) => listener).map(({ reason }) => reason))
  return all.filter(({ listener, reason }) => listener !== '' || !told.has(reason))
}

function waiting(
  place: Pick<Trouble, 'listener' | 'addresses' | 'port'>,
  state: 'warming' | 'draining',
  found: { last_updated?: string } | undefined,
): readonly Trouble[] {
  return found ? [{ ...place, state, reason: null, since: found.last_updated ?? null }] : []
}

/** istiod names a listener after where it listens: 0.0.0.0_8443. */
function placeIn(name: string): Pick<Trouble, 'addresses' | 'port'> {
  const [, addresses = null, port] = /^(.*)_(\d{1,5})$/.exec(name) ?? []
  return { addresses, port: port === undefined ? null : Number(port) }
}

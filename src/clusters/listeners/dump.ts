import Type from 'typebox'
import { Compile } from 'typebox/compile'
import type { Wanted } from './prune.ts'

// What is read of Envoy's config_dump (envoy.admin.v3.ListenersConfigDump), and no more of it.

const Strings = Type.Optional(Type.Array(Type.String()))
const Text = Type.Optional(Type.String())
const Whole = Type.Optional(Type.Integer())

const Address = Type.Object({
  socket_address: Type.Optional(Type.Object({ address: Text, port_value: Whole })),
  pipe: Type.Optional(Type.Object({ path: Text })),
})

const FilterChainMatch = Type.Object({
  server_names: Strings,
  transport_protocol: Text,
  application_protocols: Strings,
  destination_port: Whole,
  prefix_ranges: Type.Optional(
    Type.Array(Type.Object({ address_prefix: Text, prefix_len: Whole })),
  ),
})
export type FilterChainMatch = Type.Static<typeof FilterChainMatch>

const EnvoyRouteMatch = Type.Object({
  prefix: Text,
  path: Text,
  path_separated_prefix: Text,
  safe_regex: Type.Optional(Type.Object({ regex: Text })),
})
export type EnvoyRouteMatch = Type.Static<typeof EnvoyRouteMatch>

const Route = Type.Object({
  match: Type.Optional(EnvoyRouteMatch),
  route: Type.Optional(Type.Object({ cluster: Text })),
})

const VirtualHost = Type.Object({ domains: Strings, routes: Type.Optional(Type.Array(Route)) })
export type VirtualHost = Type.Static<typeof VirtualHost>

const Filter = Type.Object({
  name: Text,
  typed_config: Type.Optional(
    Type.Object({
      route_config: Type.Optional(
        Type.Object({ virtual_hosts: Type.Optional(Type.Array(VirtualHost)) }),
      ),
      rds: Type.Optional(Type.Object({ route_config_name: Text })),
      stat_prefix: Text,
      cluster: Text,
    }),
  ),
})
export type Filter = Type.Static<typeof Filter>

const TlsContext = Type.Object({
  require_client_certificate: Type.Optional(Type.Boolean()),
  common_tls_context: Type.Optional(
    Type.Object({
      tls_params: Type.Optional(
        Type.Object({ tls_minimum_protocol_version: Text, tls_maximum_protocol_version: Text }),
      ),
      tls_certificate_sds_secret_configs: Type.Optional(Type.Array(Type.Object({ name: Text }))),
    }),
  ),
})

const FilterChain = Type.Object({
  filter_chain_match: Type.Optional(FilterChainMatch),
  filters: Type.Optional(Type.Array(Filter)),
  transport_socket: Type.Optional(Type.Object({ typed_config: Type.Optional(TlsContext) })),
})
export type FilterChain = Type.Static<typeof FilterChain>

const EnvoyListener = Type.Object({
  name: Text,
  address: Type.Optional(Address),
  additional_addresses: Type.Optional(Type.Array(Type.Object({ address: Type.Optional(Address) }))),
  filter_chains: Type.Optional(Type.Array(FilterChain)),
  default_filter_chain: Type.Optional(FilterChain),
})
/** A listener as Envoy was given it. */
export type EnvoyListener = Type.Static<typeof EnvoyListener>

const State = Type.Optional(Type.Object({ last_updated: Text }))

const DynamicListener = Type.Object({
  name: Text,
  active_state: Type.Optional(Type.Object({ listener: Type.Optional(EnvoyListener) })),
  warming_state: State,
  draining_state: State,
  error_state: Type.Optional(Type.Object({ details: Text, last_update_attempt: Text })),
})
/** A listener that came by xDS, with the states that it is in: several at once. */
export type DynamicListener = Type.Static<typeof DynamicListener>

const StaticListener = Type.Object({ listener: Type.Optional(EnvoyListener) })

const DynamicSecret = Type.Object({
  name: Text,
  secret: Type.Optional(
    Type.Object({
      tls_certificate: Type.Optional(
        Type.Object({
          certificate_chain: Type.Optional(
            Type.Object({ inline_bytes: Text, inline_string: Text, filename: Text }),
          ),
        }),
      ),
    }),
  ),
})
/** A credential that came by SDS; of its private key nothing is read, which Envoy keeps for itself anyway. */
export type DynamicSecret = Type.Static<typeof DynamicSecret>

const configsOf = <T extends Type.TSchema>(item: T) =>
  Type.Object({ configs: Type.Optional(Type.Array(item)) })

/** The masks of the admin interface that give what is wanted here. `resource` and `mask` together leave
 *  out the configuration that was refused, which is as long as the one in use. */
export const paths = {
  dynamic: `/config_dump?resource=dynamic_listeners&mask=${[
    'name',
    'active_state.listener',
    'warming_state.last_updated',
    'draining_state.last_updated',
    'error_state.details',
    'error_state.last_update_attempt',
  ].join(',')}`,
  static: '/config_dump?resource=static_listeners',
  /** No mask reaches into a secret (it is an Any). */
  secrets: '/config_dump?resource=dynamic_active_secrets',
  /** Without what the listeners do: a few hundred octets each. */
  states: `/config_dump?resource=dynamic_listeners&mask=${[
    'name',
    'warming_state.last_updated',
    'draining_state.last_updated',
    'error_state.details',
    'error_state.last_update_attempt',
  ].join(',')}`,
} as const

/** The parts of an answer that the schemas here speak of. */
function wantedOf(schema: Type.TSchema): Wanted {
  if (Type.IsArray(schema)) return wantedOf(schema.items)
  if (!Type.IsObject(schema)) return true
  const members = Object.entries(schema.properties)
  return Object.fromEntries(members.map(([name, inner]) => [name, wantedOf(inner)]))
}

const DynamicListeners = configsOf(DynamicListener)
const StaticListeners = configsOf(StaticListener)
const DynamicSecrets = configsOf(DynamicSecret)
/** Compiled: thousands of chains are checked in one go. */
const dynamic = Compile(DynamicListeners)
const fixed = Compile(StaticListeners)
const secrets = Compile(DynamicSecrets)

/** What is to be kept of an answer while it is read. */
export const wanted = {
  dynamic: wantedOf(DynamicListeners),
  static: wantedOf(StaticListeners),
  secrets: wantedOf(DynamicSecrets),
} as const

/** The listeners that came by xDS, of an answer of which the wanted parts were kept. Throws TypeError for
 *  what has another shape. */
export function dynamicListeners(answer: unknown): readonly DynamicListener[] {
  if (dynamic.Check(answer)) return answer.configs ?? []
  throw new TypeError('these are no dynamic listeners of Envoy')
}

/** The listeners that Envoy was started with. Throws TypeError likewise. */
export function staticListeners(answer: unknown): readonly EnvoyListener[] {
  if (!fixed.Check(answer)) {
    throw new TypeError('these are no static listeners of Envoy')
  }
  return (answer.configs ?? []).flatMap(({ listener }) => listener ?? [])
}

/** The credentials in use. Throws TypeError likewise. */
export function dynamicSecrets(answer: unknown): readonly DynamicSecret[] {
  if (secrets.Check(answer)) return answer.configs ?? []
  throw new TypeError('these are no secrets of Envoy')
}

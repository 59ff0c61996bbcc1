import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnvoyListener, FilterChain } from '../../../src/clusters/listeners/dump.ts'
import { chainsOf, troublesOf } from '../../../src/clusters/listeners/table.ts'

const manager = 'envoy.filters.network.http_connection_manager'
const proxy = 'envoy.filters.network.tcp_proxy'

const routes = (route_config_name: string): FilterChain => ({
  filters: [
    { name: 'envoy.filters.network.rbac' },
    { name: manager, typed_config: { rds: { route_config_name } } },
  ],
})

const cluster = (name: string): FilterChain => ({
  filters: [{ name: proxy, typed_config: { cluster: name } }],
})

type Hosts = readonly {
  readonly domains: string[]
  readonly routes: { match: object; route?: { cluster: string } }[]
}[]

const inline = (virtual_hosts: Hosts): FilterChain => ({
  filters: [
    { name: manager, typed_config: { route_config: { virtual_hosts: [...virtual_hosts] } } },
  ],
})

/** As they stand in the table, of one listener with this chain alone. */
const table: readonly {
  readonly title: string
  readonly chain: FilterChain
  readonly match?: string
  readonly destination: string
}[] = [
  {
    title: 'routes by name',
    chain: routes('https.443.https-1.httpbin.istio-system'),
    destination: 'Route: https.443.https-1.httpbin.istio-system',
  },
  {
    title: 'server names',
    chain: { ...cluster('c'), filter_chain_match: { server_names: ['a.test', '*.b.test'] } },
    match: 'SNI: a.test,*.b.test',
    destination: 'Cluster: c',
  },
  {
    title: 'protocols that istioctl has a word for',
    chain: {
      ...cluster('c'),
      filter_chain_match: {
        transport_protocol: 'tls',
        application_protocols: ['istio-peer-exchange', 'istio'],
      },
    },
    match: 'Trans: tls; App: TCP TLS',
    destination: 'Cluster: c',
  },
  {
    title: 'other protocols, addresses and a port',
    chain: {
      ...cluster('c'),
      filter_chain_match: {
        application_protocols: ['h2', 'x'],
        prefix_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }, { address_prefix: '::' }],
        destination_port: 9,
      },
    },
    match: 'App: h2,x; Addr: 10.0.0.0/8,::/0:9',
    destination: 'Cluster: c',
  },
  {
    title: 'a port alone',
    chain: { ...cluster('c'), filter_chain_match: { destination_port: 9 } },
    match: 'Addr: *:9',
    destination: 'Cluster: c',
  },
  {
    title: 'a cluster that says that it is one',
    chain: cluster('PassthroughCluster'),
    destination: 'PassthroughCluster',
  },
  { title: 'the black hole', chain: cluster('BlackHoleCluster'), destination: 'Non-HTTP/Non-TCP' },
  { title: 'no filter', chain: {}, destination: 'Non-HTTP/Non-TCP' },
  { title: 'HTTP without routes', chain: { filters: [{ name: manager }] }, destination: 'HTTP' },
  {
    title: 'inline routes that lead everything to one cluster',
    chain: inline([
      { domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'inbound|80||' } }] },
    ]),
    destination: 'Cluster: inbound|80||',
  },
  {
    title: 'inline routes of all kinds',
    chain: inline([
      {
        domains: ['*'],
        routes: [
          { match: { prefix: '/p' }, route: { cluster: 'c' } },
          { match: { path: '/x' } },
          { match: { path_separated_prefix: '/s' } },
          { match: { safe_regex: { regex: '/r.*' } } },
        ],
      },
      { domains: ['a.test', 'b.test'], routes: [{ match: { prefix: '/' } }] },
    ]),
    destination: 'Inline Route: /p*, /x, PathPrefix:/s, regex /r.*; a.test/b.test /*',
  },
]

for (const { title, chain, match = 'ALL', destination } of table) {
  test(`a chain with ${title} is written as istioctl writes it`, () => {
    const [row, ...more] = chainsOf([], [{ name: 'l', filter_chains: [chain] }])
    assert.deepEqual(more, [])
    assert.deepEqual([row?.match, row?.destination], [match, destination])
  })
}

function listener(address: string, port_value: number, chains: FilterChain[]): EnvoyListener {
  return {
    name: `${address}_${port_value}`,
    address: { socket_address: { address, port_value } },
    filter_chains: chains,
  }
}

test('the order is by port, address and kind, and within a listener by destination, last first', () => {
  const wide = listener('0.0.0.0', 443, [cluster('a'), routes('https.443.a.b.c'), cluster('z')])
  const dynamic = [
    listener('0.0.0.0', 9443, [cluster('late')]),
    { ...wide, default_filter_chain: cluster('default') },
    listener('10.0.0.1', 443, [routes('r')]),
    listener('10.0.0.1', 443, [{}]),
    listener('10.0.0.1', 443, [cluster('t')]),
  ].map((each) => ({ name: each.name ?? '', active_state: { listener: each } }))
  const fixed = [listener('0.0.0.0', 80, [cluster('fixed')])]
  assert.deepEqual(
    chainsOf(dynamic, fixed).map(
      ({ addresses, port, destination }) => `${addresses}:${port} ${destination}`,
    ),
    [
      '0.0.0.0:80 Cluster: fixed',
      '0.0.0.0:443 Route: https.443.a.b.c',
      '0.0.0.0:443 Cluster: z',
      '0.0.0.0:443 Cluster: default',
      '0.0.0.0:443 Cluster: a',
      '10.0.0.1:443 Route: r',
      '10.0.0.1:443 Cluster: t',
      '10.0.0.1:443 Non-HTTP/Non-TCP',
      '0.0.0.0:9443 Cluster: late',
    ],
  )
})

test('further addresses and pipes are addresses', () => {
  const dual = {
    ...listener('0.0.0.0', 80, [cluster('c')]),
    additional_addresses: [{ address: { socket_address: { address: '::', port_value: 80 } } }],
  }
  const pipe = { address: { pipe: { path: '/run/x' } }, filter_chains: [cluster('c')] }
  assert.deepEqual(
    chainsOf([], [dual, pipe]).map(({ addresses, port }) => [addresses, port]),
    [
      ['/run/x', 0],
      ['0.0.0.0,::', 80],
    ],
  )
})

test('how a chain terminates TLS is told', () => {
  const tls: FilterChain = {
    ...routes('r'),
    transport_socket: {
      typed_config: {
        require_client_certificate: true,
        common_tls_context: {
          tls_params: { tls_minimum_protocol_version: 'TLSv1_3' },
          tls_certificate_sds_secret_configs: [{ name: 'kubernetes://one' }],
        },
      },
    },
  }
  const [secure, plain] = chainsOf([], [listener('0.0.0.0', 1, [tls, cluster('c')])])
  assert.deepEqual(secure?.tls, {
    minVersion: 'TLSv1_3',
    maxVersion: null,
    credential: 'kubernetes://one',
    clientCertificate: true,
  })
  assert.equal(plain?.tls, null)
})

test('what is refused, warms up and drains is told, and a refusal once', () => {
  const error_state = { details: 'no', last_update_attempt: '2026-01-01T00:00:00.000Z' }
  const found = troublesOf([
    { name: '0.0.0.0_8443', active_state: {}, error_state, warming_state: {} },
    { error_state: { details: 'no' } },
    { error_state: { details: 'nowhere' } },
    { name: 'virtualInbound', draining_state: { last_updated: '2026-01-01T00:00:01.000Z' } },
    { name: '0.0.0.0_80', active_state: {} },
  ])
  assert.deepEqual(
    found.map(({ listener: name, addresses, port, state, reason, since }) =>
      [name, addresses, port, state, reason, since].join(' '),
    ),
    [
      '0.0.0.0_8443 0.0.0.0 8443 error no 2026-01-01T00:00:00.000Z',
      '0.0.0.0_8443 0.0.0.0 8443 warming  ',
      '   error nowhere ',
      'virtualInbound   draining  2026-01-01T00:00:01.000Z',
    ],
  )
})

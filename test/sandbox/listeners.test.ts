import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { covers } from '../../sandbox/hostname.ts'
import { chainFor, listenersOf } from '../../sandbox/ingress/listeners.ts'
import { taking } from '../../sandbox/ingress/routes.ts'
import { amend, type Fields, fields, isFields, type Json } from '../../sandbox/json.ts'
import { gateway, to, virtualService } from './support.ts'

const pod = { namespace: 'istio-system', labels: { istio: 'ingressgateway' } }
const ingress: Fields = {
  metadata: { name: 'istio-ingressgateway', namespace: 'istio-system' },
  spec: {
    selector: { istio: 'ingressgateway' },
    ports: [
      { port: 80, targetPort: 8080 },
      { port: 443, targetPort: 8443 },
    ],
  },
}

function aged(object: Fields, second: number, metadata: Fields = {}): Fields {
  const creationTimestamp = `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`
  return amend(object, {
    metadata: { ...fields(object, 'metadata'), creationTimestamp, ...metadata },
  })
}

function simple(hosts: readonly string[], credentialName: string, number = 443): Json {
  const port = { number, name: `https-${credentialName}`, protocol: 'HTTPS' }
  return { port, hosts, tls: { mode: 'SIMPLE', credentialName } }
}

function fieldsOf(server: Json): Fields {
  assert.ok(isFields(server))
  return server
}

function passthrough(...hosts: string[]): Json {
  return {
    port: { number: 443, name: 'tls', protocol: 'TLS' },
    hosts,
    tls: { mode: 'PASSTHROUGH' },
  }
}

function plain(...hosts: string[]): Json {
  return { port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts }
}

function read(gateways: readonly Fields[], virtualServices: readonly Fields[] = []) {
  return listenersOf({ gateways, virtualServices, services: [ingress], pod })
}

/** Which credential (or Service) answers for a server name. */
function who(found: ReturnType<typeof read>, name: string, port = 8443): string | undefined {
  const listener = found.ports.get(port)
  const chain = listener && 'tls' in listener ? chainFor(listener.tls, name) : undefined
  return chain && ('to' in chain ? chain.to.host : chain.termination.credential)
}

/** Where a plain request goes. */
function where(found: ReturnType<typeof read>, host: string, path: string): string | undefined {
  const listener = found.ports.get(8080)
  const routes = listener && 'plain' in listener ? listener.plain.get(host)?.routes : undefined
  const asked = { method: 'GET', url: path, secure: false, headers: { host } }
  return taking(routes ?? [], asked)?.route.destinations[0]?.to.host
}

describe('a host pattern', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['*', 'a.example.com', true],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'a.b.example.com', true],
    ['*.example.com', '*.b.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'aexample.com', false],
    ['a.example.com', '*.example.com', false],
    ['A.example.com', 'a.EXAMPLE.com', true],
  ]
  for (const [pattern, other, answer] of rows) {
    test(`${pattern} ${answer ? 'covers' : 'does not cover'} ${other}`, () => {
      assert.equal(covers(pattern, other), answer)
    })
  }
})

describe('the merge of Gateways', () => {
  test('a later TLS server with one identical host is dropped whole', () => {
    const found = read([
      aged(gateway('b', [simple(['a.example.com'], 'old')]), 1),
      aged(gateway('a', [simple(['a.example.com', 'b.example.com'], 'new')]), 2),
    ])
    assert.equal(who(found, 'a.example.com'), 'old')
    assert.equal(who(found, 'b.example.com'), undefined)
    assert.match(
      found.remarks.join(),
      /skipping server https-new of test\/a: duplicate host names a\.example\.com/,
    )
  })

  test('of one second, the name decides, then the namespace', () => {
    const of = (namespace: string, name: string) =>
      aged(gateway(name, [simple(['a.example.com'], `${namespace}-${name}`)]), 1, { namespace })
    assert.equal(who(read([of('x', 'b'), of('y', 'a')]), 'a.example.com'), 'y-a')
    assert.equal(who(read([of('y', 'a'), of('x', 'a')]), 'a.example.com'), 'x-a')
  })

  test('a Gateway that selects another pod is not read; one without a selector is', () => {
    const spec = { selector: { istio: 'other' } }
    const other = aged(gateway('a', [simple(['a.example.com'], 'a')], { spec }), 1)
    const every = aged(
      gateway('b', [simple(['b.example.com'], 'b')], { spec: { selector: {} } }),
      1,
    )
    const found = read([other, every])
    assert.equal(who(found, 'a.example.com'), undefined)
    assert.equal(who(found, 'b.example.com'), 'b')
  })

  test('a number is a Service port if the Service has it, else the pod’s own', () => {
    const own = aged(gateway('a', [simple(['a.example.com'], 'a', 8443)]), 1)
    const odd = aged(gateway('b', [simple(['b.example.com'], 'b', 9443)]), 1)
    const found = read([own, odd])
    assert.equal(who(found, 'a.example.com'), 'a')
    assert.equal(who(found, 'b.example.com', 9443), 'b')
    assert.equal(who(found, 'b.example.com'), undefined)
  })

  test('one name under two namespaces is not noticed as a duplicate: the listener is rejected', () => {
    const found = read([
      aged(gateway('a', [simple(['x/a.example.com'], 'a')]), 1),
      aged(gateway('b', [simple(['a.example.com'], 'b')]), 2),
    ])
    assert.deepEqual([...found.rejected.keys()], [8443])
    assert.equal(found.ports.get(8443), undefined)
  })

  test('what is in the clear goes beside TLS that came before it, and lets in none after it', () => {
    const late = { port: { number: 443, name: 'http', protocol: 'HTTP' }, hosts: ['b.example.com'] }
    const found = read([
      aged(gateway('a', [simple(['a.example.com'], 'a')]), 1),
      aged(gateway('b', [late]), 2),
      aged(gateway('c', [simple(['c.example.com'], 'c')]), 3),
    ])
    assert.equal(who(found, 'a.example.com'), 'a')
    assert.equal(who(found, 'c.example.com'), undefined)
    assert.match(found.remarks.join(), /skipping server https-c of test\/c: port 8443 has another/)
    assert.ok(Object.hasOwn(found.ports.get(8443) ?? {}, 'clear'))
  })

  test('a server at one address takes what comes in there, and two ways to say all are refused', () => {
    const at = (bind: string, host: string) => ({ ...fieldsOf(simple([host], 'b')), bind })
    const here = read([
      aged(gateway('a', [simple(['a.example.com'], 'a')]), 1),
      aged(gateway('b', [at('10.0.0.1', 'b.example.com')]), 2),
    ])
    assert.deepEqual([...here.bound.keys()], ['10.0.0.1:8443'])
    assert.equal(who(here, 'a.example.com'), 'a')
    const all = read([
      aged(gateway('a', [simple(['a.example.com'], 'a')]), 1),
      aged(gateway('b', [at('0.0.0.0', 'a.example.com')]), 2),
    ])
    assert.deepEqual([...all.rejected.keys()], [8443])
  })

  test('who speaks TCP on a port has it for itself, if it was first', () => {
    const tcp = { port: { number: 80, name: 'tcp', protocol: 'TCP' }, hosts: ['*'] }
    const [raw, web] = [gateway('a', [tcp]), gateway('b', [plain('b.example.com')])]
    assert.deepEqual(read([aged(raw, 1), aged(web, 2)]).ports.get(8080), { tcp: true })
    const found = read([aged(web, 1), aged(raw, 2)])
    assert.deepEqual(Object.keys(found.ports.get(8080) ?? {}), ['plain'])
    assert.match(found.remarks.join(), /skipping server tcp of test\/a/)
  })

  test('terminated and passed-through hosts share a port', () => {
    const spec = {
      hosts: ['p.example.com'],
      gateways: ['a'],
      tls: [{ match: [{ sniHosts: ['p.example.com'] }], route: to('nginx', 443) }],
    }
    const both = gateway('a', [simple(['a.example.com'], 'a'), passthrough('p.example.com')])
    const found = read([aged(both, 1)], [aged(virtualService('v', spec), 1)])
    assert.deepEqual(
      ['a', 'p'].map((name) => who(found, `${name}.example.com`)),
      ['a', 'nginx'],
    )
  })

  test('a server with * among its hosts answers for every name and for none', () => {
    const found = read([aged(gateway('a', [simple(['*', 'a.example.com'], 'a')]), 1)])
    assert.deepEqual(
      ['x.test', ''].map((name) => who(found, name)),
      ['a', 'a'],
    )
  })
})

describe('the binding of VirtualServices', () => {
  const open = aged(gateway('g', [plain('*.example.com')]), 1)
  const goes = (name: string, host: string, spec: Fields = {}, metadata: Fields = {}): Fields => {
    const http = [{ route: to(name, 80) }]
    return aged(
      virtualService(name, { hosts: [host], gateways: ['test/g'], http, ...spec }),
      1,
      metadata,
    )
  }
  const rows: readonly (readonly [string, Fields, Fields, string | undefined])[] = [
    ['by host and gateway', open, goes('v', 'a.example.com'), 'v'],
    [
      'by a bare name in its own namespace',
      open,
      goes('v', 'a.example.com', { gateways: ['g'] }),
      'v',
    ],
    [
      'not by a bare name from another',
      open,
      goes('v', 'a.example.com', { gateways: ['g'] }, { namespace: 'x' }),
      undefined,
    ],
    [
      'not to another gateway',
      open,
      goes('v', 'a.example.com', { gateways: ['test/other'] }),
      undefined,
    ],
    ['not by another host', open, goes('v', 'a.example.org'), undefined],
    [
      'a broad host to a narrow server',
      aged(gateway('g', [plain('a.example.com')]), 1),
      goes('v', '*.example.com'),
      'v',
    ],
    [
      'from the namespace the server names',
      aged(gateway('g', [plain('x/a.example.com')]), 1),
      goes('v', 'a.example.com', {}, { namespace: 'x' }),
      'v',
    ],
    [
      'not from another',
      aged(gateway('g', [plain('x/a.example.com')]), 1),
      goes('v', 'a.example.com'),
      undefined,
    ],
    [
      'from its own for a dot',
      aged(gateway('g', [plain('./a.example.com')]), 1),
      goes('v', 'a.example.com'),
      'v',
    ],
    [
      'not when exported elsewhere',
      open,
      goes('v', 'a.example.com', { exportTo: ['.'] }),
      undefined,
    ],
    [
      'when exported to the pod',
      open,
      goes('v', 'a.example.com', { exportTo: ['istio-system'] }),
      'v',
    ],
  ]
  for (const [title, gate, service, answer] of rows) {
    test(`${title}: ${answer ? 'bound' : 'not bound'}`, () => {
      assert.equal(where(read([gate], [service]), 'a.example.com', '/'), answer)
    })
  }

  test('routes of several are concatenated by age, catch-alls last', () => {
    const exact = (name: string, uri: Json): Fields => ({
      http: [{ match: [{ uri }], route: to(name, 80) }],
    })
    const services = [
      aged(goes('all', 'a.example.com'), 1),
      aged(goes('old', 'a.example.com', exact('old', { prefix: '/x' })), 2),
      aged(goes('new', 'a.example.com', exact('new', { exact: '/x/y' })), 3),
    ]
    const found = read([open], services.toReversed())
    assert.deepEqual(
      ['/x/y', '/x', '/'].map((path) => where(found, 'a.example.com', path)),
      ['old', 'old', 'all'],
    )
  })

  test('match.port is the Gateway’s number, not the pod’s', () => {
    const at = (port: number) => ({ http: [{ match: [{ port }], route: to('v', 80) }] })
    assert.equal(
      where(read([open], [goes('v', 'a.example.com', at(80))]), 'a.example.com', '/'),
      'v',
    )
    assert.equal(
      where(read([open], [goes('v', 'a.example.com', at(8080))]), 'a.example.com', '/'),
      undefined,
    )
  })

  test('a condition the sandbox does not know never holds', () => {
    const http = [{ match: [{ headers: { a: { exact: 'b' } } }], route: to('v', 80) }]
    assert.equal(
      where(read([open], [goes('v', 'a.example.com', { http })]), 'a.example.com', '/'),
      undefined,
    )
  })

  test('the older of two rules for one SNI is taken', () => {
    const spec = (name: string) => ({
      hosts: ['p.example.com'],
      gateways: ['g'],
      tls: [{ match: [{ sniHosts: ['p.example.com'] }], route: to(name, 443) }],
    })
    const services = [
      aged(virtualService('a', spec('new')), 2),
      aged(virtualService('b', spec('old')), 1),
    ]
    const found = read([aged(gateway('g', [passthrough('*.example.com')]), 1)], services)
    assert.equal(who(found, 'p.example.com'), 'old')
    assert.match(found.remarks.join(), /duplicate SNI host name/)
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { judgeDestinationRule } from '../../sandbox/admission/destinationrule.ts'
import { judgeGateway } from '../../sandbox/admission/gateway.ts'
import { judgeVirtualService } from '../../sandbox/admission/virtualservice.ts'
import type { Fields, Json } from '../../sandbox/json.ts'
import { gateway, to, virtualService } from './support.ts'

type Row = readonly [title: string, object: Fields, verdict: 'accepted' | RegExp, warning?: RegExp]

const port = (protocol = 'HTTPS', number = 443, name = 'p') => ({ number, name, protocol })
const simple = { mode: 'SIMPLE', credentialName: 'c' }
const host = (...hosts: string[]): Fields => gateway('g', [{ port: port(), hosts, tls: simple }])
const tls = (settings: Fields, protocol = 'HTTPS'): Fields =>
  gateway('g', [{ port: port(protocol), hosts: ['a.b'], tls: settings }])

const gateways: readonly Row[] = [
  ['a SIMPLE server', host('a.example.com'), 'accepted'],
  [
    'a dot in its name',
    gateway('a.b', [{ port: port(), hosts: ['a.b'], tls: simple }]),
    /invalid gateway name/,
  ],
  ['no servers', gateway('g', []), /at least one server/],
  ['no hosts', host(), /at least one host/],
  ['no port', gateway('g', [{ hosts: ['a.b'] }]), /port is required/],
  ['port 0', gateway('g', [{ port: port('HTTP', 0), hosts: ['a.b'] }]), /range 1\.\.65535/],
  [
    'port 65536',
    gateway('g', [{ port: port('HTTP', 65_536), hosts: ['a.b'] }]),
    /range 1\.\.65535/,
  ],
  [
    'an unknown protocol',
    gateway('g', [{ port: port('SMTP'), hosts: ['a.b'] }]),
    /invalid protocol/,
  ],
  ['a protocol in lower case', gateway('g', [{ port: port('http'), hosts: ['a.b'] }]), 'accepted'],
  [
    'no port name',
    gateway('g', [{ port: port('HTTP', 80, ''), hosts: ['a.b'] }]),
    /port name must be set/,
  ],
  [
    'a target port',
    gateway('g', [{ port: { ...port('HTTP'), targetPort: 1 }, hosts: ['a.b'] }]),
    /targetPort/,
  ],
  [
    'a port name twice',
    gateway(
      'g',
      [1, 2].map((n) => ({ port: port('HTTP'), hosts: [`a${n}.b`] })),
    ),
    /must be unique: duplicate name p/,
  ],
  ['a bad bind', gateway('g', [{ port: port('HTTP'), hosts: ['a.b'], bind: 'x' }]), /invalid bind/],
  ['host *', host('*'), 'accepted'],
  ['a wildcard', host('*.example.com'), 'accepted'],
  ['a partial wildcard', host('*-a.example.com'), /wildcard/],
  ['a wildcard in the middle', host('a.*.com'), /wildcard/],
  ['a short name', host('httpbin'), /short names/],
  ['an address', host('10.0.0.1'), 'accepted'],
  ['a numeric top level', host('a.123'), /all-numeric/],
  ['a trailing dot', host('a.example.com.'), 'accepted'],
  ['capitals', host('A.Example.com'), 'accepted'],
  ['a long label', host(`${'a'.repeat(64)}.com`), /invalid/],
  ['a namespace', host('ns/a.example.com', './b.example.com', '*/c.example.com'), 'accepted'],
  ['a bad namespace', host('n$/a.example.com'), /invalid namespace/],
  ['HTTPS without tls', gateway('g', [{ port: port(), hosts: ['a.b'] }]), /must have TLS settings/],
  ['tls on HTTP', tls(simple, 'HTTP'), /plain text HTTP/],
  ['a redirect on HTTP', tls({ httpsRedirect: true }, 'HTTP'), 'accepted'],
  ['a redirect on HTTPS', tls({ ...simple, httpsRedirect: true }), 'accepted', /httpsRedirect/],
  ['tls on TCP', tls(simple, 'TCP'), /non HTTPS\/TLS/],
  [
    'SIMPLE without a certificate',
    tls({ mode: 'SIMPLE' }),
    /SIMPLE TLS requires a server certificate/,
  ],
  [
    'MUTUAL of files without CA',
    tls({ mode: 'MUTUAL', serverCertificate: 'a', privateKey: 'b' }),
    /client CA bundle/,
  ],
  ['MUTUAL by credential', tls({ mode: 'MUTUAL', credentialName: 'c' }), 'accepted'],
  ['two sources', tls({ ...simple, serverCertificate: 'a', privateKey: 'b' }), /only one of/],
  [
    'ISTIO_MUTUAL with a certificate',
    tls({ mode: 'ISTIO_MUTUAL', credentialName: 'c' }),
    /ISTIO_MUTUAL/,
  ],
  [
    'a CRL for SIMPLE of files',
    tls({ mode: 'SIMPLE', serverCertificate: 'a', privateKey: 'b', caCrl: 'c' }),
    /CRL/,
  ],
  ['a CRL beside a credential', tls({ ...simple, caCrl: 'c' }), 'accepted'],
  [
    'PASSTHROUGH with a certificate',
    tls({ mode: 'PASSTHROUGH', credentialName: 'c' }, 'TLS'),
    'accepted',
    /ignored/,
  ],
  [
    'an old version without ciphers',
    tls({ ...simple, minProtocolVersion: 'TLSV1_0' }),
    'accepted',
    /below TLSV1_2/,
  ],
  [
    'an annotation that is Istio’s own',
    gateway('g', [{ port: port('HTTP'), hosts: ['a.b'] }], {
      metadata: { annotations: { 'internal.istio.io/webhook-always-reject': 'true' } },
    }),
    /annotation/,
  ],
]

const http = [{ route: to('httpbin', 80) }]
const service = (spec: Fields): Fields =>
  virtualService('v', { hosts: ['a.example.com'], gateways: ['g'], http, ...spec })
const route = (one: Json): Fields => service({ http: [one] })
const sni = (...sniHosts: string[]): Fields =>
  virtualService('v', {
    hosts: ['a.example.com', '*.b.example.com'],
    gateways: ['g'],
    tls: [{ match: [{ sniHosts }], route: to('nginx', 443) }],
  })

/** What istiod 1.31 said to each of these routes, word for word. */
const sentences: readonly (readonly [more: Fields, sentence?: string])[] = [
  [
    { match: [{ uri: { regex: '(?=a)' } }] },
    '"uri": error parsing regexp: invalid or unsupported Perl syntax: `(?=`; Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)',
  ],
  [{ match: [{ uri: { regex: '(a)\\1' } }] }, 'invalid escape sequence: `\\1`'],
  [{ match: [{ uri: { regex: '' } }] }, '"uri": regex string match should not be empty'],
  [{ match: [{ uri: { prefix: '' } }] }],
  [{ match: [{ uri: { regex: '(?i)/(?P<id>[0-9]+)' } }] }],
  [{ match: [{ method: { prefix: '' } }] }, '"method": prefix string match should not be empty'],
  [
    { match: [{ headers: { 'b d': { exact: 'a' } } }] },
    'header name b d is not a valid header name',
  ],
  [{ match: [{ headers: { a: {} } }] }],
  [
    { match: [{ queryParams: { a: { prefix: '' } } }] },
    '"queryParams": prefix string match should not be empty',
  ],
  [{ match: [{ queryParams: { a: {} } }] }],
  [
    { retries: { attempts: 0, perTryTimeout: '1s' } },
    'http retry policy configured when attempts are set to 0 (disabled)',
  ],
  [{ retries: { attempts: 1, retryOn: 'foo' } }, '"foo" is not a valid retryOn policy'],
  [{ retries: { attempts: 1, retryOn: '5xx,503' } }],
  [{ retries: { attempts: -1 } }, 'attempts cannot be negative'],
  [
    { rewrite: {} },
    'rewrite must specify at least one of URI, UriRegexRewrite, or authority. Only one of URI or UriRegexRewrite may be specified',
  ],
  [
    { rewrite: { uri: '/x', uriRegexRewrite: { match: 'a', rewrite: 'b' } } },
    'rewrite may only contain one of URI or UriRegexRewrite',
  ],
  [
    { rewrite: { uriRegexRewrite: { match: '(?=a)', rewrite: 'b' } } },
    'UriRegexRewrite has errors\n',
  ],
  [
    { headers: { request: { set: { ':path': 'x' } } } },
    'invalid header ":path": header cannot have ":" prefix',
  ],
  [
    { headers: { response: { set: { host: 'x' } } } },
    'invalid header "host": cannot set Host header',
  ],
  [{ headers: { request: { remove: ['host'] } } }, 'invalid header "host": cannot set Host header'],
  [
    { headers: { request: { set: { a: '50%' } } } },
    'header value configuration: invalid header configuration. Un-escaped %',
  ],
  [{ headers: { request: { set: { a: '%FOO% 50%%' } } } }],
  [
    { headers: { request: { set: { host: 'a' } } }, rewrite: { authority: 'b' } },
    'authority header cannot be set multiple times: have "b", attempting to set "a"',
  ],
  [{ corsPolicy: { allowMethods: ['FOO'] } }, '"FOO" is not a supported HTTP method'],
  [{ corsPolicy: { allowOrigins: [{}] } }, "'' is not a valid match type for CORS allow origins"],
  [
    { corsPolicy: { allowOrigins: [{ regex: '(' }] } },
    '"corsPolicy.allowOrigins": error parsing regexp: ',
  ],
  [{ corsPolicy: { allowHeaders: ['a b'] } }, 'header name a b is not a valid header name'],
  [{ corsPolicy: { maxAge: '500ms' } }, 'max_age duration is accurate only to seconds precision'],
]
const redirects: readonly (readonly [redirect: Fields, sentence?: string])[] = [
  [{}, 'redirect must specify URI, authority, scheme, or port'],
  [{ redirectCode: 400, uri: '/x' }, '400 is not a valid redirect code, must be 3xx'],
  [{ scheme: 'ftp' }, 'invalid redirect scheme, must be "http" or "https"'],
  [{ scheme: 'https' }],
]
const said: readonly Row[] = [
  ...sentences.map(([more, sentence]) => [{ route: to('a', 1), ...more }, sentence] as const),
  ...redirects.map(([redirect, sentence]) => [{ redirect }, sentence] as const),
  [
    { redirect: { uri: '/x' }, rewrite: { uri: '/y' } },
    'HTTP route rule cannot contain both rewrite and redirect',
  ] as const,
  [
    { route: [{ destination: { host: 'a', subset: 'A_b' } }] },
    'subset name is invalid: A_b',
  ] as const,
].map(([one, sentence]) => [
  JSON.stringify(one),
  route(one),
  sentence === undefined ? 'accepted' : new RegExp(sentence.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')),
])

const virtualServices: readonly Row[] = [
  ['one route', service({}), 'accepted'],
  ['no hosts', service({ hosts: [] }), /at least one host/],
  ['no routes', service({ http: [] }), /must be provided/],
  ['host * on the mesh', service({ hosts: ['*'], gateways: ['mesh'] }), /wildcard host \*/],
  ['host * on a gateway', service({ hosts: ['*'] }), 'accepted'],
  ['a bad host', service({ hosts: ['a_$.example.com'] }), /invalid/],
  ['one host twice', service({ hosts: ['a.example.com', 'a.example.com'] }), /duplicate hosts/],
  ['overlapping hosts', service({ hosts: ['a.example.com', '*.example.com'] }), /duplicate hosts/],
  ['a gateway of three parts', service({ gateways: ['a/b/c'] }), /namespace\/name/],
  ['exportTo twice', service({ exportTo: ['a', 'a'] }), /duplicate entries/],
  ['exportTo * and more', service({ exportTo: ['*', 'a'] }), /cannot be mixed/],
  ['nothing to do', route({}), /is required/],
  ['route and redirect', route({ route: to('a', 1), redirect: {} }), /both route and redirect/],
  [
    'route and answer',
    route({ route: to('a', 1), directResponse: { status: 200 } }),
    /both route and direct_response/,
  ],
  [
    'mirror and mirrors',
    route({ route: to('a', 1), mirror: { host: 'a' }, mirrors: [{}] }),
    /mirror/,
  ],
  ['port 0', route({ route: to('a', 0) }), /range 1\.\.65535/],
  [
    'two kinds of uri match',
    route({ match: [{ uri: { exact: '/', prefix: '/' } }], route: to('a', 1) }),
    /one of exact/,
  ],
  [
    'a long expression',
    route({ match: [{ uri: { regex: 'a'.repeat(1025) } }], route: to('a', 1) }),
    /too large/,
  ],
  [
    'an expression that is none',
    route({ match: [{ uri: { regex: '(' } }], route: to('a', 1) }),
    /error parsing regexp/,
  ],
  [
    'weights of nothing',
    route({ route: [1, 2].map((n) => ({ destination: { host: `a${n}` }, weight: 0 })) }),
    /weight/,
  ],
  ...said,
  ['a tls route', sni('a.example.com', 'x.b.example.com'), 'accepted'],
  [
    'a tls route without a match',
    service({ http: [], tls: [{ match: [], route: to('a', 1) }] }),
    /match/,
  ],
  ['a tls route without names', sni(), /at least one SNI host/],
  ['a tls route of foreign names', sni('c.example.com'), /not a compatible subset/],
]

const rule = (tls: Fields, more: Fields = {}): Fields => ({
  metadata: { name: 'd', namespace: 'istio-system' },
  spec: {
    host: 'web.test.svc.cluster.local',
    subsets: [{ name: 's', trafficPolicy: { tls } }],
    ...more,
  },
})
const mutual = { mode: 'MUTUAL' }
const destinationRules: readonly Row[] = [
  ['a subset by TLS', rule({ mode: 'SIMPLE', sni: 'web', credentialName: 'c' }), 'accepted'],
  ['MUTUAL by credential', rule({ ...mutual, credentialName: 'c' }), 'accepted'],
  ['MUTUAL of nothing', rule(mutual), /client certificate required/],
  ['two sources', rule({ ...mutual, credentialName: 'c', caCertificates: 'f' }), /credentialName/],
  [
    'no verification and names',
    rule({ mode: 'SIMPLE', insecureSkipVerify: true, subjectAltNames: ['a'] }),
    /InsecureSkipVerify/,
  ],
  [
    'a subset twice',
    rule({}, { subsets: [{ name: 's' }, { name: 's' }] }),
    /duplicate subset names/,
  ],
  ['a subset in capitals', rule({}, { subsets: [{ name: 'S' }] }), /subset name is invalid/],
  [
    'an empty policy',
    rule({}, { subsets: [{ name: 's', trafficPolicy: {} }] }),
    /at least one field/,
  ],
  ['exportTo twice', rule({}, { subsets: [], exportTo: ['.', '.'] }), /duplicate entries/],
]

describe('the webhook', () => {
  const tables = [
    ['Gateway', gateways, judgeGateway],
    ['VirtualService', virtualServices, judgeVirtualService],
    ['DestinationRule', destinationRules, judgeDestinationRule],
  ] as const
  for (const [kind, rows, judge] of tables) {
    for (const [title, object, verdict, warning] of rows) {
      const outcome = verdict === 'accepted' ? (warning ? 'warned of' : 'accepted') : 'refused'
      test(`${kind} with ${title} is ${outcome}`, () => {
        const { errors, warnings } = judge(object)
        if (verdict === 'accepted') assert.deepEqual(errors, [])
        else assert.match(errors.join('\n'), verdict)
        if (warning) assert.match(warnings.join('\n'), warning)
      })
    }
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, parseDocument, stringify } from 'yaml'
import { parseKubeconfig } from '../../../src/clusters/credentials/kubeconfig.ts'
import { cost } from '../../support/cost.ts'
import { openssl } from '../../support/openssl.ts'

const now = new Date()
const base64 = (text: string) => Buffer.from(text).toString('base64')

/** A certificate and its key by openssl, each in PEM. */
function pair(...args: readonly string[]): { readonly certificate: string; readonly key: string } {
  const key = openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
  const asked = ['req', '-x509', '-key', 'k.pem', '-subj', '/CN=me', ...args]
  return { certificate: openssl(asked, { 'k.pem': key }), key }
}

const { certificate, key } = pair()
const other = pair()
const pem = base64(certificate)
const client = { token: undefined, 'client-certificate-data': pem, 'client-key-data': base64(key) }

function kubeconfig({ cluster = {}, user = {}, top = {} } = {}): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'one',
    contexts: [
      { name: 'one', context: { cluster: 'c', user: 'u' } },
      { name: 'two', context: { cluster: 'other', user: 'other' } },
    ],
    clusters: [
      {
        name: 'c',
        cluster: {
          server: 'https://k8s.test:6443/',
          'certificate-authority-data': pem,
          ...cluster,
        },
      },
      { name: 'other', cluster: { server: 'https://other.test' } },
    ],
    users: [
      { name: 'u', user: { token: 'abc', ...user } },
      { name: 'other', user: { token: 'another-secret' } },
    ],
    ...top,
  })
}

/** A token of a service account, as far as it is read. */
function jwt(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2ln`
}

function faults(text: string, at = now): string {
  const parsed = parseKubeconfig(text, at)
  return 'violations' in parsed ? parsed.violations.map(({ message }) => message).join('\n') : ''
}

test('only the current context is kept', () => {
  const parsed = parseKubeconfig(kubeconfig(), now)
  assert.ok('kubeconfig' in parsed)
  assert.equal(parsed.kubeconfig.server, 'https://k8s.test:6443')
  assert.ok(!parsed.kubeconfig.text.includes('another-secret'))
  assert.deepEqual(parse(parsed.kubeconfig.text).users, [
    { name: 'gatesmith', user: { token: 'abc' } },
  ])
  const again = parseKubeconfig(parsed.kubeconfig.text, now)
  assert.deepEqual(again, parsed)
})

test('what would run a program, read our disk or trust anyone is refused', () => {
  const rows = [
    [{ user: { exec: { command: 'aws' } } }, /exec would run a program/],
    [{ user: { 'auth-provider': { name: 'gcp' } } }, /auth-provider would run a program/],
    [{ user: { 'client-certificate': '/etc/passwd' } }, /client-certificate is a file path/],
    [{ user: { 'client-key': '/etc/shadow' } }, /client-key is a file path/],
    [{ user: { tokenFile: '/var/run/token' } }, /tokenFile is a file path/],
    [{ user: { 'token-file': '/var/run/token' } }, /token-file is a file path/],
    [{ user: { as: 'system:admin' } }, /as is not supported/],
    [{ user: { username: 'u', password: 'p' } }, /username is not supported/],
    [{ user: { token: 'a\nb' } }, /not a bearer token/],
    [{ user: { token: undefined } }, /neither a token nor/],
    [{ user: { 'client-certificate-data': pem } }, /go together/],
    [{ user: { 'client-certificate-data': 'x', 'client-key-data': pem } }, /not PEM/],
    [{ cluster: { 'certificate-authority': '/ca.crt' } }, /--flatten --minify/],
    [{ cluster: { 'insecure-skip-tls-verify': true } }, /give the CA/],
    [{ cluster: { 'proxy-url': 'http://p' } }, /proxy-url is not supported/],
    [{ cluster: { server: 'http://k8s.test' } }, /https URL/],
    [{ cluster: { server: 'https://u:p@k8s.test' } }, /plain URL/],
    [{ cluster: { server: 7 } }, /https URL/],
    [{ cluster: { 'certificate-authority-data': 7 } }, /not PEM/],
    [{ top: { 'current-context': undefined } }, /no current-context/],
    [{ top: { 'current-context': 'three' } }, /contexts has no "three"/],
    [{ top: { clusters: [] } }, /clusters has no "c"/],
    [{ top: { users: 'none' } }, /users has no "u"/],
  ] as const
  for (const [change, expected] of rows) {
    assert.match(faults(kubeconfig(change)), expected, JSON.stringify(change))
  }
})

const encrypted = openssl(['pkcs8', '-topk8', '-passout', 'pass:x', '-in', 'k.pem'], {
  'k.pem': key,
})
const legacy = openssl(['ec', '-in', 'k.pem', '-aes128', '-passout', 'pass:x'], { 'k.pem': key })
const server = pair('-addext', 'extendedKeyUsage=serverAuth').certificate
const far = new Date(now.getTime() + 40 * 86_400_000)

test('what clusters of all kinds give out is taken', () => {
  const rows = [
    { user: { token: 'kubeconfig-user-x7k2p:9zq8w7x6' } },
    { user: { token: 'eyJhbGciOiJSUzI1NiJ9.e30.c2ln_-' } },
    { user: { token: jwt({ exp: now.getTime() / 1000 + 60 }) } },
    { user: { token: jwt({ sub: 'no end' }) } },
    { user: { token: 'a.b.c' } },
    { user: client },
    { user: { ...client, token: 'both' } },
    { user: { ...client, 'client-certificate-data': base64(certificate + other.certificate) } },
    { user: { 'client-certificate-data': '', 'client-key-data': '' } },
    { cluster: { server: 'https://rancher.test/k8s/clusters/c-m-x' } },
    { cluster: { server: 'https://[fd00::1]:6443' } },
    {
      cluster: { 'certificate-authority-data': base64(`# CA\n${certificate}${other.certificate}`) },
    },
    { cluster: { 'certificate-authority-data': pem.replace(/.{64}/g, '$&\n') } },
    { cluster: { 'certificate-authority-data': '' } },
    { cluster: { 'tls-server-name': 'kubernetes.default' } },
  ]
  for (const change of rows) assert.equal(faults(kubeconfig(change)), '', JSON.stringify(change))
})

test('what could never work is refused with its reason', () => {
  const key64 = client['client-key-data']
  const rows = [
    [{ user: { token: 'a b' } }, /token is not a bearer token/],
    [{ user: { token: 'abc\n' } }, /token is not a bearer token/],
    [{ user: { token: ' abc' } }, /token is not a bearer token/],
    [{ user: { token: 'töken' } }, /token is not a bearer token/],
    [{ user: { token: 7 } }, /token is not text/],
    [{ user: { ...client, 'client-key-data': base64(encrypted) } }, /client-key-data is encrypted/],
    [{ user: { ...client, 'client-key-data': base64(legacy) } }, /client-key-data is encrypted/],
    [{ user: { ...client, 'client-key-data': base64(other.key) } }, /not the key of/],
    [{ user: { ...client, 'client-key-data': pem } }, /not one private key/],
    [{ user: { ...client, 'client-key-data': base64(key + other.key) } }, /not one private key/],
    [{ user: { ...client, 'client-key-data': undefined } }, /go together/],
    [{ user: { ...client, 'client-certificate-data': key64 } }, /has no certificate/],
    [{ user: { ...client, 'client-certificate-data': base64(server) } }, /not for clients/],
    [{ user: { ...client, 'client-certificate-data': certificate } }, /not PEM in base64/],
    [{ user: { ...client, 'client-certificate-data': `${pem}!` } }, /not PEM in base64/],
    [{ cluster: { 'certificate-authority-data': key64 } }, /has no certificate/],
    [
      { cluster: { 'certificate-authority-data': base64(certificate.replace(/M/g, 'N')) } },
      /has no certificate/,
    ],
    [{ cluster: { server: 'HTTPS://k8s.test' } }, /https URL, in lower case/],
    [{ cluster: { server: 'ftp://k8s.test' } }, /https URL/],
    [{ cluster: { server: ' https://k8s.test' } }, /without blanks/],
    [{ cluster: { server: 'https://k8s.test ' } }, /without blanks/],
    [{ cluster: { server: 'https://k8s .test' } }, /without blanks/],
    [{ cluster: { server: 'https://k8s.test:99999' } }, /https URL/],
    [{ cluster: { server: 'https://' } }, /https URL/],
    [{ cluster: { server: 'k8s.test:6443' } }, /https URL/],
    [{ cluster: { server: 'https://k8s.test?' } }, /plain URL/],
    [{ cluster: { server: 'https://k8s.test#' } }, /plain URL/],
    [{ cluster: { server: 'https://@k8s.test' } }, /plain URL/],
    [{ cluster: { server: 'https://k8s.test\\x' } }, /plain URL/],
    [{ cluster: { server: 'https://169.254.169.254' } }, /169\.254\.169\.254 is never connected/],
    [{ cluster: { server: 'https://0xa9fea9fe:80/x' } }, /169\.254\.169\.254 is never connected/],
    [{ cluster: { server: 'https://[fe80::1]:6443' } }, /fe80::1 is never connected/],
    [{ user: { token: jwt({ exp: now.getTime() / 1000 - 1 }) } }, /token has expired/],
    [{ user: { constructor: 'x' } }, /user: constructor is not supported/],
    [{ cluster: { 'tls-server-name': 'a b' } }, /tls-server-name/],
    [{ top: { kind: 'Secret' } }, /kind is not Config/],
    [{ top: { apiVersion: 'v2' } }, /apiVersion is not v1/],
    [{ top: { contexts: [{ name: 'one', context: { user: 'u' } }] } }, /names no cluster/],
    [{ top: { contexts: [{ name: 'one', context: { cluster: 'c' } }] } }, /names no user/],
    [
      { top: { users: [1, 2].map((token) => ({ name: 'u', user: { token: `t${token}` } })) } },
      /users has "u" more than once/,
    ],
  ] as const
  for (const [change, expected] of rows) {
    assert.match(faults(kubeconfig(change)), expected, JSON.stringify(change))
  }
  assert.match(faults(`${kubeconfig()}---\n${kubeconfig()}`), /more than one YAML document/)
})

test('what has ended is refused, and what has not is taken', () => {
  const user = kubeconfig({ user: client, cluster: { 'certificate-authority-data': undefined } })
  assert.equal(faults(user), '')
  assert.match(faults(user, far), /client-certificate-data expired at/)
  assert.match(faults(kubeconfig(), far), /every certificate in it has expired/)
})

test('a key twice in one mapping is refused, at whatever depth', () => {
  for (const text of [
    'a: 1\na: 2',
    kubeconfig().replace('token: abc', 'token: abc\n      token: d'),
  ])
    assert.match(faults(text), /A key stands twice/)
})

test('what is written after a mark of byte order, or with CRLF, is read', () => {
  for (const text of [`\ufeff${kubeconfig()}`, kubeconfig().replaceAll('\n', '\r\n')])
    assert.equal(faults(text), '')
})

test('anchors, and more parts than any kubeconfig has, are refused before anything is built', () => {
  const many = (line: (i: number) => string) =>
    Array.from({ length: 30_000 }, (_, i) => line(i))
      .join('\n')
      .slice(0, 256 * 1024)
  const texts = [
    kubeconfig().replace('name: c\n', 'name: &c c\n'),
    many((i) => `k${i}: &a${i} 1`),
    many((i) => `${i}:`),
    '{a: '.repeat(60_000),
    '- '.repeat(100_000),
    '#\n'.repeat(120_000),
  ]
  for (const text of texts) {
    assert.match(faults(text), /not a YAML mapping/, text.slice(0, 20))
    if (text.length < 10_000) continue
    const part = text.slice(0, text.length / 16)
    const times = cost(
      () => faults(text),
      () => parseDocument(part),
    )
    assert.ok(
      times < 1,
      `${text.slice(0, 20)}: ${times} times as dear as to build a sixteenth of it`,
    )
  }
  assert.equal(faults(`${kubeconfig()}note: |\n${'  *no alias\n  &no anchor\n'.repeat(99)}`), '')
})

test('no reason quotes a credential', () => {
  const user = { token: 'secret word', 'client-key-data': base64(encrypted) }
  const told = faults(kubeconfig({ user }))
  for (const secret of ['secret word', base64(encrypted), 'PRIVATE']) {
    assert.ok(!told.includes(secret))
  }
})

test('false and empty fields say nothing', () => {
  const cluster = { 'insecure-skip-tls-verify': false, 'proxy-url': '', extensions: [{}] }
  assert.equal(faults(kubeconfig({ cluster })), '')
})

test('all violations come together', () => {
  const both = { cluster: { 'proxy-url': 'http://p' }, user: { exec: {} } }
  assert.match(faults(kubeconfig(both)), /proxy-url[\s\S]*exec/)
})

test('what is no kubeconfig at all is refused in one sentence', () => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', 'b: &b [*a,*a,*a,*a,*a,*a]', 'c: [*b,*b,*b]'].join(
    '\n',
  )
  for (const text of ['', '7', '[]', 'a: [', '\0', bomb, 'x'.repeat(300_000)]) {
    assert.match(faults(text), /not a YAML mapping/, text.slice(0, 20))
  }
})

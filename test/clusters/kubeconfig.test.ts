import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { parseKubeconfig } from '../../src/clusters/kubeconfig.ts'

const pem = Buffer.from('-----BEGIN CERTIFICATE-----\n').toString('base64')

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

function faults(text: string): string {
  const parsed = parseKubeconfig(text)
  return 'violations' in parsed ? parsed.violations.map(({ message }) => message).join('\n') : ''
}

test('only the current context is kept', () => {
  const parsed = parseKubeconfig(kubeconfig())
  assert.ok('kubeconfig' in parsed)
  assert.equal(parsed.kubeconfig.server, 'https://k8s.test:6443')
  assert.ok(!parsed.kubeconfig.text.includes('another-secret'))
  assert.deepEqual(parse(parsed.kubeconfig.text).users, [
    { name: 'gatesmith', user: { token: 'abc' } },
  ])
  const again = parseKubeconfig(parsed.kubeconfig.text)
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
  for (const text of ['', '7', '[]', 'a: [', '\0', 'a: 1\na: 2', bomb, 'x'.repeat(300_000)]) {
    assert.match(faults(text), /not a YAML mapping/, text.slice(0, 20))
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import {
  diffOf,
  type SettingName,
  versionsIn,
  withVersion,
} from '../../../src/clusters/mesh/text.ts'

const chart = `# what the chart writes
accessLogFile: ""
defaultConfig:
    discoveryAddress: istiod.istio-system.svc:15012   # here
    tracing: {zipkin: {address: 'zipkin:9411'}}
defaultProviders:
  metrics:
  - prometheus
enablePrometheusMerge: true
rootNamespace: "istio-system"
trustDomain: cluster.local`

const table: readonly {
  readonly title: string
  readonly text: string
  readonly set: readonly [SettingName, string | null]
  readonly becomes: string
}[] = [
  {
    title: 'a map without the setting gets it at its end',
    text: chart,
    set: ['meshMTLS', 'TLSV1_3'],
    becomes: `${chart}\nmeshMTLS:\n  minProtocolVersion: TLSV1_3`,
  },
  {
    title: 'the line break at the end stays the last',
    text: 'a: 1\n',
    set: ['tlsDefaults', 'TLSV1_2'],
    becomes: 'a: 1\ntlsDefaults:\n  minProtocolVersion: TLSV1_2\n',
  },
  {
    title: 'an empty text is a map',
    text: '',
    set: ['meshMTLS', 'TLSV1_3'],
    becomes: 'meshMTLS:\n  minProtocolVersion: TLSV1_3\n',
  },
  {
    title: 'a version is replaced, and the comment behind it stays',
    text: 'meshMTLS:\n    minProtocolVersion:   "TLSV1_2" # audited\nz:  1',
    set: ['meshMTLS', 'TLSV1_3'],
    becomes: 'meshMTLS:\n    minProtocolVersion:   TLSV1_3 # audited\nz:  1',
  },
  {
    title: 'a block with other things gets a line with their indent',
    text: 'meshMTLS:\n    # ours\n    cipherSuites: [X]\nz: 1\n',
    set: ['meshMTLS', 'TLSV1_3'],
    becomes:
      'meshMTLS:\n    # ours\n    minProtocolVersion: TLSV1_3\n    cipherSuites: [X]\nz: 1\n',
  },
  {
    title: 'a map in braces gets it inside',
    text: 'tlsDefaults: { ecdhCurves: [ P-256 ] }\nz:    1\n',
    set: ['tlsDefaults', 'TLSV1_3'],
    becomes: 'tlsDefaults: { minProtocolVersion: TLSV1_3, ecdhCurves: [ P-256 ] }\nz:    1\n',
  },
  {
    title: 'the names of the .proto file are kept',
    text: 'mesh_mTLS:\n  min_protocol_version: TLSV1_2\n',
    set: ['meshMTLS', 'TLSV1_3'],
    becomes: 'mesh_mTLS:\n  min_protocol_version: TLSV1_3\n',
  },
  {
    title: 'a number is a version',
    text: 'meshMTLS:\n  minProtocolVersion: 1\n',
    set: ['meshMTLS', 'TLSV1_2'],
    becomes: 'meshMTLS:\n  minProtocolVersion: 1\n',
  },
  {
    title: 'a setting that was alone in its block goes with it',
    text: 'a: 1\nmeshMTLS:\n  minProtocolVersion: TLSV1_3 # x\nz: 1 # y\n',
    set: ['meshMTLS', null],
    becomes: 'a: 1\nz: 1 # y\n',
  },
  {
    title: 'beside others it goes alone',
    text: 'tlsDefaults:\n  ecdhCurves: [P-256]\n  minProtocolVersion: TLSV1_3',
    set: ['tlsDefaults', null],
    becomes: 'tlsDefaults:\n  ecdhCurves: [P-256]',
  },
  {
    title: 'what is not there does not go',
    text: chart,
    set: ['tlsDefaults', null],
    becomes: chart,
  },
]

for (const { title, text, set, becomes } of table) {
  test(title, () => {
    const [name, version] = set
    assert.equal(withVersion(text, name, version), becomes)
    assert.equal(versionsIn(becomes)[name], version)
  })
}

const odd: readonly string[] = [
  '{}',
  '{a: 1}',
  'null',
  'meshMTLS:\na: 1',
  'meshMTLS: {}\na: 1',
  '{"meshMTLS":{"cipherSuites":["X"]},"a":1}',
  '{"meshMTLS":{"minProtocolVersion":"TLSV1_2"},"a":1}',
  'a: 1\n# last words',
  'a: |\n  text\n\n',
  '---\na: 1\n...\n',
]

for (const text of odd) {
  test(`in ${JSON.stringify(text)} a version is set and taken out, and nothing else changes`, () => {
    const set = withVersion(text, 'meshMTLS', 'TLSV1_3')
    assert.equal(versionsIn(set).meshMTLS, 'TLSV1_3')
    const { meshMTLS, ...others } = parse(set)
    const { meshMTLS: old, ...before } = parse(text) ?? {}
    assert.deepEqual(others, before)
    const { minProtocolVersion: _, ...rest } = meshMTLS
    const { minProtocolVersion: __, ...oldRest } = old ?? {}
    assert.deepEqual(rest, oldRest)
    assert.equal(versionsIn(withVersion(set, 'meshMTLS', null)).meshMTLS, null)
  })
}

for (const text of [
  '[1]',
  'a: [',
  'a: 1\na: 2',
  'x: &x {a: 1}\nmeshMTLS: *x',
  'meshMTLS: 7',
  '\ta: 1',
]) {
  test(`${JSON.stringify(text)} is refused`, () => {
    assert.throws(() => withVersion(text, 'meshMTLS', 'TLSV1_3'), SyntaxError)
  })
}

test('the difference is the lines that go and come', () => {
  assert.equal(diffOf('a\nb\nc', 'a\nB\nc'), '-b\n+B\n')
  assert.equal(diffOf('a\nc', 'a\nb\nc'), '+b\n')
  assert.equal(diffOf('a\na\n', 'a\n'), '-a\n')
  assert.equal(diffOf('a', 'a'), '')
})

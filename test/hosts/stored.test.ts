import assert from 'node:assert/strict'
import { test } from 'node:test'
import { specOf } from '../../src/hosts/find.ts'

// Specs as they stand in databases. Never change one: a release that cannot read it loses hosts.
const stored = {
  'the first release, SIMPLE':
    '{"tls":{"mode":"SIMPLE","minVersion":"TLSV1_2","maxVersion":"TLSV1_3"},"http":"redirect","certificate":{"authority":"house","keyAlgorithm":"ECDSA_P256","validityDays":90},"routes":[{"match":{"prefix":"/"},"to":{"service":"web","namespace":"test","port":80}}],"clusters":["one"]}',
  'the first release, MUTUAL':
    '{"tls":{"mode":"MUTUAL","minVersion":"TLSV1_2","maxVersion":"TLSV1_3","clientAuthority":"house"},"http":"serve","certificate":{"authority":"house","keyAlgorithm":"RSA_2048","validityDays":30},"routes":[{"match":{"exact":"/a","port":443},"to":{"service":"web","namespace":"test","port":8080}}],"clusters":["one","two"]}',
  'the first release, PASSTHROUGH':
    '{"tls":{"mode":"PASSTHROUGH"},"http":"off","certificate":{"authority":"house","keyAlgorithm":"ED25519","validityDays":1,"secretName":"www-shop-test-tls"},"routes":[{"match":{"port":443},"to":{"service":"web","namespace":"test","port":443}}],"clusters":["one"]}',
  'this release, clients and plain HTTP':
    '{"tls":{"mode":"MUTUAL","minVersion":"TLSV1_2","maxVersion":"TLSV1_3","clientAuthority":"house","clients":"authority","plainHttpWithoutClientCertificate":true},"http":"serve","certificate":{"authority":"house","keyAlgorithm":"ECDSA_P384","validityDays":825,"organization":"Shop"},"routes":[{"match":{"prefix":"/"},"to":{"service":"web","namespace":"test","port":80}}],"clusters":["one"]}',
  'this release, after the last cluster was removed by force':
    '{"tls":{"mode":"SIMPLE","minVersion":"TLSV1_3","maxVersion":"TLSV1_3"},"http":"redirect","certificate":{"authority":"house","keyAlgorithm":"RSA_4096","validityDays":90},"routes":[{"match":{"prefix":"/"},"to":{"service":"web","namespace":"test","port":80}}],"clusters":[]}',
}

for (const [release, text] of Object.entries(stored)) {
  test(`a host as ${release} stored it is acted on`, () => {
    const spec: unknown = JSON.parse(text)
    assert.deepEqual(specOf({ spec }), spec)
  })
}

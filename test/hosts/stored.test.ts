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
  'this release, routes in full':
    '{"annotations":{"external-dns.alpha.kubernetes.io/target":"lb.shop.test"},"aliases":["shop.test","*.m.shop.test"],"tls":{"mode":"SIMPLE","minVersion":"TLSV1_2","maxVersion":"TLSV1_3"},"http":"serve","certificate":{"authority":"house","keyAlgorithm":"ECDSA_P256","validityDays":90},"routes":[{"match":{"regex":"/v[0-9]+/.*","methods":["GET","HEAD"],"headers":[{"name":"x-a","exact":"1"},{"name":"x-b","present":true}],"queryParams":[{"name":"q","regex":".+"}]},"to":[{"service":"web","namespace":"test","port":80,"weight":90},{"service":"next","namespace":"test","port":443,"weight":10,"tls":{"mode":"SIMPLE","sni":"next.internal","subjectAltNames":["next.internal"],"caCertificates":"PEM"}}],"rewrite":{"path":"/","host":"inner.test"},"timeout":"15s","retries":{"attempts":2,"perTryTimeout":"5s","retryOn":["5xx","503"]},"requestHeaders":{"set":[{"name":"x-c","value":"c"}],"add":[{"name":"x-d","value":"d"}],"remove":["cookie"]},"responseHeaders":{"set":[{"name":"x-e","value":"e"}]},"cors":{"allowOrigins":[{"exact":"https://shop.test"},{"prefix":"https://shop.test:"},{"regex":"https://.+"}],"allowMethods":["GET"],"allowHeaders":["x-a"],"exposeHeaders":["x-e"],"maxAge":"10m","allowCredentials":false}},{"match":{"prefix":"/old"},"redirect":{"scheme":"https","host":"www.shop.test","port":8443,"path":"/new","code":308}}],"clusters":["one"]}',
  'this release, an uploaded certificate':
    '{"tls":{"mode":"MUTUAL","minVersion":"TLSV1_2","maxVersion":"TLSV1_3","clientAuthority":"house","clients":"tenant"},"http":"redirect","certificate":{"uploaded":"019abf00-0000-7000-8000-000000000001"},"routes":[{"match":{"prefix":"/"},"to":{"service":"web","namespace":"test","port":80}}],"clusters":["one"]}',
  'this release, after the last cluster was removed by force':
    '{"tls":{"mode":"SIMPLE","minVersion":"TLSV1_3","maxVersion":"TLSV1_3"},"http":"redirect","certificate":{"authority":"house","keyAlgorithm":"RSA_4096","validityDays":90},"routes":[{"match":{"prefix":"/"},"to":{"service":"web","namespace":"test","port":80}}],"clusters":[]}',
}

for (const [release, text] of Object.entries(stored)) {
  test(`a host as ${release} stored it is acted on`, () => {
    const spec: unknown = JSON.parse(text)
    assert.deepEqual(specOf({ spec }), spec)
  })
}

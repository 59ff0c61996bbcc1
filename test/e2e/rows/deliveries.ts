import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, test } from 'node:test'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import { kinds } from '../../../src/clusters/kubernetes/kinds.ts'
import { openssl } from '../../support/openssl.ts'
import { until } from '../../support/process.ts'
import type { Stage } from '../stage.ts'

/** R6: a certificate handed to a workload as a Secret in its namespace. */
export function deliveryCases(stage: Stage): void {
  const { http, cluster, kubeconfig, names, timeoutSeconds } = stage
  const kube = connect(kubeconfig)
  after(() => kube.close())
  const name = `delivered-${names.off.split('.')[0]}`
  const url = `/v1/tenants/example/deliveries/${name}`
  const find = () => kube.get({ ...kinds.secret, namespace: 'test', name })

  test('R6 a certificate lies in the workload’s namespace, follows its renewal, and is taken away', async () => {
    const order = { profile: 'client', subject: { commonName: 'delivered' }, autoRenew: true }
    const made = await http.post('/v1/tenants/example/certificates').send(order).expect(201)
    const secret = { name, namespace: 'test' }
    const keystores = { pkcs12: {} }
    const spec = { certificate: made.body.id, secret, keystores, clusters: [cluster] }
    const put = await http.put(url).send(spec)
    assert.equal(put.status, 201, put.text)
    const lies = (serial: string) =>
      until(
        `${serial} is there`,
        async () => {
          const data = (await find())?.data?.['tls.crt']
          if (data === undefined) return undefined
          const leaf = new X509Certificate(Buffer.from(data, 'base64'))
          return leaf.serialNumber.toLowerCase() === serial ? true : undefined
        },
        timeoutSeconds,
      )
    await lies(made.body.serial)
    assert.equal((await find())?.type, 'kubernetes.io/tls')
    const renewed = await http
      .post(`/v1/tenants/example/certificates/${made.body.id}/renew`)
      .send({})
    assert.equal(renewed.status, 201, renewed.text)
    await lies(renewed.body.serial)
    const { data = {} } = (await find()) ?? {}
    const octets = (key: string) => Buffer.from(data[key] ?? '', 'base64')
    const password = octets('keystore.password').toString('utf8')
    for (const store of ['keystore.p12', 'truststore.p12']) {
      const args = ['pkcs12', '-in', store, '-passin', `pass:${password}`, '-nodes', '-info']
      assert.match(openssl(args, { [store]: octets(store) }), /BEGIN CERTIFICATE/, store)
    }
    await http.delete(url).expect(202)
    const gone = async () => ((await find()) === undefined ? true : undefined)
    await until('the Secret is gone', gone, timeoutSeconds)
  })
}

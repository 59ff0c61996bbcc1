import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from '../../src/clusters/kubernetes/connect.ts'
import { leafFor, openElsewhere, sentOf } from '../certificates/uploads/elsewhere.ts'
import { devPorts, startDev, tokenIn, untilUp } from '../e2e/dev.ts'
import type { Http } from '../e2e/stage.ts'
import { openFolder, until } from '../support/process.ts'

/** `npm start`, with what is wrong here and there, so that every view has something to show. */
export type World = {
  readonly http: Http
  readonly url: string
  /** What `npm start` has printed to sign in by. */
  readonly link: string
  /** Of the platform's admin. */
  readonly token: string
  /** Of the sandbox cluster. */
  readonly kubeconfig: string
  /** PEM of the CA that the foreign and uploaded certificates are of, and a leaf of it with its key. */
  readonly shop: { readonly certificate: string; readonly privateKey: string }
  /** A certificate of a client that nothing renews, and whose key was not taken yet. */
  readonly leaf: string
}

const spec = {
  tls: { mode: 'SIMPLE' },
  routes: [{ to: { service: 'httpbin', namespace: 'test', port: 80 } }],
} as const

/** Starts it all, and waits until what is wrong shows. */
export async function openWorld(): Promise<World> {
  const state = join(await openFolder(), 'state')
  const ports = await devPorts()
  const running = startDev(state, ports)
  const http = await untilUp(running, state, ports)
  const [link = ''] = /http\S+#signin=\S+/.exec(running.said.out) ?? []
  const kubeconfig = await readFile(join(state, 'kubeconfig'), 'utf8')
  await makeAuthorities(http)
  await makeClusters(http, kubeconfig)
  await makeConflict(http, kubeconfig)
  const leaf = await makeLeaves(http)
  const token = await tokenIn(state)
  const url = `http://127.0.0.1:${ports.api}`
  const { root, between } = await openElsewhere('Shop')
  const shop = sentOf(await leafFor(between, ['up.example.com']), between, root)
  await makeForeign(http, kubeconfig, await leafFor(between, ['taken.example.com']))
  await makeCa(http, url)
  return { http, url, link, token, kubeconfig, leaf, shop }
}

/** A Secret that somebody else has put on a gateway, and that was read. */
async function makeForeign(
  http: Http,
  kubeconfig: string,
  { pem, key }: { readonly pem: string; readonly key: string },
): Promise<void> {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  await connect(kubeconfig).apply({
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name: 'theirs', namespace: 'istio-system' },
    data: { 'tls.crt': base64(pem), 'tls.key': base64(key) },
  })
  await until(
    'it is seen',
    async () => {
      await http.post('/v1/clusters/sandbox/check').expect(200)
      const { body } = await http.get('/v1/foreign-certificates').expect(200)
      return body.items.length > 0 ? true : undefined
    },
    60,
  )
}

/** An account with a CA elsewhere, which is this service itself: what it issues is on record already, so that the order
 *  of a host fails; and one with a CA that does not answer, whose orders wait. */
async function makeCa(http: Http, url: string): Promise<void> {
  const key = await http.post('/v1/tenants/example/acme-keys').send({ name: 'self' }).expect(201)
  const { hmacKey, id: keyId } = key.body
  const root = await http.get('/v1/authorities/example-root').expect(200)
  const common = { kind: 'acme', challenge: { type: 'http-01' }, termsOfServiceAgreed: true }
  const self = {
    ...{ ...common, name: 'public', trustedRoots: root.body.pem, contact: ['pki@example.com'] },
    directory: `${url}/acme/example-issuing/directory`,
    externalAccountBinding: { keyId, hmacKey },
  }
  const away = { ...common, name: 'away', directory: 'http://127.0.0.1:1/directory' }
  for (const authority of [self, away]) {
    await http.post('/v1/authorities').send(authority).expect(201)
    const asked = { ...spec, clusters: ['sandbox'], certificate: { authority: authority.name } }
    const host = `of-${authority.name}.example.com`
    await http.put(`/v1/tenants/example/hosts/${host}`).send(asked).expect(201)
  }
  await until(
    'an order fails',
    async () => {
      const { body } = await http.get('/v1/authorities/public/orders?state=failed').expect(200)
      return body.items.length > 0 ? true : undefined
    },
    60,
  )
}

/** One that ends soon, and one that signs for nobody any more while something wants to be renewed by it. */
async function makeAuthorities(http: Http): Promise<void> {
  for (const [name, validityDays] of [
    ['ending-issuing', 40],
    ['closed-issuing', 400],
  ] as const) {
    const subject = { commonName: name, organization: 'example Inc.' }
    const asked = { name, kind: 'intermediate', parent: 'example-root', subject, validityDays }
    await http.post('/v1/authorities').send(asked).expect(201)
  }
  const authority = 'closed-issuing'
  const asked = { profile: 'server', dnsNames: ['closed.example.com'], authority, autoRenew: true }
  await http.post('/v1/tenants/example/certificates').send(asked).expect(201)
  await http.patch(`/v1/authorities/${authority}`).send({ retired: true }).expect(200)
  const order = { reason: 'superseded', within: 'PT0M', where: { authority } }
  await http.post('/v1/replacements').send(order).expect(202)
  await until(
    'a renewal fails',
    async () => {
      const { body } = await http.get('/v1/certificates?renewal=failing').expect(200)
      return body.items.length > 0 ? true : undefined
    },
    60,
  )
}

/** A cluster that does not answer. */
async function makeClusters(http: Http, kubeconfig: string): Promise<void> {
  const dead = kubeconfig.replace(/server: .*/, 'server: https://127.0.0.1:1')
  const west = { name: 'west', kubeconfig: dead, ingress: { address: '127.0.0.1:2' } }
  await http.post('/v1/clusters').send(west).expect(201)
}

/** A host whose name somebody else has on the cluster, and one that is on the dead cluster, too. */
async function makeConflict(http: Http, kubeconfig: string): Promise<void> {
  const name = 'taken.example.com'
  const metadata = { name: 'theirs', namespace: 'test' }
  const route = [{ destination: { host: 'httpbin.test.svc.cluster.local' } }]
  const gateways = ['istio-system/theirs']
  const kube = connect(kubeconfig)
  const server = {
    hosts: [name],
    port: { number: 443, name: 'https', protocol: 'HTTPS' },
    tls: { mode: 'SIMPLE', credentialName: 'theirs' },
  }
  await kube.apply({
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { ...metadata, namespace: 'istio-system' },
    spec: { selector: { istio: 'ingressgateway' }, servers: [server] },
  })
  await kube.apply({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata,
    spec: { hosts: [name], gateways, http: [{ route }] },
  })
  const hosts = '/v1/tenants/example/hosts'
  await http.put(`${hosts}/${name}`).send({ ...spec, clusters: ['sandbox'] })
  const both = { ...spec, clusters: ['sandbox', 'west'], owner: 'shop' }
  await http.put(`${hosts}/shop.example.com`).send(both).expect(201)
  for (const status of ['Conflict', 'Failed']) {
    await until(
      `a host is ${status}`,
      async () => {
        const { body } = await http.get(`/v1/hosts?status=${status}`).expect(200)
        return body.items.length > 0 ? true : undefined
      },
      60,
    )
  }
}

async function makeLeaves(http: Http): Promise<string> {
  const ids: string[] = []
  for (const [name, validityDays] of [
    ['laptop', 9],
    ['printer', 21],
    ['camera', 60],
  ] as const) {
    const asked = {
      profile: 'client',
      subject: { commonName: name },
      dnsNames: [`${name}.example.com`],
      validityDays,
    }
    const { body } = await http.post('/v1/tenants/example/certificates').send(asked).expect(201)
    ids.push(body.id)
  }
  return ids[0] ?? ''
}

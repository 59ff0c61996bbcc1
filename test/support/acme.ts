import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after } from 'node:test'
import { createSecureContext, createServer as createTlsServer } from 'node:tls'
import { createAcmeKey } from '../../src/acme/keys/lifecycle.ts'
import type { NewAcmeKey } from '../../src/acme/keys/schema.ts'
import { createAuthority } from '../../src/authorities/create.ts'
import type { AcmeSettings } from '../../src/core/settings/acme.ts'
import { startWorker, type Worker } from '../../src/jobs/worker.ts'
import { createTenant } from '../../src/tenants/write.ts'
import { openTestApi } from './api.ts'
import { admin } from './context.ts'
import { openFolder } from './process.ts'

/** What a world of names and servers answers to whoever looks for challenges. */
export type Challenges = {
  /** TXT records by name. */
  readonly txt: Map<string, readonly string[]>
  /** Bodies by `host/path`; what begins with `->` is redirected there. */
  readonly http: Map<string, string>
  /** Certificates by the name that is asked for. */
  /** Where clients put files that are served under any name. */
  readonly webroot: string
  readonly alpn: Map<string, { readonly key: string | Buffer; readonly cert: string | Buffer }>
  readonly dnsPort: number
  readonly httpPort: number
  readonly tlsPort: number
}

/** Names that all lead to this machine, and servers there that answer challenges. */
export async function openChallenges(): Promise<Challenges> {
  const txt = new Map<string, readonly string[]>()
  const http = new Map<string, string>()
  const alpn = new Map<string, { key: string | Buffer; cert: string | Buffer }>()
  const dnsPort = await openNames(txt)
  const webroot = await openFolder()
  const inFile = (url: string) =>
    /^\/\.well-known\/acme-challenge\/[\w-]+$/.test(url)
      ? readFile(join(webroot, url), 'utf8').catch(() => undefined)
      : undefined
  const plain = createServer(async ({ url = '', headers: { host = '' } }, response) => {
    const body = http.get(`${host.replace(/:\d+$/, '')}${url}`) ?? (await inFile(url))
    const [, location] = /^->(.*)$/s.exec(body ?? '') ?? []
    if (location !== undefined) response.writeHead(302, { location }).end()
    else response.writeHead(body === undefined ? 404 : 200).end(body)
  })
  const secure = createTlsServer({
    SNICallback: (name, done) => {
      const found = alpn.get(name)
      done(null, found && createSecureContext(found))
    },
    ALPNCallback: ({ protocols }) => protocols.find((each) => each === 'acme-tls/1'),
  })
  secure.on('tlsClientError', () => undefined)
  const portOf = async (server: typeof plain | typeof secure) => {
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    after(() => server.close())
    return (server.address() as AddressInfo).port
  }
  const [httpPort, tlsPort] = [await portOf(plain), await portOf(secure)]
  return { txt, http, webroot, alpn, dnsPort, httpPort, tlsPort }
}

/** A DNS server (RFC 1035 4.1) that knows TXT records by name, and 127.0.0.1 for every name. */
async function openNames(txt: Map<string, readonly string[]>): Promise<number> {
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const labels: string[] = []
    let at = 12
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.subarray(at + 1, at + 1 + length).toString('latin1'))
      at += length + 1
    }
    const question = query.subarray(12, at + 5)
    const type = query.readUInt16BE(at + 1)
    const name = labels.join('.').toLowerCase()
    const [a, text] = [1, 16]
    const found =
      type === a
        ? [Buffer.from([127, 0, 0, 1])]
        : type === text
          ? (txt.get(name) ?? []).map((one) =>
              Buffer.concat([Buffer.of(one.length), Buffer.from(one)]),
            )
          : []
    const head = Buffer.alloc(12)
    query.copy(head, 0, 0, 2)
    head.writeUInt16BE(type === text && !txt.has(name) ? 0x8183 : 0x8180, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(found.length, 6)
    const answers = found.map((data) => {
      const record = Buffer.alloc(12)
      record.writeUInt16BE(0xc00c, 0)
      record.writeUInt16BE(type, 2)
      record.writeUInt16BE(1, 4)
      record.writeUInt16BE(data.length, 10)
      return Buffer.concat([record, data])
    })
    socket.send(Buffer.concat([head, question, ...answers]), port, address)
  })
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done))
  after(() => socket.close())
  return socket.address().port
}

/** An API with an authority `issuing` below a root, a tenant `shop` (shop.test), another one (other.test), and a world in which challenges are
 *  looked for; `more` of its settings may differ. */
export async function openAcme(more: Partial<AcmeSettings> = {}) {
  // Before all that it works on is closed.
  let worker: Worker | undefined
  after(() => worker?.stop())
  const challenges = await openChallenges()
  const { dnsPort, httpPort, tlsPort } = challenges
  const acme = {
    ...{ httpPort, tlsPort, resolvers: [`127.0.0.1:${dnsPort}`] },
    ranges: ['127.0.0.0/8'],
    ...more,
  }
  const all = await openTestApi({}, { acme })
  const { ctx, url } = all
  worker = await startWorker(ctx, 2)
  const subject = { commonName: 'acme root' }
  await createAuthority(ctx, admin, { name: 'root', kind: 'root', subject })
  await createAuthority(ctx, admin, {
    ...{ name: 'issuing', kind: 'intermediate', parent: 'root' },
    subject: { commonName: 'acme issuing' },
  })
  const own = { defaultAuthority: 'issuing' }
  await createTenant(ctx, admin, { ...own, name: 'shop', domains: ['shop.test'] })
  await createTenant(ctx, admin, { ...own, name: 'other', domains: ['other.test'] })
  let made = 0
  const keyFor = async (asked: Partial<NewAcmeKey> = {}, tenant = 'shop') => {
    const request = { name: `acme-${made++}`, ...asked }
    const { id, hmacKey } = await createAcmeKey(ctx, admin, { tenant, request })
    return { kid: id, hmacKey }
  }
  return { ...all, challenges, keyFor, directoryUrl: `${url}/acme/issuing/directory` }
}

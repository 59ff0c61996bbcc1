import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after } from 'node:test'
import { opensslBytes } from './openssl.ts'

/** What is answered in place of what a CA should; `lost`: it does what was asked, and its answer never comes. */
export type Twist =
  | 'lost'
  | {
      readonly status?: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: unknown
    }

/** A request to it: the path below its URL, and what is in the JWS. */
export type Asked = {
  readonly path: string
  // biome-ignore lint/suspicious/noExplicitAny: what is asked is what the tests are about
  readonly payload: any
  // biome-ignore lint/suspicious/noExplicitAny: the same
  readonly header: any
}

type Order = {
  readonly names: readonly string[]
  status: string
  certificate?: string
  authorizations: string[]
}

/** Keys and certificates of a CA of a moment, made by openssl; `names` are what the leaf is for. */
export function makeCa(commonName: string) {
  const config = `[req]\nprompt=no\ndistinguished_name=d\nx509_extensions=e\n[d]\nCN=${commonName}\n[e]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n`
  const both = opensslBytes(
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-days', '3650', '-config', 'c.cnf', '-keyout', 'ca.pem', '-out', 'out.pem'],
    ],
    { 'c.cnf': config },
    'ca.pem',
  ).toString()
  const pem = opensslBytes(
    [
      ...['req', '-x509', '-key', 'ca.pem', '-days', '3650', '-config', 'c.cnf'],
      ...['-out', 'out.pem'],
    ],
    { 'ca.pem': both, 'c.cnf': config },
    'out.pem',
  ).toString()
  /** A certificate for a request in DER, with these lines of extensions. */
  const sign = (csr: Buffer, lines: string, days = 60): string =>
    opensslBytes(
      [
        ...['x509', '-req', '-inform', 'DER', '-in', 'r.der', '-CA', 'ca.pem', '-CAkey', 'k.pem'],
        ...['-days', `${days}`, '-extfile', 'e.cnf', '-out', 'leaf.pem'],
      ],
      { 'r.der': csr, 'ca.pem': pem, 'k.pem': both, 'e.cnf': lines },
      'leaf.pem',
    ).toString()
  /** A key, and a certificate of it for 127.0.0.1. */
  const serverOf = () => {
    const key = opensslBytes(
      ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', 'k.pem'],
      {},
      'k.pem',
    )
    const csr = opensslBytes(
      [...['req', '-new', '-key', 'k.pem', '-subj', '/CN=s', '-outform', 'DER', '-out', 'r.der']],
      { 'k.pem': key },
      'r.der',
    )
    return { key, cert: sign(csr, 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n') }
  }
  /** A request of a key that nobody has any more. */
  const request = opensslBytes(
    [
      ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-subj', '/CN=s', '-keyout', 'k.pem', '-outform', 'DER', '-out', 'r.der'],
    ],
    {},
    'r.der',
  )
  return { pem, sign, serverOf, request }
}

/** The extensions of a leaf for these names. */
export function leafLines(names: readonly string[]): string {
  const dns = names.map((name) => `DNS:${name}`).join(',')
  return `subjectAltName=${dns}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\n`
}

/** A CA that answers by script: a real HTTPS server that speaks as much of ACME (RFC 8555) as a client needs, all names
 *  proved before, and that does something else where `script.twist` says so. It believes every signature. */
export async function openScriptedCa() {
  const ca = makeCa('a scripted CA')
  const script: {
    twist: (asked: Asked) => Twist | undefined
    /** Called when a request was done and is not answered yet. */
    done: (asked: Asked) => void
    /** What a leaf is made into. */
    issue: (csr: Buffer, names: readonly string[]) => string
    /** Whether names have to be proved, and what is found when it is to look. */
    proofs: boolean
    verdict: 'valid' | 'invalid'
  } = {
    twist: () => undefined,
    done: () => undefined,
    issue: (csr, names) => ca.sign(csr, leafLines(names)) + ca.pem,
    proofs: false,
    verdict: 'valid',
  }
  const calls: string[] = []
  const orders: Order[] = []
  const proved = new Map<string, string>()
  let nonces = 0
  let at = ''

  function orderView(id: number) {
    const { names, status, certificate, authorizations } = orders[id] as Order
    return {
      ...{ status, identifiers: names.map((value) => ({ type: 'dns', value })) },
      ...{ finalize: `${at}/finalize/${id}`, authorizations },
      ...(certificate === undefined ? {} : { certificate: `${at}/certificate/${id}` }),
    }
  }

  function normal({ path, payload }: Asked): Exclude<Twist, 'lost'> {
    const [, what, id = ''] = path.split('/')
    const order = orders[Number(id)]
    switch (what) {
      case 'account':
        return { body: { status: 'valid', orders: `${at}/orders` } }
      case 'newAccount':
        return { status: 201, headers: { location: `${at}/account/1` }, body: { status: 'valid' } }
      case 'orders':
        return { body: { orders: orders.map((_, index) => `${at}/order/${index}`) } }
      case 'newOrder': {
        const names = payload.identifiers.map(({ value }: { value: string }) => value)
        const authorizations = names.map((name: string) => `${at}/authz/${name}`)
        const status = script.proofs ? 'pending' : 'ready'
        for (const name of names) if (proved.get(name) === 'invalid') proved.delete(name)
        const next = orders.push({ names, status, authorizations }) - 1
        const headers = { location: `${at}/order/${next}` }
        return { status: 201, headers, body: orderView(next) }
      }
      case 'order':
        if (order?.status === 'pending') {
          const found = order.names.map((name) => proved.get(name))
          if (found.every((each) => each === 'valid')) order.status = 'ready'
        }
        return { body: orderView(Number(id)) }
      case 'authz': {
        const status = script.proofs ? (proved.get(id) ?? 'pending') : 'valid'
        const challenges = ['http-01', 'dns-01'].map((type) => ({
          ...{ type, url: `${at}/challenge/${id}`, token: 'T'.repeat(43), status },
          ...(status === 'invalid'
            ? { error: { type: 'urn:ietf:params:acme:error:dns', detail: 'no such record' } }
            : {}),
        }))
        return { body: { status, identifier: { type: 'dns', value: id }, challenges } }
      }
      case 'challenge':
        proved.set(id, script.verdict)
        return { body: { type: 'http-01', status: 'processing', url: `${at}${path}` } }
      case 'finalize':
        if (order && order.status === 'ready') {
          order.status = 'valid'
          order.certificate = script.issue(Buffer.from(payload.csr, 'base64url'), order.names)
        }
        return { body: orderView(Number(id)) }
      case 'certificate':
        return {
          headers: { 'content-type': 'application/pem-certificate-chain' },
          body: order?.certificate ?? '',
        }
      default:
        return { body: {} }
    }
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const text = Buffer.concat(parts).toString()
    const jws = text === '' ? {} : JSON.parse(text)
    const decoded = (part: string | undefined) =>
      part ? JSON.parse(Buffer.from(part, 'base64url').toString()) : undefined
    const path = request.url ?? ''
    const asked = { path, payload: decoded(jws.payload), header: decoded(jws.protected) }
    calls.push(path)
    response.setHeader('replay-nonce', `nonce-${nonces++}`.padEnd(22, 'x'))
    const twist = script.twist(asked)
    const said = twist === undefined || twist === 'lost' ? directoryOr(asked) : twist
    script.done(asked)
    if (twist === 'lost') return void response.destroy()
    const { status = 200, headers = {}, body } = said
    const type = status >= 400 ? 'application/problem+json' : 'application/json'
    response.writeHead(status, { 'content-type': type, ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }

  function directoryOr(asked: Asked): Exclude<Twist, 'lost'> {
    if (!asked.path.startsWith('/directory')) return normal(asked)
    const names = ['newNonce', 'newAccount', 'newOrder', 'revokeCert', 'keyChange']
    return { body: Object.fromEntries(names.map((name) => [name, `${at}/${name}`])) }
  }

  const server = createServer(ca.serverOf(), (request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  at = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url: at, roots: ca.pem, ca, script, calls, orders, proved }
}

/** A refusal as ACME has it (RFC 8555 6.7). */
export function refusing(problem: string, detail: string, status = 400, more: object = {}): Twist {
  const body = { type: `urn:ietf:params:acme:error:${problem}`, detail, ...more }
  return { status, body }
}

import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

/** A key of a client, with what JWS calls it. */
export type ClientKey = {
  readonly jwk: object
  readonly alg: string
  readonly privateKey: KeyObject
}

/** A fresh key of P-256. */
export function newClientKey(): ClientKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { jwk: publicKey.export({ format: 'jwk' }), alg: 'ES256', privateKey }
}

const encoded = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** A flattened JWS over a header and a payload as they are; '' for POST-as-GET. */
export function signed(
  header: object,
  payload: unknown,
  { privateKey }: Pick<ClientKey, 'privateKey'>,
) {
  const parts = { protected: encoded(header), payload: encoded(payload) }
  const bytes = Buffer.from(`${parts.protected}.${parts.payload}`)
  const hash = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  const signature = sign(hash, bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return { ...parts, signature: signature.toString('base64url') }
}

/** An external account binding (RFC 8555 7.3.4). */
export function bound(
  { kid, hmacKey }: { readonly kid: string; readonly hmacKey: string },
  {
    jwk,
    url,
    alg = 'HS256',
  }: { readonly jwk: object; readonly url: string; readonly alg?: string },
) {
  const parts = { protected: encoded({ alg, kid, url }), payload: encoded(jwk) }
  const mac = createHmac('sha256', Buffer.from(hmacKey, 'base64url'))
  mac.update(`${parts.protected}.${parts.payload}`)
  return { ...parts, signature: mac.digest('base64url') }
}

/** What is answered, with what ACME clients look at. */
export type Answered = {
  readonly status: number
  readonly type: string
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: what is answered is what the tests are about
  readonly body: any
  readonly headers: Headers
}

/** A hand on the ACME server of an authority that can be made to ask anything. */
export function acmeHand(directoryUrl: string) {
  const root = directoryUrl.replace(/\/directory$/, '')

  async function nonce(): Promise<string> {
    const { headers } = await fetch(`${root}/new-nonce`, { method: 'HEAD' })
    return headers.get('replay-nonce') ?? ''
  }

  async function send(
    url: string,
    body: unknown,
    type = 'application/jose+json',
  ): Promise<Answered> {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': type },
      body: text,
    })
    const answer = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    const read = isJson && answer !== '' ? JSON.parse(answer) : undefined
    const { status, headers } = response
    const named = String(read?.type ?? '').replace('urn:ietf:params:acme:error:', '')
    return { status, headers, text: answer, body: read, type: named }
  }

  /** Asks by an account, or by a key where there is no account yet; `header` changes what is signed. */
  async function post(
    path: string,
    payload: unknown,
    { key, kid, header = {} }: { key: ClientKey; kid?: string; header?: object },
  ): Promise<Answered> {
    const url = path.startsWith('http') ? path : `${root}${path}`
    const who = kid === undefined ? { jwk: key.jwk } : { kid }
    const protectedHeader = { alg: key.alg, nonce: await nonce(), url, ...who, ...header }
    return send(url, signed(protectedHeader, payload, key))
  }

  /** Opens an account with a key of the tenant. */
  async function open(binding: { kid: string; hmacKey: string }, key = newClientKey()) {
    const url = `${root}/new-account`
    const externalAccountBinding = bound(binding, { jwk: key.jwk, url })
    const answer = await post('/new-account', { externalAccountBinding }, { key })
    return { key, kid: answer.headers.get('location') ?? '', answer }
  }

  return { root, nonce, send, post, open }
}

import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { isForbiddenAddress, safeLookup } from '../../clusters/addresses.ts'
import { bareHost } from '../../x509/names/ip.ts'

/** More than any provider answers, and little enough to be parsed at once. */
const mostOctets = 262_144

type Asking = { readonly plain: boolean; readonly signal: AbortSignal }

/** What is sent, as fetch has it; a body is text. */
type Sent = {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/** Gets JSON from a URL of an identity provider's: by TLS, unless `plain` says that it is on this machine; never
 *  from an address that is no provider's, nor by a redirect. Throws why there is none, also at the end of `signal`. */
export async function getJson(url: string, asking: Asking): Promise<unknown> {
  const response = await askProvider(url, { method: 'GET', headers: {} }, asking)
  if (response.status !== 200) {
    throw new Error(`${new URL(url).origin} answered ${response.status}`)
  }
  return response.json()
}

/** The same of any request, and whatever is answered. */
export async function askProvider(
  url: string,
  sent: Sent,
  { plain, signal }: Asking,
): Promise<Response> {
  const target = new URL(url)
  const host = bareHost(target.hostname)
  if (target.protocol !== 'https:' && !(plain && target.protocol === 'http:')) {
    throw new Error(`${target.origin} is not read without TLS`)
  }
  // Of an address no name is looked up.
  if (isForbiddenAddress(host)) throw new Error(`${host} is never connected to`)
  return answerOf(target, sent, signal)
}

function answerOf(
  target: URL,
  { method, headers: told, body }: Sent,
  signal: AbortSignal,
): Promise<Response> {
  const send = target.protocol === 'http:' ? plainRequest : tlsRequest
  return new Promise((resolve, reject) => {
    const headers = { accept: 'application/json', ...told, 'user-agent': 'gatesmith' }
    const own = { agent: false, lookup: safeLookup, maxHeaderSize: 16_384 }
    const request = send(target, { ...own, method, headers, signal }, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > mostOctets) request.destroy(new Error(`${target.origin} answers too much`))
        chunks.push(chunk)
      })
      response.on('end', () => {
        const { statusCode: status = 0, headers: given } = response
        const type = given['content-type'] ?? ''
        const bodiless = status === 204 || status === 205 || status === 304
        const text = bodiless ? null : Buffer.concat(chunks).toString()
        resolve(new Response(text, { status, headers: { 'content-type': type } }))
      })
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}

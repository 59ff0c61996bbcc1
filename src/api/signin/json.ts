import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { isForbiddenAddress, safeLookup } from '../../clusters/addresses.ts'
import { bareHost } from '../../x509/names/ip.ts'

/** More than any provider answers, and little enough to be parsed at once. */
const mostOctets = 262_144

/** Gets JSON from a URL of an identity provider's: by TLS, unless `plain` says that it is on this machine; never
 *  from an address that is no provider's, nor by a redirect. Throws why there is none, also at the end of `signal`. */
export async function getJson(
  url: string,
  { plain, signal }: { readonly plain: boolean; readonly signal: AbortSignal },
): Promise<unknown> {
  const target = new URL(url)
  const host = bareHost(target.hostname)
  if (target.protocol !== 'https:' && !(plain && target.protocol === 'http:')) {
    throw new Error(`${target.origin} is not read without TLS`)
  }
  // Of an address no name is looked up.
  if (isForbiddenAddress(host)) throw new Error(`${host} is never connected to`)
  return JSON.parse(await read(target, signal))
}

function read(target: URL, signal: AbortSignal): Promise<string> {
  const send = target.protocol === 'http:' ? plainRequest : tlsRequest
  return new Promise((resolve, reject) => {
    const headers = { accept: 'application/json', 'user-agent': 'gatesmith' }
    const options = { agent: false, lookup: safeLookup, maxHeaderSize: 16_384, headers, signal }
    const request = send(target, options, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      if (response.statusCode !== 200) {
        request.destroy(new Error(`${target.origin} answered ${response.statusCode}`))
      }
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > mostOctets) request.destroy(new Error(`${target.origin} answers too much`))
        chunks.push(chunk)
      })
      response.on('end', () => resolve(Buffer.concat(chunks).toString()))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end()
  })
}

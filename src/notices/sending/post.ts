import { lookup as resolve } from 'node:dns'
import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { type BlockList, isIP, type LookupFunction } from 'node:net'
import { isForbiddenAddress, isIn, isPrivateAddress, rangeList } from '../../clusters/addresses.ts'
import type { Config } from '../../core/config.ts'
import { oncePer } from '../../core/onceper.ts'
import { bareHost } from '../../x509/names/ip.ts'
import type { Message } from './messages.ts'

/** What came of a post: the status of the answer, or why there is none. */
export type Posted = { readonly answer: number | null; readonly error: string | null }

const timeoutMilliseconds = 10_000

/** Posts JSON to a URL of a tenant's. Its name is looked up once, and what is connected to is what was looked at:
 *  never an address of this machine or of a private network, unless the settings name it. No redirect is
 *  followed, nothing of the answer but its status is read, and all of it takes ten seconds at most. */
export function post(config: Config, url: string, { headers, body }: Message): Promise<Posted> {
  const target = new URL(url)
  const plain = target.protocol === 'http:'
  const { fault, lookup } = connectionTo(config, target.hostname, plain)
  if (fault !== undefined) return Promise.resolve({ answer: null, error: fault })
  return new Promise((done) => {
    const send = plain ? plainRequest : tlsRequest
    const request = send(
      target,
      {
        method: 'POST',
        agent: false,
        lookup,
        signal: AbortSignal.timeout(timeoutMilliseconds),
        maxHeaderSize: 16_384,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'gatesmith',
          ...headers,
        },
      },
      (response) => {
        const answer = response.statusCode ?? 0
        response.destroy()
        const taken = answer >= 200 && answer < 300
        done({ answer, error: taken ? null : `It answered ${answer}` })
      },
    )
    request.on('error', (error) => done({ answer: null, error: failureOf(error) }))
    request.end(body)
  })
}

/** How a host is connected to, with `lookup`; `fault`: why it is not. */
export function connectionTo(
  config: Config,
  hostname: string,
  plain: boolean,
): { readonly fault?: string; readonly lookup: LookupFunction } {
  const may = (address: string) => isAllowed(config, address, plain)
  const host = bareHost(hostname)
  const lookup = lookupOf(may)
  return isIP(host) !== 0 && !may(host) ? { fault: refused(host).error, lookup } : { lookup }
}

/** Why nothing will ever be posted to this URL, as far as it tells by itself; undefined: nothing is known against
 *  it. */
export function urlFault(config: Config, url: string): string | undefined {
  const { protocol, hostname } = new URL(url)
  const plain = protocol === 'http:'
  const host = bareHost(hostname)
  const wrong =
    isIP(host) === 0 ? plain && config.noticeRanges.length === 0 : !isAllowed(config, host, plain)
  return wrong ? refused(host).error : undefined
}

const allowedRanges = oncePer<BlockList, Config>(({ noticeRanges }) => rangeList(noticeRanges))

/** Without TLS only to what the settings name. */
function isAllowed(config: Config, address: string, plain: boolean): boolean {
  if (isIn(allowedRanges(config), address)) return true
  return !plain && !isForbiddenAddress(address) && !isPrivateAddress(address)
}

function lookupOf(may: (address: string) => boolean): LookupFunction {
  return (hostname, options, done) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error) return done(error, '')
      // All of them, or a name could lead here by one and there by another.
      const wrong = found.find(({ address }) => !may(address))
      const [first] = found
      if (wrong || !first) return done(new Forbidden(refused(hostname).error), '')
      if (options.all) return done(null, found)
      done(null, first.address, first.family)
    })
  }
}

class Forbidden extends Error {
  constructor(reason: string) {
    super(reason)
  }
}

function refused(host: string) {
  return {
    answer: null,
    error: `${host} is not sent to: it is an address of a private network or of this machine, or leads to one (GATESMITH_NOTICE_RANGES), or is to be reached without TLS`,
  }
}

/** In a word: what a machine inside says is not told to those outside. */
export function failureOf(error: Error): string {
  if (error instanceof Forbidden) return error.message
  if (error.name === 'TimeoutError' || error.name === 'AbortError')
    return 'It did not answer in 10 s'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  return `It cannot be reached: ${code}`
}

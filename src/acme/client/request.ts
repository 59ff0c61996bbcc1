import { type IncomingHttpHeaders, request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { rangeList } from '../../clusters/addresses.ts'
import { connectionTo, failureOf, type Reach } from '../../clusters/outgoing.ts'
import type { Config } from '../../core/config.ts'
import { oncePer } from '../../core/onceper.ts'
import { secureContextOf } from '../../core/outgoing/securecontext.ts'
import { CaRefusal } from './refusal.ts'

const timeoutMilliseconds = 10_000
/** A chain of certificates has some kilobytes. */
const mostOctets = 262_144

/** The private networks where CAs, and what proves names to them, may be reached. */
export const caReach = oncePer<Reach, Config>(({ caRanges = [] }) => ({
  ranges: rangeList(caRanges),
  setting: 'GATESMITH_CA_RANGES',
}))

/** What is asked of a server, and by which roots in PEM it is trusted beside those that Node knows. */
export type CaQuestion = {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly trustedRoots?: string
}

export type Answer = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Asks once. Its name is looked up once, and what is connected to is what was looked at; no redirect is followed, no
 *  more than 256 KiB are read, and all of it takes ten seconds at most. Throws CaRefusal where nothing comes back. */
export function askCa(config: Config, question: CaQuestion): Promise<Answer> {
  const { url, method, headers = {}, body, trustedRoots = '' } = question
  const target = URL.parse(url)
  const plain = target?.protocol === 'http:'
  if (!target || (!plain && target.protocol !== 'https:')) {
    return Promise.reject(new CaRefusal('unreachable', 'What it gave is no URL of http or https'))
  }
  const { fault, lookup } = connectionTo(caReach(config), target.hostname, plain)
  if (fault !== undefined) return Promise.reject(new CaRefusal('unreachable', fault))
  return new Promise((resolve, reject) => {
    const fail = (error: Error) =>
      reject(new CaRefusal('unreachable', `${target.host}: ${failureOf(error)}`))
    const asked = (plain ? plainRequest : tlsRequest)(
      target,
      {
        ...{ method, agent: false, lookup, maxHeaderSize: 16_384 },
        signal: AbortSignal.timeout(timeoutMilliseconds),
        ...(trustedRoots === ''
          ? {}
          : { secureContext: secureContextOf({ trust: [trustedRoots], publicRoots: true }) }),
        headers: {
          'user-agent': 'gatesmith',
          ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
          ...headers,
        },
      },
      (response) => {
        const parts: Buffer[] = []
        let length = 0
        response.on('data', (part: Buffer) => {
          parts.push(part)
          length += part.length
          if (length <= mostOctets) return
          const why = `${target.host}: its answer is longer than ${mostOctets / 1024} KiB`
          reject(new CaRefusal('unreachable', why))
          response.destroy()
        })
        response.on('error', fail)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(parts),
          }),
        )
      },
    )
    asked.on('error', fail)
    asked.end(body)
  })
}

import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { rangeList } from '../../clusters/addresses.ts'
import { connectionTo, failureOf, type Reach } from '../../clusters/outgoing.ts'
import type { Config } from '../../core/config.ts'
import { oncePer } from '../../core/onceper.ts'
import type { Message } from '../../core/outgoing/webhook.ts'

/** What came of a post: the status of the answer, or why there is none. */
export type Posted = { readonly answer: number | null; readonly error: string | null }

const timeoutMilliseconds = 10_000

/** Posts JSON to a URL of a tenant's. Its name is looked up once, and what is connected to is what was looked at:
 *  never an address of this machine or of a private network, unless the settings name it. No redirect is
 *  followed, nothing of the answer but its status is read, and all of it takes ten seconds at most. */
export function post(config: Config, url: string, { headers, body }: Message): Promise<Posted> {
  const target = new URL(url)
  const plain = target.protocol === 'http:'
  const { fault, lookup } = connectionTo(noticeReach(config), target.hostname, plain)
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

/** The private networks that the settings let notices be sent to. */
export const noticeReach = oncePer<Reach, Config>(({ noticeRanges }) => ({
  ranges: rangeList(noticeRanges),
  setting: 'GATESMITH_NOTICE_RANGES',
}))

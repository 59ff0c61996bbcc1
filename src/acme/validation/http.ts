import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP } from 'node:net'
import type { Context } from '../../core/context.ts'
import { bareHost } from '../../x509/names/ip.ts'
import { AcmeProblem } from '../problem.ts'
import { firstThatAnswers, patience, reachableAddresses } from './reach.ts'

/** How many redirects are followed: from http to https and to another path, of the same host. */
const mostRedirects = 3
/** A key authorization has about ninety characters. */
const mostOctets = 512

/** What is looked for and where. */
export type Sought = {
  readonly value: string
  readonly token: string
  readonly keyAuthorization: string
}

/** Looks for http-01 (RFC 8555 8.3). Nothing of what another server answers is told. Throws connection, dns,
 *  incorrectResponse. */
export async function lookForHttp(ctx: Context, sought: Sought): Promise<void> {
  const { value, token, keyAuthorization } = sought
  const { httpPort } = ctx.config.acme
  const host = isIP(value) === 6 ? `[${value}]` : value
  const signal = AbortSignal.timeout(patience)
  let url = new URL(`http://${host}/.well-known/acme-challenge/${token}`)
  if (httpPort !== 80) url.port = String(httpPort)
  for (let redirects = 0; ; redirects++) {
    const { status, location, text } = await ask(ctx, url, signal)
    if (location === undefined) {
      if (status === 200 && text.trimEnd() === keyAuthorization) return
      const what = status === 200 ? 'something else' : `status ${status}`
      throw new AcmeProblem('incorrectResponse', `${shown(url)} answers ${what}`)
    }
    url = redirected(ctx, { from: url, location })
    if (redirects >= mostRedirects) {
      throw new AcmeProblem(
        'incorrectResponse',
        `${value} redirects more than ${mostRedirects} times`,
      )
    }
  }
}

function shown(url: URL): string {
  return `${url.origin}/.well-known/acme-challenge/…`
}

/** Where a redirect leads: to the same host, at a port that challenges are looked for at. */
function redirected(ctx: Context, { from, location }: { from: URL; location: string }): URL {
  const to = URL.parse(location, from.href)
  const { httpPort, tlsPort } = ctx.config.acme
  const ports: Readonly<Record<string, readonly string[]>> = {
    'http:': ['', String(httpPort)],
    'https:': ['', String(tlsPort)],
  }
  if (to && to.hostname === from.hostname && ports[to.protocol]?.includes(to.port)) return to
  throw new AcmeProblem(
    'incorrectResponse',
    `${shown(from)} redirects elsewhere: redirects are followed to the same host, at the ports of http and https`,
  )
}

type Answer = {
  readonly status: number
  readonly location: string | undefined
  readonly text: string
}

async function ask(ctx: Context, url: URL, signal: AbortSignal): Promise<Answer> {
  const addresses = await reachableAddresses(ctx, bareHost(url.hostname))
  return firstThatAnswers(addresses, async (address) => {
    const response = await open(url, address, signal)
    const { statusCode: status = 0, headers } = response
    const moved = [301, 302, 303, 307, 308].includes(status) ? headers.location : undefined
    if (moved === undefined) return { status, location: undefined, text: await begin(response) }
    response.destroy()
    return { status, location: moved, text: '' }
  })
}

function open(url: URL, address: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const tls = url.protocol === 'https:'
    const name = bareHost(url.hostname)
    const options = {
      ...{ host: address, path: `${url.pathname}${url.search}`, signal, agent: false },
      port: url.port === '' ? (tls ? 443 : 80) : url.port,
      headers: { host: url.host, 'user-agent': 'gatesmith', accept: '*/*', connection: 'close' },
      // A server that is to get its first certificate has none that anybody trusts.
      ...(tls ? { rejectUnauthorized: false, ...(isIP(name) ? {} : { servername: name }) } : {}),
    }
    const request = (tls ? requestHttps : requestHttp)(options, resolve)
    request.on('error', reject)
    request.end()
  })
}

/** The beginning of a body, as much of it as could be what is looked for. */
async function begin(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of response) {
    const octets = Buffer.from(part)
    parts.push(octets)
    length += octets.length
    if (length > mostOctets) break
  }
  response.destroy()
  return Buffer.concat(parts).toString('latin1')
}

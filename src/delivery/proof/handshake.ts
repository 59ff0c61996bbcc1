import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { secureContextOf } from '../../core/outgoing/securecontext.ts'
import {
  type Call,
  isLate,
  reason,
  type ShownTls,
  shownTls,
  timeoutMilliseconds,
  tlsOptions,
  wayTo,
} from './connection.ts'

/** When things had happened, in milliseconds since the start; null: they had not. */
export type Timings = {
  readonly connected: number | null
  readonly secured: number | null
  readonly answered: number | null
}

/** What came back. `leaf` stands as soon as the server has shown it, even if it then hangs up. */
export type HandshakeAnswer = {
  readonly tls: ShownTls | null
  readonly status: number | null
  /** Where a redirect leads. */
  readonly location: string | null
  readonly error: string | null
  /** Nothing came back in time, not even a certificate. */
  readonly late: boolean
  /** The handshake came to its end. */
  readonly finished: boolean
  /** We were let in: there is an answer, or it is waited for in vain on a connection that stays open.
   *  In TLS 1.3 a server refuses a client certificate after the handshake. */
  readonly accepted: boolean
  readonly timings: Timings
}

/** One TLS connection and one GET, as a client would make them. It never throws for what the other side
 *  does: that is the answer. Of the answer its head alone is read. */
export function shakeHands(call: Call): Promise<HandshakeAnswer> {
  const way = wayTo(call.address)
  const start = performance.now()
  const marks: Marks = { connected: null, secured: null }
  if ('fault' in way) return Promise.resolve(unasked(way.fault))
  return new Promise((resolve) => {
    let tls: ShownTls | null = null
    let staple: Buffer | null = null
    let finished = false
    const options = {
      ...way,
      ...tlsOptions(call),
      secureContext: secureContextOf(call),
      ...get(call),
    }
    const asked = request(options)
    const answer = (status: number | null, error: Error | null, location: string | null = null) => {
      const late = error !== null && isLate(error)
      const accepted = status !== null || (finished && late)
      const answered = status === null ? null : elapsed(start)
      resolve({
        tls: tls && { ...tls, staple },
        status,
        location,
        error: error && reason(error),
        late: late && tls === null,
        finished,
        accepted,
        timings: { ...marks, answered },
      })
      asked.destroy()
    }
    asked.on('socket', (socket) => {
      if (!(socket instanceof TLSSocket)) return
      socket.once('connect', () => {
        marks.connected = elapsed(start)
      })
      // In TLS 1.2 a server that misses a client certificate ends the handshake; keys are derived, and
      // its own certificate is there, just before. In TLS 1.3 it does so when the handshake is over for us.
      socket.on('keylog', () => {
        if (socket.getProtocol() !== 'TLSv1.3') tls ??= shownTls(socket, call)
      })
      socket.on('OCSPResponse', (der: Buffer | null) => {
        if (der && der.length > 0) staple = der
      })
      socket.on('secureConnect', () => {
        tls = shownTls(socket, call) ?? tls
        marks.secured = elapsed(start)
        finished = true
      })
    })
    asked.on('response', ({ statusCode, headers }) =>
      answer(statusCode ?? null, null, headers.location ?? null),
    )
    asked.on('error', (error) => answer(null, error))
    asked.end()
  })
}

type Marks = { connected: number | null; secured: number | null }

/** One plain HTTP request, as a client would make it. */
export function askPlainly(
  call: Pick<Call, 'address' | 'name' | 'path'>,
): Promise<HandshakeAnswer> {
  const way = wayTo(call.address)
  if ('fault' in way) return Promise.resolve(unasked(way.fault))
  const start = performance.now()
  const marks: Marks = { connected: null, secured: null }
  return new Promise((resolve) => {
    const asked = plainRequest({ ...way, ...get(call) })
    const answer = (status: number | null, error: Error | null, location: string | null = null) => {
      resolve({
        ...unasked(error && reason(error)),
        status,
        location,
        late: error !== null && isLate(error),
        timings: { ...marks, answered: status === null ? null : elapsed(start) },
      })
      asked.destroy()
    }
    asked.on('socket', (socket: Socket) =>
      socket.once('connect', () => {
        marks.connected = elapsed(start)
      }),
    )
    asked.on('response', ({ statusCode, headers }) =>
      answer(statusCode ?? null, null, headers.location ?? null),
    )
    asked.on('error', (error) => answer(null, error))
    asked.end()
  })
}

/** The name to ask a wildcard host by: some name under it. */
export function nameUnder(hostname: string): string {
  return hostname.replace(/^\*\./, 'gatesmith-probe.')
}

function get({ name, path = '/' }: Pick<Call, 'name' | 'path'>) {
  return {
    method: 'GET',
    path,
    headers: { host: name, 'user-agent': 'gatesmith-probe' },
    agent: false as const,
    signal: AbortSignal.timeout(timeoutMilliseconds),
  }
}

function unasked(error: string | null): HandshakeAnswer {
  return {
    tls: null,
    status: null,
    location: null,
    error,
    late: false,
    finished: false,
    accepted: false,
    timings: { connected: null, secured: null, answered: null },
  }
}

function elapsed(start: number): number {
  return Math.round((performance.now() - start) * 10) / 10
}

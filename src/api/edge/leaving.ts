import type { Server } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { oncePer } from '../../core/onceper.ts'

type Waiting = { readonly all: Set<() => void>; stopping: boolean }

/** Those who wait for something, by server. */
const waitingAt = oncePer<Waiting, Server>(() => ({ all: new Set(), stopping: false }))

/** When the server is to stop, whoever waits for something is answered first. */
export function endsWaiting(api: FastifyInstance): void {
  api.addHook('preClose', async () => {
    const waiting = waitingAt(api.server)
    waiting.stopping = true
    for (const stop of [...waiting.all]) stop()
  })
}

/** Aborted when the client of this answer is gone, or the server is to stop: there is nothing to wait for. */
export function leavingOf(reply: FastifyReply): AbortSignal {
  const { all, stopping } = waitingAt(reply.server.server)
  const leaving = new AbortController()
  const stop = () => {
    // Or the connection would stay open, for a request that nobody answers.
    if (!reply.raw.headersSent) reply.header('connection', 'close')
    leaving.abort()
  }
  if (stopping) stop()
  all.add(stop)
  reply.raw.once('close', () => {
    all.delete(stop)
    leaving.abort()
  })
  return leaving.signal
}

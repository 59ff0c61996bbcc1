import type { Server } from 'node:http'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { oncePer } from '../../core/onceper.ts'

type Waiting = { readonly all: Set<AbortController>; stopping: boolean }

/** Those who wait for something, by server. */
const waitingAt = oncePer<Waiting, Server>(() => ({ all: new Set(), stopping: false }))

/** When the server is to stop, whoever waits for something is answered first. */
export function endsWaiting(api: FastifyInstance): void {
  api.addHook('preClose', async () => {
    const waiting = waitingAt(api.server)
    waiting.stopping = true
    for (const one of [...waiting.all]) one.abort()
  })
}

/** Aborted when the client of this answer is gone, or the server is to stop: there is nothing to wait for. */
export function leavingOf(reply: FastifyReply): AbortSignal {
  const { all, stopping } = waitingAt(reply.server.server)
  const leaving = new AbortController()
  if (stopping) leaving.abort()
  all.add(leaving)
  reply.raw.once('close', () => {
    all.delete(leaving)
    leaving.abort()
  })
  return leaving.signal
}

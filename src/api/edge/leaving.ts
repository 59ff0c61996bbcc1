import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { oncePer } from '../../core/onceper.ts'

type Waiting = { readonly all: Set<() => void>; stopping: boolean }

/** Those who wait for something, by server. */
const waitingAt = oncePer<Waiting, Server>(() => ({ all: new Set(), stopping: false }))

/** For what a client has sent already to be read. */
const silenceMilliseconds = 1_000

/** When the server is to stop, whoever waits for something is answered first; and connections on which nothing was ever
 *  asked for are ended, which Node holds for busy ones. */
export function endsWaiting(api: FastifyInstance): void {
  const silent = new Set<Duplex>()
  api.server.on('connection', (socket) => {
    silent.add(socket)
    socket.once('close', () => silent.delete(socket))
  })
  api.server.on('request', ({ socket }) => void silent.delete(socket))
  api.addHook('preClose', async () => {
    const waiting = waitingAt(api.server)
    waiting.stopping = true
    for (const stop of [...waiting.all]) stop()
    setTimeout(() => {
      for (const socket of silent) socket.destroy()
    }, silenceMilliseconds).unref()
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

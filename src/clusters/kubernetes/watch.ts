import type { IncomingMessage } from 'node:http'
import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'
import type { Kind } from './kinds.ts'
import { KubeError, KubeObject, type WatchEvent } from './kube.ts'

/** After how long a cluster is asked to end a watch; one that has not ended by itself half a minute after
 *  that has gone silent. */
export const watchSeconds = 290
const graceMilliseconds = 30_000
/** An object is at most 3 MiB as it is sent to the API server, and more with its managed fields. */
const lineLimit = 8 * 1024 * 1024

/** What a watch tells, a line for each event, read no faster than the events are taken. */
export async function* watchEvents(
  kind: Kind,
  message: IncomingMessage,
): AsyncIterable<WatchEvent> {
  const silent = setTimeout(
    () => message.destroy(new Error('the watch has gone silent')),
    watchSeconds * 1000 + graceMilliseconds,
  )
  try {
    for await (const line of linesOf(message)) yield eventOf(kind, line)
  } finally {
    clearTimeout(silent)
    message.destroy()
  }
}

async function* linesOf(message: IncomingMessage): AsyncIterable<string> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of chunksOf(message)) {
    let rest = chunk
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = Buffer.concat([...parts, rest.subarray(0, end)])
      parts = []
      size = 0
      rest = rest.subarray(end + 1)
      if (line.length > 0) yield line.toString('utf8')
    }
    size += rest.length
    if (size > lineLimit) throw new KubeError('unavailable', 'An event of a watch is too large')
    if (rest.length > 0) parts.push(rest)
  }
}

async function* chunksOf(message: IncomingMessage): AsyncIterable<Buffer> {
  try {
    for await (const chunk of message) yield chunk
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'no reason is known'
    throw new KubeError('unreachable', `A watch of the Kubernetes API was lost: ${why}`, { cause })
  }
}

const Told = Type.Object({
  type: Type.String(),
  object: Type.Record(Type.String(), Type.Unknown()),
})
const Marked = Type.Object({ metadata: Type.Object({ resourceVersion: Type.String() }) })
const Failure = Type.Object({
  code: Type.Optional(Type.Integer()),
  message: Type.Optional(Type.String()),
})

function eventOf({ apiVersion, kind }: Kind, line: string): WatchEvent {
  const told = parsed(line)
  if (!conforms(Told, told)) throw unreadable()
  const { type } = told
  // That a version is not kept any more is told inside an answer that began well.
  if (type === 'ERROR') throw failure(told.object)
  if (!conforms(Marked, told.object)) throw unreadable()
  const { resourceVersion } = told.object.metadata
  if (type === 'BOOKMARK') return { type, resourceVersion, object: undefined }
  const object = { ...told.object, apiVersion, kind }
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') throw unreadable()
  if (!conforms(KubeObject, object)) throw unreadable()
  return { type, resourceVersion, object }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new KubeError('unavailable', 'An event of a watch is cut off', { cause })
  }
}

function failure(status: unknown): KubeError {
  const { code, message } = conforms(Failure, status) ? status : {}
  const said = (message ?? 'no reason is given').slice(0, 2000)
  return new KubeError(code === 410 ? 'expired' : 'unavailable', `The watch has ended: ${said}`)
}

function unreadable(): KubeError {
  return new KubeError('unavailable', 'A watch tells something that is no event')
}

import type { ServerResponse } from 'node:http'
import { amend, type Fields, fields, type Json } from '../json.ts'
import { apiVersion, resourceName } from '../kinds.ts'
import type { Change, Store } from '../store.ts'
import type { Target } from './requests.ts'
import type { Selector } from './selectors.ts'
import { expired } from './status.ts'

/** How a watch was asked for. */
export type WatchOptions = {
  readonly target: Target
  readonly selected: Selector
  readonly query: URLSearchParams
  readonly show: (object: Fields) => Json
}

/** Streams changes as one JSON event per line until the client leaves or timeoutSeconds have passed.
 *  Without a resourceVersion (or 0) the present objects come first. Throws 410 for one whose changes
 *  are not kept any more. */
export function startWatch(store: Store, response: ServerResponse, options: WatchOptions): void {
  const { query, target, selected, show } = options
  const from = Number(query.get('resourceVersion') ?? 0)
  const initial = from === 0 || query.get('sendInitialEvents') === 'true'
  const missed = initial ? [] : store.since(from)
  if (!missed) throw expired(from, store.revision())
  response.writeHead(200, {
    'content-type': 'application/json',
    'cache-control': 'no-cache, private',
  })
  response.flushHeaders()
  const send = (type: string, object: Json) =>
    response.write(`${JSON.stringify({ type, object })}\n`)
  const told = new Set<number>()
  const hear = (change: Change): void => {
    if (change.resource !== resourceName(target.kind) || told.has(change.revision)) return
    const event = seen(change, target.namespace, selected)
    if (event) send(event, show(change.object))
  }
  const revision = store.revision()
  if (initial) {
    const of = target.namespace || undefined
    for (const object of store.list(target.kind, of))
      if (selected(object)) send('ADDED', show(object))
  }
  for (const change of missed) hear(change)
  if (query.get('sendInitialEvents') === 'true') send('BOOKMARK', bookmark(target, revision))
  // What was listed above may not be on disk yet, and would then be heard again.
  const leave = store.watch((change) => {
    if (!initial || change.revision > revision) hear(change)
  })
  const seconds = Number(query.get('timeoutSeconds') ?? 0) || 1800
  const timer = setTimeout(() => response.end(), seconds * 1000)
  timer.unref()
  response.once('close', () => {
    clearTimeout(timer)
    leave()
  })
}

function seen(change: Change, namespace: string, selected: Selector): string | undefined {
  const { type, object, before } = change
  if (namespace && fields(object, 'metadata').namespace !== namespace) return undefined
  const was = before !== undefined && selected(before)
  if (type === 'DELETED') return was ? 'DELETED' : undefined
  const is = selected(object)
  if (is) return was ? 'MODIFIED' : 'ADDED'
  return was ? 'DELETED' : undefined
}

function bookmark({ kind, version }: Target, revision: number): Fields {
  const annotations = { 'k8s.io/initial-events-end': 'true' }
  const metadata = { resourceVersion: String(revision), annotations }
  return amend({ kind: kind.kind, metadata }, { apiVersion: apiVersion(kind.group, version) })
}

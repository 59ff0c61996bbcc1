import type { ServerResponse } from 'node:http'
import { amend, type Fields, fields, type Json } from '../json.ts'
import { apiVersion, resourceName } from '../kinds.ts'
import type { Change, Store } from '../store.ts'
import type { Target } from './requests.ts'
import type { Selector } from './selectors.ts'
import { expired, refusal } from './status.ts'

/** How a watch was asked for. */
export type WatchOptions = {
  readonly target: Target
  readonly selected: Selector
  readonly query: URLSearchParams
  readonly show: (object: Fields) => Json
}

/** How often a watcher that asks for bookmarks is told how far the store has come. */
const bookmarkMilliseconds = 60_000

/** Streams changes as one JSON event per line until the client leaves or timeoutSeconds have passed.
 *  Without a resourceVersion (or 0) the present objects come first. For one whose changes are not kept any
 *  more the only event is an ERROR of 410, as the API server does it; one that is yet to come is waited
 *  for in silence. */
export function startWatch(store: Store, response: ServerResponse, options: WatchOptions): void {
  const { query, target, selected, show } = options
  const from = revisionOf(query)
  const initial = from === 0 || query.get('sendInitialEvents') === 'true'
  const missed = initial ? [] : store.since(from)
  response.writeHead(200, {
    'content-type': 'application/json',
    'cache-control': 'no-cache, private',
  })
  response.flushHeaders()
  const send = (type: string, object: Json) =>
    response.write(`${JSON.stringify({ type, object })}\n`)
  if (!missed) {
    send('ERROR', expired(from, store.revision()).status)
    response.end()
    return
  }
  // What was listed may not be on disk yet, and is heard of after that.
  let told = initial ? store.revision() : from
  const hear = (change: Change): void => {
    if (change.revision <= told) return
    told = change.revision
    if (change.resource !== resourceName(target.kind)) return
    const event = seen(change, target.namespace, selected)
    if (event) send(event, show(change.object))
  }
  if (initial) {
    const of = target.namespace || undefined
    for (const object of store.list(target.kind, of))
      if (selected(object)) send('ADDED', show(object))
  }
  if (query.get('sendInitialEvents') === 'true') send('BOOKMARK', bookmark(target, told, true))
  for (const change of missed) hear(change)
  const leave = store.watch(hear)
  const seconds = Number(query.get('timeoutSeconds') ?? 0) || 1800
  const timers = [setTimeout(() => response.end(), seconds * 1000)]
  if (query.get('allowWatchBookmarks') === 'true') {
    timers.push(setInterval(() => send('BOOKMARK', bookmark(target, told)), bookmarkMilliseconds))
  }
  for (const timer of timers) timer.unref()
  response.once('close', () => {
    for (const timer of timers) clearTimeout(timer)
    leave()
  })
}

function revisionOf(query: URLSearchParams): number {
  const written = query.get('resourceVersion') ?? ''
  if (/^\d*$/.test(written)) return Number(written)
  const why = `strconv.ParseUint: parsing ${JSON.stringify(written)}: invalid syntax`
  throw refusal(500, '', `resourceVersion: Invalid value: ${JSON.stringify(written)}: ${why}`)
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

function bookmark({ kind, version }: Target, revision: number, first = false): Fields {
  const annotations = first ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}
  const metadata = { resourceVersion: String(revision), ...annotations }
  return amend({ kind: kind.kind, metadata }, { apiVersion: apiVersion(kind.group, version) })
}

import { setTimeout as wait } from 'node:timers/promises'
import type { Kind } from './kinds.ts'
import { type Kube, KubeError, type KubeObject, type Where } from './kube.ts'

/** What is followed: the objects of a kind that are there. */
export type Source = { readonly kind: Kind } & Where

/** How a source is followed: told at once; asked for again and again, since the credentials allow no
 *  `watch`; or not at all, since they allow no `list` either or the kind is not served. */
export type Mode = 'watching' | 'listing' | 'blind'

/** Who is told of a source. */
export type Sink = {
  /** All that is there, page by page. What it throws has the list begin anew. */
  readonly listed: (pages: AsyncIterable<readonly KubeObject[]>) => Promise<void>
  /** One object was added, changed or removed. The next event is read when this is done. */
  readonly changed: (object: KubeObject, gone: boolean) => Promise<void>
  /** How the source is followed from now on, and what the cluster said where it is not watched. */
  readonly mode: (mode: Mode, why: string | null) => void
  /** Something went wrong, and is tried again. */
  readonly failed: (error: unknown) => void
}

/** How often all is listed: while nothing is missed, and where there is no watch. A connection that was
 *  lost may have been to a cluster that is restored from a backup meanwhile: then all is listed again, but
 *  not more often than this. In milliseconds. */
export type Pace = {
  readonly compare: number
  readonly list: number
  readonly relist: number
  /** Between attempts, the longer the more often they fail. */
  readonly retry: readonly [least: number, most: number]
}

const usualPace: Pace = { compare: 600_000, list: 30_000, relist: 10_000, retry: [250, 30_000] }

/** Follows a source until `signal`: lists it, watches from there on, goes on by resourceVersion where a
 *  watch ends in good order, and lists again where something may have been missed. Never throws. */
export async function reflect(
  kube: Kube,
  { kind, ...where }: Source,
  sink: Sink,
  { signal, pace = usualPace }: { readonly signal: AbortSignal; readonly pace?: Pace },
): Promise<void> {
  let from: string | undefined
  let listedAt = Number.NEGATIVE_INFINITY
  let failures = 0

  async function list(): Promise<string> {
    let version = ''
    async function* objects() {
      for await (const page of kube.pages(kind, where)) {
        version = page.resourceVersion
        yield page.objects
      }
    }
    const begun = performance.now()
    await sink.listed(objects())
    listedAt = begun
    return version
  }

  async function watch(resourceVersion: string): Promise<void> {
    from = resourceVersion
    const events = await kube.watch(kind, { ...where, resourceVersion, signal })
    sink.mode('watching', null)
    for await (const event of events) {
      if (event.object) await sink.changed(event.object, event.type === 'DELETED')
      from = event.resourceVersion
      failures = 0
    }
    failures = 0
  }

  /** Answers how long to wait. */
  function afterFailure(error: unknown): number {
    const fault = error instanceof KubeError ? error.fault : undefined
    if (fault === 'expired') from = undefined
    else if (performance.now() - listedAt > pace.relist) from = undefined
    if (fault === 'forbidden' || fault === 'unsupported') {
      const why = error instanceof KubeError ? error.message : ''
      const isListed = performance.now() - listedAt < pace.list
      sink.mode(isListed ? 'listing' : 'blind', why)
      from = undefined
      return pace.list
    }
    if (fault !== 'expired' || failures > 0) sink.failed(error)
    const [least, most] = pace.retry
    return fault === 'expired' && failures++ === 0 ? 0 : Math.min(most, least * 2 ** failures++)
  }

  while (!signal.aborted) {
    try {
      if (performance.now() - listedAt > pace.compare) from = undefined
      await watch(from ?? (await list()))
    } catch (error) {
      if (signal.aborted) return
      const delay = afterFailure(error)
      await wait(delay * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => undefined)
    }
  }
}

import type { Kind } from './kinds.ts'
import { type Kube, KubeError, type KubeObject } from './kube.ts'

/** Istio before 1.22 serves its kinds as v1beta1 alone, with the same schema (istio.md 4). */
const [newest, older] = ['networking.istio.io/v1', 'networking.istio.io/v1beta1'] as const

/** How long a kind that was found to be served in the older version alone is asked for in it. */
const memoryMilliseconds = 10 * 60_000

/** Which version of a kind of Istio is spoken to the cluster. */
function versionsOf(kube: Kube) {
  const until = new Map<string, number>()

  /** The version to speak first. */
  function spoken({ apiVersion, kind }: Kind): string {
    const known = apiVersion === newest && (until.get(kind) ?? 0) > performance.now()
    return known ? older : apiVersion
  }

  /** The version to speak after `error` in `version`; throws it where there is none. */
  async function next({ apiVersion, kind }: Kind, version: string, error: unknown) {
    const unserved = error instanceof KubeError && error.fault === 'unsupported'
    if (apiVersion !== newest || !unserved) throw error
    if (version === older) {
      until.delete(kind)
      return newest
    }
    const [now = [], before = []] = await Promise.all([kube.served(newest), kube.served(older)])
    if (now.includes(kind) || !before.includes(kind)) throw error
    until.set(kind, performance.now() + memoryMilliseconds)
    return older
  }

  async function speaking<T>(kind: Kind, work: (version: string) => Promise<T>): Promise<T> {
    const version = spoken(kind)
    try {
      return await work(version)
    } catch (error) {
      return work(await next(kind, version, error))
    }
  }

  return { spoken, next, speaking }
}

/** The same cluster, whose kinds of Istio are asked for as v1 and spoken of as v1beta1 where that is all that is
 *  served. It costs a question only where v1 is refused. */
export function inServedVersion(kube: Kube): Kube {
  const { spoken, next, speaking } = versionsOf(kube)
  return {
    ...kube,
    get: (ref) =>
      speaking(ref, async (apiVersion) => {
        const found = await kube.get({ ...ref, apiVersion })
        return found && as(ref, found)
      }),
    list: (kind, where) =>
      speaking(kind, async (apiVersion) => {
        const found = await kube.list({ ...kind, apiVersion }, where)
        return found.map((object) => as(kind, object))
      }),
    async *pages(kind, where) {
      let apiVersion = spoken(kind)
      // Once: two versions, each of which is refused, would be asked for in turns for good.
      let decided = false
      for (;;) {
        try {
          for await (const page of kube.pages({ ...kind, apiVersion }, where)) {
            decided = true
            yield { ...page, objects: page.objects.map((object) => as(kind, object)) }
          }
          return
        } catch (error) {
          if (decided) throw error
          apiVersion = await next(kind, apiVersion, error)
          decided = true
        }
      }
    },
    watch: (kind, where) =>
      speaking(kind, async (apiVersion) => {
        const events = await kube.watch({ ...kind, apiVersion }, where)
        return eventsIn(kind, events)
      }),
    apply: (object, options) =>
      speaking(object, (apiVersion) => kube.apply({ ...object, apiVersion }, options)),
    rehearse: (object, options) =>
      speaking(object, async (apiVersion) => {
        const made = await kube.rehearse({ ...object, apiVersion }, options)
        return { ...made, object: as(object, made.object) }
      }),
    remove: (ref, options) =>
      speaking(ref, (apiVersion) => kube.remove({ ...ref, apiVersion }, options)),
  }
}

function as({ apiVersion }: Kind, object: KubeObject): KubeObject {
  return object.apiVersion === older && apiVersion === newest ? { ...object, apiVersion } : object
}

async function* eventsIn(kind: Kind, events: Awaited<ReturnType<Kube['watch']>>) {
  for await (const event of events) {
    yield { ...event, object: event.object && as(kind, event.object) }
  }
}

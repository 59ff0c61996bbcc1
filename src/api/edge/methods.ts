import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from '../../shared/problem.ts'

type Served = {
  readonly text: string
  readonly pattern: RegExp
  readonly methods: readonly string[]
}

/** Has every request that no route takes refused before its body is read: by method-unsupported and
 *  Allow where its path is served otherwise (RFC 9110 15.5.6), else by route-unknown. Knows the routes
 *  that are registered afterwards. */
export function refusesUnserved(api: FastifyInstance): void {
  const served: Served[] = []
  api.addHook('onRoute', ({ url, method }) => {
    served.push({ text: url, pattern: patternOf(url), methods: [method].flat() })
  })
  api.addHook('onRequest', async (request, reply) => {
    if (request.is404) throw refusal(served, request, reply)
  })
  // What a plugin finds out later, as that there is no such file.
  api.setNotFoundHandler((request, reply) => {
    throw refusal(served, request, reply)
  })
}

function refusal(
  served: readonly Served[],
  { method, url }: FastifyRequest,
  reply: FastifyReply,
): Problem {
  const [path = ''] = url.split('?')
  const matching = served.filter(({ pattern }) => pattern.test(path))
  // Where a name could stand that is a word of ours, the word is meant.
  const exact = matching.filter(({ text }) => text === path)
  const allowed = new Set((exact.length > 0 ? exact : matching).flatMap(({ methods }) => methods))
  const shown = url.length > 200 ? `${url.slice(0, 200)}…` : url
  if (allowed.size === 0 || allowed.has(method)) {
    return new Problem('route-unknown', `${method} ${shown} is not served; see /docs`)
  }
  const allow = [...allowed].sort().join(', ')
  reply.header('allow', allow)
  return new Problem('method-unsupported', `${shown} answers to ${allow}`)
}

/** The paths of a route as Fastify writes them: `:name` is one part, `::` a colon, `*` all the rest. */
function patternOf(url: string): RegExp {
  const parts = url.match(/::|:[A-Za-z]\w*|\*|[^:*]+/g) ?? []
  const pattern = parts.map((part) => {
    if (part === '::') return ':'
    if (part === '*') return '.*'
    return part.startsWith(':') ? '[^/]+' : part.replace(/[.\\+?^${}()|[\]]/g, '\\$&')
  })
  return new RegExp(`^${pattern.join('')}$`)
}

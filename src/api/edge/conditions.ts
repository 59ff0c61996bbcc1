import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { canonical } from '../../core/canonical.ts'
import type { Precondition } from '../../core/refusal.ts'
import { Problem } from '../../shared/problem.ts'
import { isRecord } from '../../shared/shape.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route itself looks at If-Match and its kin. */
    readonly conditional?: boolean
    /** Its answer has an entity tag; these members of it are what a write can change. */
    readonly versioned?: readonly string[]
  }
}

/** Conditions under which alone a request is to be done (RFC 9110 13.1). */
const conditions = ['if-match', 'if-unmodified-since'] as const

/** The same, where something is changed; a reading without them reads what is there. */
const writeConditions = [...conditions, 'if-none-match', 'if-modified-since'] as const

/** Those that are held against entity tags. */
const byTag: readonly string[] = ['if-match', 'if-none-match']

/** Refuses what would change the meaning of a request and is not done here, rather than do another
 *  request than the one that was sent. Throws precondition-refused, media-type-unsupported,
 *  request-malformed. */
export async function refuseUnread(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const { headers, method, routeOptions } = request
  const { conditional = false, versioned } = routeOptions.config
  const reads = method === 'GET' || method === 'HEAD'
  const found = (reads ? conditions : writeConditions)
    .filter((name) => versioned === undefined || !byTag.includes(name))
    .find((name) => headers[name] !== undefined)
  if (found !== undefined && !conditional) {
    throw new Problem(
      'precondition-refused',
      `Nothing here has an entity tag or a date to hold ${found} against: send it without`,
    )
  }
  const coding = headers['content-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') {
    reply.header('accept-encoding', 'identity')
    throw new Problem(
      'media-type-unsupported',
      'Send the body as it is, without a content-encoding',
    )
  }
  if (!reads && headers['content-range'] !== undefined) {
    throw new Problem('request-malformed', 'A part is not taken for the whole: no content-range')
  }
}

/** Has the answers of routes that are `versioned` bear a strong entity tag (RFC 9110 8.8.3), and a reading end
 *  with 304 where the client has what is there. A tag has two parts: what can be written, which writes are held
 *  against, and the whole answer: what becomes of a host must not fail the next write to it. */
export function tagsAnswers(api: FastifyInstance): void {
  api.addHook('preSerialization', async (request, reply, answer: unknown) => {
    const { versioned } = request.routeOptions.config
    if (versioned === undefined || reply.statusCode >= 300 || !isRecord(answer)) return answer
    const etag = `${versionOf(answer, versioned)}.${digest(JSON.stringify(answer))}`
    reply.header('etag', `"${etag}"`)
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer
    reply.header('cache-control', 'private, no-cache')
    const match = tagsIn(request, 'if-match')
    if (match && !match.some(({ text, weak }) => text === '*' || (text === etag && !weak))) {
      throw failed()
    }
    const none = tagsIn(request, 'if-none-match')
    if (none?.some(({ text }) => text === '*' || text === etag)) reply.code(304)
    return answer
  })
  api.addHook('onSend', async (_request, reply, payload: unknown) => {
    if (reply.statusCode !== 304) return payload
    reply.removeHeader('content-type')
    return null
  })
}

/** What If-Match and If-None-Match of a request expect of the thing that it writes. Throws request-malformed. */
export function preconditionOf(request: FastifyRequest): Precondition {
  const { versioned = [] } = request.routeOptions.config
  return expectation(tagsIn(request, 'if-match'), tagsIn(request, 'if-none-match'), versioned)
}

/** The same for conditions that are given as arguments: a tag without its quotes, one with them, or *. */
export function expecting(
  {
    ifMatch,
    ifNoneMatch,
  }: { readonly ifMatch?: string | undefined; readonly ifNoneMatch?: string | undefined },
  versioned: readonly string[],
): Precondition {
  return expectation(bareTag(ifMatch), bareTag(ifNoneMatch), versioned)
}

/** A condition that is given as an argument; `expecting` reads it. */
export function tagArgument(description: string) {
  return Type.Optional(Type.String({ minLength: 1, maxLength: 255, description }))
}

function bareTag(text: string | undefined): readonly Tag[] | undefined {
  return text === undefined ? undefined : [{ text: text.replace(/^"(.*)"$/, '$1'), weak: false }]
}

function expectation(
  match: readonly Tag[] | undefined,
  none: readonly Tag[] | undefined,
  versioned: readonly string[],
): Precondition {
  return (current) => {
    const version = current && versionOf(current, versioned)
    const isIt = ({ text }: Tag) =>
      version !== null && (text === '*' || text.split('.')[0] === version)
    if (match && !match.some((tag) => !tag.weak && isIt(tag))) throw failed()
    if (none?.some(isIt)) throw failed()
  }
}

function failed(): Problem {
  return new Problem(
    'precondition-failed',
    'It is not as If-Match or If-None-Match expects it: read it again, and send the ETag of that',
  )
}

/** What of a thing can be written, as one word. */
export function versionOf(thing: object, members: readonly string[]): string {
  const held = new Map<string, unknown>(Object.entries(thing))
  return digest(canonical(members.map((name) => [name, held.get(name) ?? null])))
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 20)
}

const oneTag = '(W/)?"[!#-~]{0,100}"'
/** How If-Match and If-None-Match are written (RFC 9110 8.8.3, 13.1.1). */
export const tagListPattern = `^(\\*|${oneTag}([ \t]*,[ \t]*${oneTag}){0,49})$`
const tagList = new RegExp(tagListPattern)

type Tag = { readonly text: string; readonly weak: boolean }

/** The tags that a header lists, or * (RFC 9110 8.8.3, 13.1.1). */
function tagsIn(
  { headers }: FastifyRequest,
  name: 'if-match' | 'if-none-match',
): readonly Tag[] | undefined {
  const value = headers[name]
  if (value === undefined) return undefined
  if (value.trim() === '*') return [{ text: '*', weak: false }]
  if (!tagList.test(value.trim())) {
    throw new Problem(
      'request-malformed',
      `${name} takes * or up to 50 entity tags, each in double quotes, separated by commas`,
    )
  }
  const tags = value.matchAll(/(W\/)?"([^"]*)"/g)
  return [...tags].map(([, weak, text = '']) => ({
    text: text === '*' ? '' : text,
    weak: weak !== undefined,
  }))
}

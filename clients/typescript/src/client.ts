import createFetch, { type Client as FetchClient } from 'openapi-fetch'
import { type components, idempotent, type ProblemType, type paths } from './openapi.ts'

/** The shapes of the contract by name: `Schemas['Host']`. */
export type Schemas = components['schemas']

/** What a refusal says of one field: a JSON Pointer into what was sent, and what is wrong there. */
export type Violation = { readonly field: string; readonly message: string }

/** A refusal of the service (RFC 9457). Branch on `type`: it never changes. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  /** The last part of the problem's type; of an answer that is no problem document, `internal`. */
  readonly type: ProblemType
  readonly status: number
  readonly title: string
  readonly violations: readonly Violation[]
  /** The id under which the service logged the request. */
  readonly requestId: string | undefined
  /** Seconds after which to ask again, if the service said so. */
  readonly retryAfterSeconds: number | undefined

  constructor(status: number, body: unknown, headers: Headers) {
    // GraphQL refuses a query in its own words.
    const [refusal] = isRecord(body) && Array.isArray(body.errors) ? body.errors : []
    const detail = isRecord(refusal) ? String(refusal.message) : ''
    const said = { type: '', title: '', detail, ...(isRecord(body) ? body : {}) }
    const title = String(said.title) || `The service answered ${status}`
    super(String(said.detail) || title)
    this.status = status
    this.title = title
    this.type = problemTypeOf(String(said.type))
    this.violations = violationsOf(isRecord(body) ? body.violations : undefined)
    this.requestId = headers.get('x-request-id') ?? undefined
    this.retryAfterSeconds = secondsOf(headers.get('retry-after'))
  }
}

/** The service did not answer at all: `cause` says why. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError'
}

export type ClientOptions = {
  /** Where the service is: `https://gatesmith.example.com`. */
  readonly server: string
  /** An API key, or a token of an identity provider. */
  readonly token?: string
  /** How often what may be sent again is sent again (3). */
  readonly retries?: number
  /** The longest that one wait between two tries may be, in seconds (30). */
  readonly longestWaitSeconds?: number
  /** Told before each wait. */
  readonly onRetry?: (why: string, seconds: number) => void
  /** Ends what is under way. */
  readonly signal?: AbortSignal
  /** Instead of the platform's. */
  readonly fetch?: (request: Request) => Promise<Response>
}

/** One method for each HTTP method, typed by path. A refusal is thrown as ProblemError. */
export type Client = FetchClient<paths, 'application/json'>

/** A hand on the service. What was not done (429) is sent again for every request, after Retry-After where it is
 *  said; what may have been done (no answer, 502, 503, 504) only where doing it twice is doing it once: GET, PUT,
 *  DELETE, and what takes an Idempotency-Key, which is given one where the caller gives none.
 *  Throws ProblemError and UnreachableError. */
export function createClient(options: ClientOptions): Client {
  const client = createFetch<paths, 'application/json'>({
    baseUrl: options.server.replace(/\/+$/, ''),
    fetch: (request) => send(request, options),
    headers: options.token === undefined ? {} : { authorization: `Bearer ${options.token}` },
    ...(options.signal ? { signal: options.signal } : {}),
  })
  client.use({
    onRequest: ({ request, schemaPath }) => {
      const takesKey = idempotent.has(`${request.method} ${schemaPath}`)
      if (takesKey && !request.headers.has('idempotency-key')) {
        request.headers.set('idempotency-key', crypto.randomUUID())
      }
      return request
    },
  })
  return client
}

/** What a request answers; undefined of an answer without a body. */
export async function answerOf<T>(
  call: Promise<{ data: T } | { data?: never; error: unknown; response: Response }>,
): Promise<T> {
  const answer = await call
  // Refusals never come so far: `send` throws them. What is left is a body that is empty.
  if ('error' in answer) throw answer.error
  return answer.data
}

/** Each item of a list, page by page: `ask` gets the place to go on at, and spreads it into its query. */
export async function* each<T>(
  ask: (page: { cursor?: string }) => Promise<{
    data?: { items: T[]; nextCursor: string | null }
  }>,
): AsyncGenerator<T, void> {
  let page: { cursor?: string } | undefined = {}
  while (page) {
    const { data } = await ask(page)
    if (!data) return
    yield* data.items
    page = data.nextCursor === null ? undefined : { cursor: data.nextCursor }
  }
}

/** What happens, as it happens (text/event-stream), from behind `after` or from now on. Goes on behind the last
 *  event that was told when the connection ends; ends when `signal` does. A `reset` of the stream is told
 *  by `onReset`: some events are no longer kept. */
export async function* follow(
  client: Client,
  {
    tenant,
    after,
    signal,
    onReset,
  }: { tenant?: string; after?: string; signal?: AbortSignal; onReset?: () => void },
): AsyncGenerator<Schemas['Event'], void> {
  let seen = after
  while (!signal?.aborted) {
    const init = {
      headers: { accept: 'text/event-stream' },
      parseAs: 'stream' as const,
      ...(signal ? { signal } : {}),
    }
    const query = seen === undefined ? {} : { after: seen }
    const { data } = await (tenant === undefined
      ? client.GET('/v1/events', { ...init, params: { query } })
      : client.GET('/v1/tenants/{tenant}/events', {
          ...init,
          params: { query, path: { tenant } },
        }))
    try {
      for await (const { event, id, data: text } of messages(data ?? new ReadableStream())) {
        if (id !== '') seen = id
        if (event === 'reset') onReset?.()
        else if (text !== '') yield JSON.parse(text)
      }
    } catch (error) {
      if (signal?.aborted) return
      // A connection that is lost is made anew; anything else is somebody's mistake.
      if (!(error instanceof TypeError)) throw error
    }
    await wait(1, signal)
  }
}

type Message = { event: string; id: string; data: string }

/** What a stream brings; not every browser goes through one by itself. */
async function* chunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = stream.getReader()
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value
  } finally {
    await reader.cancel()
  }
}

/** Server-sent events (HTML Living Standard 9.2.6); comments and retry are passed over. */
async function* messages(stream: ReadableStream<Uint8Array>): AsyncGenerator<Message, void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks(stream)) {
    rest += decoder.decode(chunk, { stream: true })
    const blocks = rest.split(/\r?\n\r?\n/)
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const message: Message = { event: 'message', id: '', data: '' }
      for (const line of block.split(/\r?\n/)) {
        const [, field = '', value = ''] = /^(event|id|data): ?(.*)$/.exec(line) ?? []
        if (field === 'data') message.data += value
        else if (field === 'event' || field === 'id') message[field] = value
      }
      yield message
    }
  }
}

async function send(request: Request, options: ClientOptions): Promise<Response> {
  const { retries = 3, longestWaitSeconds = 30, onRetry, fetch: ask = fetch } = options
  const twiceIsOnce =
    /^(GET|HEAD|PUT|DELETE)$/.test(request.method) || request.headers.has('idempotency-key')
  for (let tries = 0; ; tries++) {
    const outcome = await ask(request.clone()).catch((error: unknown) =>
      unreachable(request, error),
    )
    if (outcome instanceof Response && outcome.ok) return outcome
    if (outcome instanceof Response && outcome.status === 304) return outcome
    const error =
      outcome instanceof Response
        ? new ProblemError(outcome.status, await bodyOf(outcome), outcome.headers)
        : outcome
    const status = error instanceof ProblemError ? error.status : 503
    const again = status === 429 || (twiceIsOnce && [502, 503, 504].includes(status))
    const asked = error instanceof ProblemError ? error.retryAfterSeconds : undefined
    // Doubled each time, and spread, so that many who were refused at once do not come back at once.
    const seconds = asked ?? 0.25 * 2 ** tries * (0.75 + Math.random() / 2)
    if (!again || tries >= retries || seconds > longestWaitSeconds) throw error
    onRetry?.(error.message, seconds)
    await wait(seconds, request.signal)
  }
}

function unreachable(request: Request, error: unknown): UnreachableError {
  request.signal.throwIfAborted()
  const why = error instanceof Error && error.cause instanceof Error ? error.cause : error
  // An AggregateError of several addresses has no message of its own.
  const inner = why instanceof AggregateError ? why.errors[0] : why
  const { origin } = new URL(request.url)
  const message = inner instanceof Error && inner.message !== '' ? inner.message : String(inner)
  return new UnreachableError(`${origin} does not answer: ${message}`, { cause: error })
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text()
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function wait(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, seconds * 1000)
    function done() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      if (signal?.aborted) reject(signal.reason)
      else resolve()
    }
    signal?.addEventListener('abort', done)
  })
}

/** Retry-After (RFC 9110 10.2.3): seconds, or a date. */
function secondsOf(text: string | null): number | undefined {
  if (text === null || text === '') return undefined
  const seconds = Number(text)
  if (Number.isFinite(seconds)) return Math.max(0, seconds)
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, (at - Date.now()) / 1000)
}

function problemTypeOf(uri: string): ProblemType {
  const name = uri.split('/').at(-1) ?? ''
  // A newer service may know problems that this client does not: they keep their name.
  return isProblemType(name) ? name : 'internal'
}

function isProblemType(name: string): name is ProblemType {
  return /^[a-z][a-z0-9-]*$/.test(name)
}

function violationsOf(value: unknown): readonly Violation[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((each: unknown) =>
    isRecord(each)
      ? [{ field: String(each.field ?? ''), message: String(each.message ?? '') }]
      : [],
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

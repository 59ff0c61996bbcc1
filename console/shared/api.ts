import { type Client, createClient, ProblemError, type Schemas } from '@gatesmith/client'

// The console asks the public API like any other client; the cookie of its session says who asks.

let csrfToken = ''

/** Keeps what shows that a change comes from this page, and not from another that the browser is on. */
export function keepCsrfToken(token: string): void {
  csrfToken = token
}

/** A request as the session of the console is to be sent it. */
export function send(request: Request): Promise<Response> {
  if (request.method !== 'GET') request.headers.set('x-csrf-token', csrfToken)
  return fetch(request)
}

/** The hand on the API. */
export const api: Client = createClient({
  server: location.origin,
  retries: 2,
  longestWaitSeconds: 5,
  fetch: send,
})

/** The shapes of the contract by name. */
export type { Schemas }

/** What a request answers; throws ProblemError. */
export async function answered<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  const { data, error } = await call
  if (data === undefined) throw error ?? new Error('The service answered with nothing')
  return data
}

/** A list as it is shown: all of it, or as much of it as is fetched at once. */
export type Listed<T> = {
  readonly items: readonly T[]
  /** Whether these are all. */
  readonly complete: boolean
}

type PageQuery = { limit: number; cursor?: string }
type Answer<T> = Promise<{ data?: { items: T[]; nextCursor: string | null } }>

/** How many are fetched at most, and shown with a word that there are more. */
export const most = 3_000

/** The items of a list, page after page, up to `most` of them. */
export async function listed<T>(ask: (page: PageQuery) => Answer<T>): Promise<Listed<T>> {
  const items: T[] = []
  let page: PageQuery = { limit: 500 }
  for (;;) {
    const { data } = await ask(page)
    if (!data) return { items, complete: true }
    items.push(...data.items)
    if (data.nextCursor === null) return { items, complete: true }
    if (items.length >= most) return { items, complete: false }
    page = { limit: 500, cursor: data.nextCursor }
  }
}

/** What a GraphQL query answers. Throws ProblemError, also for what is refused within an answer. */
export async function graphql(
  query: string,
  variables: Record<string, unknown> = {},
): Promise<Record<string, unknown>> {
  const { data, response } = await api.POST('/graphql', { body: { query, variables } })
  const [refusal] = records(data?.errors)
  if (refusal) {
    // The problem that a route would have answered stands beside the sentence.
    const problem = record(refusal.extensions)
    const said = {
      ...problem,
      title: refusal.message,
      detail: refusal.message,
      errors: data?.errors,
    }
    throw new ProblemError(Number(problem.status ?? response.status), said, response.headers)
  }
  return record(data?.data)
}

/** An object of an answer whose shape no contract tells; empty where it is none. */
export function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {}
}

/** The objects of a list of such an answer. */
export function records(value: unknown): readonly Record<string, unknown>[] {
  return Array.isArray(value) ? value.map(record) : []
}

/** A text of such an answer; empty where it is none. */
export function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

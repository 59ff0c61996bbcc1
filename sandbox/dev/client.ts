import { setTimeout as delay } from 'node:timers/promises'

/** An answer of the API that is not a success, with its problem document. */
export class RefusedError extends Error {
  readonly status: number
  readonly type: string

  constructor(status: number, type: string, detail: string) {
    super(`${status} ${type}: ${detail}`)
    this.status = status
    this.type = type
  }
}

/** A hand on the REST API. */
export type Client = {
  readonly send: (method: string, path: string, body?: object, key?: string) => Promise<unknown>
  readonly text: (path: string) => Promise<string>
}

/** The API at `url` for the bearer of `token`. */
export function clientOf(url: string, token: string): Client {
  async function fetchFrom(path: string, init: RequestInit): Promise<Response> {
    const headers = { authorization: `Bearer ${token}`, ...init.headers }
    const response = await fetch(`${url}${path}`, { ...init, headers })
    if (response.ok) return response
    const problem: unknown = await response.json().catch(() => ({}))
    const { type, detail } = { type: '', detail: '', ...(isRecord(problem) ? problem : {}) }
    throw new RefusedError(response.status, String(type).split('/').at(-1) ?? '', String(detail))
  }
  return {
    send: async (method, path, body, key) => {
      const response = await fetchFrom(path, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return response.status === 204 ? undefined : response.json()
    },
    text: async (path) => (await fetchFrom(path, {})).text(),
  }
}

/** Asks again until `look` answers something else than undefined, or `milliseconds` are over. */
export async function eventually<T>(
  look: () => Promise<T | undefined>,
  { milliseconds, what, signal }: { milliseconds: number; what: string; signal: AbortSignal },
): Promise<T> {
  for (const end = Date.now() + milliseconds; Date.now() < end; await delay(50)) {
    signal.throwIfAborted()
    const found = await look()
    if (found !== undefined) return found
  }
  throw new Error(`${what} took longer than ${milliseconds / 1000} s`)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

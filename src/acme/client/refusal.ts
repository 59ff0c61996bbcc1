import Type from 'typebox'
import { conforms } from '../../shared/shape.ts'

/** What a CA elsewhere, or what proves names to it, said instead of doing what was asked. */
export class CaRefusal extends Error {
  /** The short name of its problem (RFC 8555 6.7), such as rateLimited; unreachable: it said nothing. */
  readonly problem: string
  readonly status: number
  /** For how many milliseconds nothing is to be asked again, as it said (Retry-After). */
  readonly retryAfter: number | undefined

  constructor(
    problem: string,
    detail: string,
    { status = 0, retryAfter }: Partial<Pick<CaRefusal, 'status' | 'retryAfter'>> = {},
  ) {
    super(detail)
    this.problem = problem
    this.status = status
    this.retryAfter = retryAfter
  }
}

/** Problems that pass by themselves: all others say something of what was asked. */
const passing: ReadonlySet<string> = new Set([
  ...['unreachable', 'rateLimited', 'serverInternal', 'badNonce', 'orderNotReady'],
])

/** Whether the same may be asked again, later. */
export function isPassing({ problem, status }: CaRefusal): boolean {
  return passing.has(problem) || status === 429 || status >= 500
}

/** What is told at most of a detail: others wrote it. */
const mostDetail = 500

const Document = Type.Object({
  type: Type.Optional(Type.String()),
  detail: Type.Optional(Type.String()),
  instance: Type.Optional(Type.String()),
  subproblems: Type.Optional(
    Type.Array(
      Type.Object({
        detail: Type.Optional(Type.String()),
        identifier: Type.Optional(Type.Object({ value: Type.String() })),
      }),
    ),
  ),
})

/** A problem document of a CA in one sentence, and its short name; `nothing` is said of what is none. */
export function problemIn(
  document: unknown,
  nothing = 'It gave no reason',
): { readonly problem: string; readonly detail: string } {
  if (!conforms(Document, document)) return { problem: 'unknown', detail: nothing }
  const problem = (document.type ?? 'unknown').replace(/^urn:ietf:params:acme:error:/, '')
  const below = (document.subproblems ?? [])
    .slice(0, 5)
    .map(({ identifier, detail = '' }) => (identifier ? `${identifier.value}: ${detail}` : detail))
  // Where what it wants to be done by a person is done (7.3.3); other instances say nothing to a person.
  const { instance = '' } = document
  const where = /^https?:/.test(instance) ? [`go to ${instance}`] : []
  const said = [document.detail ?? problem, ...below, ...where].join('; ')
  return { problem: printable(problem).slice(0, 100), detail: printable(said).slice(0, mostDetail) }
}

function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ')
}

/** Retry-After (RFC 9110 10.2.3) in milliseconds, a week at most; undefined: it says nothing that can be read. */
export function retryAfterOf(header: string | undefined, now: Date): number | undefined {
  if (header === undefined) return undefined
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : undefined
  const milliseconds = seconds ?? Date.parse(header) - now.getTime()
  if (Number.isNaN(milliseconds)) return undefined
  return Math.min(Math.max(milliseconds, 0), 7 * 86_400_000)
}

import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace as traces,
} from '@opentelemetry/api'
import Type from 'typebox'

/** Where in a trace something was asked for (W3C Trace Context, 3.2 and 3.3), as it is stored beside a job's key. What is
 *  done `later` has a trace of its own, which is linked to this one. */
export const Trace = Type.Object({
  traceparent: Type.String({ maxLength: 255 }),
  tracestate: Type.Optional(Type.String({ maxLength: 512 })),
  later: Type.Optional(Type.Boolean()),
})
export type Trace = Type.Static<typeof Trace>

/** Facts about a span, by the names of OpenTelemetry's semantic conventions. Secrets never go here, nor anything of
 *  which a stranger chose the value. */
export type Facts = Attributes

type SpanOf = {
  readonly name: string
  readonly kind: keyof typeof kinds
  readonly facts: Facts
}

const kinds = {
  server: SpanKind.SERVER,
  consumer: SpanKind.CONSUMER,
  client: SpanKind.CLIENT,
} as const

// Until src/main/tracing.ts registers a provider nothing is recorded, and each of these calls costs next to nothing.
const tracer = traces.getTracer('gatesmith')

/** A span that has begun. */
export type OpenSpan = {
  /** Undefined where nothing is traced. */
  readonly traceId: string | undefined
  /** Does this inside the span, and all that it begins. */
  readonly within: <T>(work: () => T) => T
  readonly note: (facts: Facts) => void
  /** With the type of what went wrong, where that is so. What comes after the first end is nothing. */
  readonly end: (failure?: string) => void
}

/** Begins a span: inside the one that is open here, or that of `from`, or inside none where that is null. */
export function openSpan({ name, kind, facts }: SpanOf, from?: Trace | null): OpenSpan {
  const parent = from === undefined ? context.active() : contextOf(from)
  const linked = from?.later ? traces.getSpanContext(parent) : undefined
  const options = {
    kind: kinds[kind],
    attributes: facts,
    links: linked ? [{ context: linked }] : [],
  }
  const span = tracer.startSpan(name, options, linked ? ROOT_CONTEXT : parent)
  const inside = traces.setSpan(ROOT_CONTEXT, span)
  let hasEnded = false
  return {
    traceId: span.isRecording() ? span.spanContext().traceId : undefined,
    within: (work) => context.with(inside, work),
    note: (noted) => void span.setAttributes(noted),
    end: (failure) => {
      if (hasEnded) return
      hasEnded = true
      if (failure !== undefined) {
        span.setAttribute('error.type', failure)
        span.setStatus({ code: SpanStatusCode.ERROR })
      }
      span.end()
    },
  }
}

/** Does the work in a span. When it throws, the span tells what kind of error that was. */
export async function inSpan<T>(
  what: SpanOf & { readonly from?: Trace | null },
  work: (note: OpenSpan['note']) => Promise<T>,
): Promise<T> {
  const span = openSpan(what, what.from)
  try {
    const answer = await span.within(() => work(span.note))
    span.end()
    return answer
  } catch (error) {
    span.end(errorType(error))
    throw error
  }
}

/** Does what is done for many at once, which is part of no trace. */
export function outsideTraces<T>(work: () => T): T {
  return context.with(ROOT_CONTEXT, work)
}

/** The span that is open here; undefined where nothing is traced. */
export function traceHere(): Trace | undefined {
  return traceIn(traceHeaders()) ?? undefined
}

/** The span that headers tell of; null: none. What tracers note of it by the way goes with it, if it is no longer than
 *  everybody hands on (3.3.1.5). */
export function traceIn({
  traceparent,
  tracestate,
}: Readonly<Record<string, unknown>>): Trace | null {
  if (typeof traceparent !== 'string') return null
  const noted = typeof tracestate === 'string' && tracestate.length <= 512
  return { traceparent, ...(noted ? { tracestate } : {}) }
}

/** What tells another service of the span that is open here. */
export function traceHeaders(): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  propagation.inject(context.active(), headers)
  return headers
}

function contextOf(from: Trace | null): Context {
  return from ? propagation.extract(ROOT_CONTEXT, from) : ROOT_CONTEXT
}

/** The class of an error, and its code where it has one: `KubeError unreachable`,
 *  `PrismaClientKnownRequestError P2034`. Never its message, which may quote what was being stored. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const facts = [
    'fault' in error ? error.fault : undefined,
    'type' in error ? error.type : undefined,
    'code' in error ? error.code : undefined,
  ]
  const words = facts.filter((fact) => typeof fact === 'string' && /^[\w-]{1,40}$/.test(fact))
  return [error.name, ...words].join(' ')
}

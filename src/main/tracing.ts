import { context, DiagLogLevel, diag, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import {
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { Log } from '../core/context.ts'
import type { Traces } from '../core/settings/sending.ts'

/** Sends traces over OTLP from here on. Loading this takes a quarter of a second and 20 MB: only who has an endpoint
 *  pays for it. Where to, with which headers, certificates and limits, the exporter itself reads from OTEL_EXPORTER_OTLP_*.
 *  Answers how to stop, which sends what is left: a receiver that is away then keeps nobody from ending well. */
export function openTracing(
  { sampler, ratio }: Traces,
  { log, service }: { readonly log: Log; readonly service: string },
): () => Promise<void> {
  diag.setLogger(diagnostics(log), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
  const named = detectResources({
    detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector],
  })
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service }).merge(named),
    sampler: samplerOf(sampler, ratio),
    spanLimits: { attributeValueLengthLimit: 1024 },
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
  })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  trace.setGlobalTracerProvider(provider)
  return async () => {
    try {
      await provider.shutdown()
    } catch (err) {
      log.warn({ err }, 'the last traces were not sent')
    }
    for (const each of [trace, context, propagation]) each.disable()
  }
}

function samplerOf(name: Traces['sampler'], ratio: number): Sampler {
  const [kind = ''] = name.split('_').slice(-1)
  const own =
    kind === 'off'
      ? new AlwaysOffSampler()
      : kind === 'on'
        ? new AlwaysOnSampler()
        : new TraceIdRatioBasedSampler(ratio)
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root: own }) : own
}

/** What the SDK complains of. */
function diagnostics(log: Log) {
  const none = () => undefined
  const warn = (message: string) =>
    log.warn({ tracing: message }, 'traces are not sent as they should')
  return { error: warn, warn, info: none, debug: none, verbose: none }
}

import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'

// A receiver of OTLP over HTTP: it reads protobuf by the numbers of opentelemetry/proto/trace/v1/trace.proto.

/** A span as it was received; ids in hexadecimal, empty where there is none. */
export type ReceivedSpan = {
  readonly service: string
  readonly traceId: string
  readonly spanId: string
  /** What tracers note of the trace by the way (tracestate). */
  readonly state: string
  readonly parentId: string
  readonly name: string
  /** 2: server, 3: client, 5: consumer. */
  readonly kind: number
  readonly facts: Readonly<Record<string, string | number>>
  /** The traces that it is linked to. */
  readonly links: readonly string[]
  readonly failed: boolean
}

/** Receives until it is closed. `octets` is all that came, for what must not be in it. */
export async function openReceiver() {
  const spans: ReceivedSpan[] = []
  const octets: Buffer[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const sent = Buffer.concat(chunks)
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent
    const isRight =
      request.url === '/v1/traces' && request.headers['content-type'] === 'application/x-protobuf'
    if (isRight) {
      octets.push(body)
      spans.push(...spansIn(body))
    }
    response.writeHead(isRight ? 200 : 400, { 'content-type': 'application/x-protobuf' }).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const place = server.address()
  return {
    url: `http://127.0.0.1:${typeof place === 'object' ? place?.port : 0}`,
    spans,
    octets,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function spansIn(body: Buffer): readonly ReceivedSpan[] {
  return parts(body, 1).flatMap((resourceSpans) => {
    const { 'service.name': service = '' } = factsIn(
      parts(resourceSpans, 1).flatMap((each) => parts(each, 1)),
    )
    return parts(resourceSpans, 2)
      .flatMap((scopeSpans) => parts(scopeSpans, 2))
      .map((span) => ({
        service: String(service),
        traceId: hex(parts(span, 1)),
        spanId: hex(parts(span, 2)),
        state: text(parts(span, 3)),
        parentId: hex(parts(span, 4)),
        name: text(parts(span, 5)),
        kind: numberIn(span, 6),
        facts: factsIn(parts(span, 9)),
        links: parts(span, 13).map((link) => hex(parts(link, 1))),
        failed: parts(span, 15).some((status) => numberIn(status, 3) === 2),
      }))
  })
}

function factsIn(pairs: readonly Buffer[]): Readonly<Record<string, string | number>> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [value = Buffer.alloc(0)] = parts(pair, 2)
      const words = parts(value, 1)
      return [text(parts(pair, 1)), words.length > 0 ? text(words) : numberIn(value, 3)]
    }),
  )
}

const hex = ([octets]: readonly Buffer[]) => octets?.toString('hex') ?? ''
const text = ([octets]: readonly Buffer[]) => octets?.toString('utf8') ?? ''

type Field = { readonly number: number; readonly value: number | Buffer }

function parts(message: Buffer, number: number): readonly Buffer[] {
  return fieldsOf(message).flatMap((field) =>
    field.number === number && typeof field.value !== 'number' ? [field.value] : [],
  )
}

function numberIn(message: Buffer, number: number): number {
  const found = fieldsOf(message).find((field) => field.number === number)?.value
  return typeof found === 'number' ? found : 0
}

/** The fields of a message of protobuf (its wire format: varint, 64 bits, length and octets, 32 bits). */
function fieldsOf(message: Buffer): readonly Field[] {
  const fields: Field[] = []
  let at = 0
  const varint = () => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const octet = message.readUInt8(at++)
      value += (octet & 127) * factor
      if (octet < 128) return value
    }
  }
  while (at < message.length) {
    const tag = varint()
    const type = tag & 7
    const length = type === 2 ? varint() : type === 1 ? 8 : type === 5 ? 4 : 0
    const value = type === 0 ? varint() : message.subarray(at, at + length)
    if (type !== 0) at += length
    fields.push({ number: Math.floor(tag / 8), value })
  }
  return fields
}

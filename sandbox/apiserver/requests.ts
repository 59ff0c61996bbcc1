import type { IncomingMessage, ServerResponse } from 'node:http'
import { parse as parseYaml } from 'yaml'
import { type Json, parseJson } from '../json.ts'
import { isCustom, type Kind, kinds, namespaces } from '../kinds.ts'
import type { Store } from '../store.ts'
import { readProtobuf } from './protobuf.ts'
import { badRequest, refusal } from './status.ts'

/** What the path of a request names: a kind, in a namespace ('' for all or none), and perhaps a name. */
export type Target = {
  readonly kind: Kind
  readonly version: string
  readonly namespace: string
  readonly name: string
}

/** One request under way, its path and query read. */
export type Call = {
  readonly store: Store
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly path: string
  readonly query: URLSearchParams
}

const paths =
  /^\/(?:api|apis\/([^/]+))\/([^/]+)(?:\/namespaces\/([^/]+))?(?:\/([^/]+))?(?:\/([^/]+))?$/

/** The target of a path; undefined when it names nothing that is served, subresources included. */
export function targetOf(path: string, served: () => readonly Kind[]): Target | undefined {
  const [, group = '', version = '', namespace = '', plural = '', name = ''] =
    paths.exec(path) ?? []
  if (!version) return undefined
  const named = namespace && !plural
  const wanted = named ? 'namespaces' : plural
  const kind = kinds.find((each) => each.plural === wanted && each.group === group)
  if (!kind?.versions.includes(version)) return undefined
  if (isCustom(kind) && !isServed(served(), kind, version)) return undefined
  if (named) return { kind, version, namespace: '', name: decodeURIComponent(namespace) }
  if (kind === namespaces && namespace) return undefined
  if (kind.namespaced && name && !namespace) return undefined
  const decoded = { namespace: decodeURIComponent(namespace), name: decodeURIComponent(name) }
  return { kind, version, ...decoded }
}

function isServed(served: readonly Kind[], { group, plural }: Kind, version: string): boolean {
  return served.some(
    (each) => each.group === group && each.plural === plural && each.versions.includes(version),
  )
}

/** The whole body. Throws 413 above 3 MiB, as the API server does. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    const bytes: Buffer = chunk
    length += bytes.length
    if (length > 3 * 1024 * 1024) {
      throw refusal(413, 'RequestEntityTooLarge', 'Request entity too large: limit is 3145728')
    }
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}

const jsonTypes = ['', 'application/json', 'text/plain']

/** The body as its content type says: JSON, YAML, a patch in either, or the protobuf of a core kind.
 *  Throws 400 and 415. */
export function parseBody(body: Buffer, contentType: string | undefined): Json {
  const type = (contentType ?? '').split(';')[0]?.trim() ?? ''
  const yaml = type === 'application/yaml' || type.endsWith('patch+yaml')
  if (type === 'application/vnd.kubernetes.protobuf' && body.length > 0) {
    const object = readProtobuf(body)
    if (object) return object
    throw refusal(
      415,
      'UnsupportedMediaType',
      'the sandbox reads protobuf of core kinds only: send JSON',
    )
  }
  if (body.length === 0) return {}
  if (!yaml && !jsonTypes.includes(type) && !type.endsWith('patch+json')) {
    const message =
      'the body of the request was in an unknown format - accepted media types include: ' +
      'application/json, application/yaml, application/vnd.kubernetes.protobuf'
    throw refusal(415, 'UnsupportedMediaType', message)
  }
  try {
    const text = body.toString('utf8')
    if (!yaml) return parseJson(text)
    // Through JSON, so that what YAML has beyond it (anchors, dates) is gone.
    return parseJson(JSON.stringify(parseYaml(text)) ?? 'null')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw badRequest(`the body of the request could not be read: ${why}`)
  }
}

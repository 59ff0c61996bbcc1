import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { formats } from '../../src/shared/formats.ts'

type Answer = {
  readonly $ref?: string
  readonly headers?: Readonly<Record<string, unknown>>
  readonly content?: Readonly<Record<string, unknown>>
}
type Contract = {
  readonly paths: Readonly<
    Record<string, Record<string, { readonly responses: Readonly<Record<string, Answer>> }>>
  >
  readonly components: { readonly responses: Readonly<Record<string, Answer>> }
}

const text = await readFile(new URL('../../openapi/openapi.json', import.meta.url), 'utf8')
const { paths, components }: Contract = JSON.parse(text)

/** What answers bear that no contract speaks of: how HTTP carries them, and caches. */
const ofHttp = new Set([
  ...['content-length', 'content-type', 'date', 'connection', 'keep-alive', 'transfer-encoding'],
  ...['cache-control', 'vary', 'x-content-type-options', 'x-accel-buffering'],
])

/** A URL of Fastify as OpenAPI writes it: `::` is a colon that is meant as one. */
export function documentedPath(url: string): string {
  return url
    .replace(/(?<!:):(\w+)/g, '{$1}')
    .replace('::', ':')
    .replace(/\*$/, '{request}')
}

/** What of an answer the contract does not have: its status, its media type, its headers. */
export function undeclaredIn(request: FastifyRequest, reply: FastifyReply): readonly string[] {
  const { method, url = '' } = request.routeOptions
  const path = documentedPath(url)
  const operation = paths[path]?.[request.method.toLowerCase()]
  if (!operation || request.is404 || method === undefined) return []
  const { statusCode } = reply
  const place = `${request.method} ${path} ${statusCode}`
  const named = operation.responses[statusCode]
  // What is refused before a route is reached may be refused at any.
  const answer = resolved(named ?? (statusCode >= 400 ? operation.responses.default : undefined))
  if (!answer) return [place]
  const declared = new Set(Object.keys(answer.headers ?? {}).map((name) => name.toLowerCase()))
  const names = Object.keys(reply.getHeaders())
  const extra = names.filter((name) => !ofHttp.has(name) && !declared.has(name))
  const [type] = String(reply.getHeader('content-type') ?? '').split(';')
  const known = type === '' || type === undefined || Object.hasOwn(answer.content ?? {}, type)
  return [...extra.map((name) => `${place}: ${name}`), ...(known ? [] : [`${place}: ${type}`])]
}

function resolved(answer: Answer | undefined): Answer | undefined {
  const name = answer?.$ref?.split('/').at(-1)
  return name === undefined ? answer : components.responses[name]
}

const ajv = new Ajv2020({ strict: false })
for (const [name, validate] of formats) ajv.addFormat(name, validate)
for (const name of ['uri', 'uri-reference', 'binary']) ajv.addFormat(name, true)
ajv.addSchema(JSON.parse(text), 'contract')

const validators = new Map<string, ReturnType<typeof ajv.compile>>()

/** Holds a value to a schema of the contract. */
export function fits(schema: object | undefined, value: unknown, what: string): void {
  const own = JSON.stringify(schema).replaceAll('"#/', '"contract#/')
  const validate = validators.get(own) ?? ajv.compile(JSON.parse(own))
  validators.set(own, validate)
  assert.ok(validate(value), `${what}: ${ajv.errorsText(validate.errors)}`)
}

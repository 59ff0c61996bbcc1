import type { FastifyInstance, FastifyRequest } from 'fastify'
import { refuse } from '../../shared/problem.ts'
import { isRecord } from '../../shared/shape.ts'

/** What a list answers where `fields` names the members of its items: any may be missing. A media type of its own, so
 *  that what clients are generated of it for the whole list need not look whether each member is there. */
export const sparseType = 'application/vnd.gatesmith.sparse+json'

/** Has every list that is registered here afterwards answer with the members alone that `fields` names. Which
 *  there are is looked up before anything is read. Throws request-invalid for names that the items of the
 *  list do not have. */
export function answersFields(api: FastifyInstance): void {
  api.addHook('preHandler', async (request) => {
    const asked = askedFields(request)
    if (asked === undefined) return
    const known = membersOf(request.routeOptions.schema?.response)
    const unknown = asked.filter((name) => !known.includes(name))
    const message = `${unknown.join(', ')}: there is no such member; there are ${known.join(', ')}`
    refuse('request-invalid', unknown.length > 0 ? [{ field: '/fields', message }] : [])
  })
  api.addHook('preSerialization', async (request, reply, answer: unknown) => {
    const asked = askedFields(request)
    if (asked === undefined || reply.statusCode !== 200) return answer
    if (!isRecord(answer) || !Array.isArray(answer.items)) return answer
    reply.header('content-type', `${sparseType}; charset=utf-8`)
    return { ...answer, items: answer.items.map((item: unknown) => only(item, asked)) }
  })
}

function askedFields({ query, routeOptions }: FastifyRequest): readonly string[] | undefined {
  const list = routeOptions.schema?.querystring
  const has = isRecord(list) && isRecord(list.properties) && 'fields' in list.properties
  const fields = has && isRecord(query) ? query.fields : undefined
  return typeof fields === 'string' ? fields.split(',') : undefined
}

/** The members of the items of the list that a route answers with. */
export function membersOf(response: unknown): readonly string[] {
  const item = itemOf(listOf(response))
  return Object.keys(memberOf(item, 'properties') ?? {})
}

/** The answers of a list with that which `fields` asks for beside the whole one. */
export function withSparse(response: unknown): unknown {
  const list = listOf(response)
  const item = itemOf(list)
  const { properties } = list ?? {}
  if (!isRecord(response) || !list || !isRecord(item) || !isRecord(properties)) return response
  const { required: _, examples: _shown, ...members } = item
  const about = 'Those members of it that `fields` names'
  const items = {
    ...{ type: 'array' },
    items: { ...members, title: `Sparse${item.title}`, description: about },
  }
  const sparse = { ...list, title: `Sparse${list.title}`, properties: { ...properties, items } }
  const whole = isRecord(response['200']) ? response['200'] : {}
  const content = isRecord(whole.content) ? whole.content : { 'application/json': { schema: list } }
  const description = typeof whole.description === 'string' ? whole.description : 'As asked for'
  return {
    ...response,
    200: { description, content: { ...content, [sparseType]: { schema: sparse } } },
  }
}

function listOf(response: unknown): Readonly<Record<string, unknown>> | undefined {
  const ways = [['200'], ['200', 'content', 'application/json', 'schema']]
  return ways
    .map((way) => way.reduce(memberOf, response))
    .filter(isRecord)
    .find(({ properties }) => isRecord(properties))
}

function itemOf(list: unknown): unknown {
  return ['properties', 'items', 'items'].reduce(memberOf, list)
}

function memberOf(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined
}

function only(item: unknown, names: readonly string[]): unknown {
  if (!isRecord(item)) return item
  return Object.fromEntries(Object.entries(item).filter(([name]) => names.includes(name)))
}

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { refuse } from '../../shared/problem.ts'
import { isRecord } from '../../shared/shape.ts'

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
  const way = ['200', 'properties', 'items', 'items', 'properties']
  const typed = ['200', 'content', 'application/json', 'schema', ...way.slice(1)]
  const members = [way, typed].map((each) => each.reduce(memberOf, response)).find(isRecord)
  return Object.keys(members ?? {})
}

function memberOf(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined
}

function only(item: unknown, names: readonly string[]): unknown {
  if (!isRecord(item)) return item
  return Object.fromEntries(Object.entries(item).filter(([name]) => names.includes(name)))
}

import { Authority, ImportedAuthority, NewAuthority } from '../../authorities/authority.ts'
import { createAuthority } from '../../authorities/create.ts'
import { getAuthority, listAuthorities } from '../../authorities/find.ts'
import { importAuthority } from '../../authorities/import.ts'
import type { Context } from '../../ground/context.ts'
import { closed, Name, PageOf, PageQuery } from '../../words/schema.ts'
import type { Api } from '../api.ts'
import { actorOf } from '../auth.ts'
import { idempotent } from '../idempotency.ts'
import { problemResponse } from '../openapi.ts'

const tags = ['authorities']

/** /v1/authorities */
export function authorities(api: Api, ctx: Context): void {
  api.post(
    '/authorities',
    {
      ...idempotent(ctx),
      schema: {
        tags,
        summary: 'Create a root, or an intermediate below an authority whose key is held here',
        body: NewAuthority,
        response: { 201: Authority, ...problemResponse },
      },
    },
    async (request, reply) =>
      reply.code(201).send(await createAuthority(ctx, actorOf(request), request.body)),
  )

  api.post(
    '/authorities/import',
    {
      ...idempotent(ctx),
      schema: {
        tags,
        summary: 'Take over a CA made elsewhere, with or without its private key',
        body: ImportedAuthority,
        response: { 201: Authority, ...problemResponse },
      },
    },
    async (request, reply) =>
      reply.code(201).send(await importAuthority(ctx, actorOf(request), request.body)),
  )

  api.get(
    '/authorities',
    {
      schema: {
        tags,
        summary: 'List authorities by name',
        querystring: PageQuery,
        response: { 200: PageOf(Authority), ...problemResponse },
      },
    },
    (request) => listAuthorities(ctx, actorOf(request), request.query),
  )

  api.get(
    '/authorities/:authority',
    {
      schema: {
        tags,
        summary: 'Read an authority',
        params: closed({ authority: Name }),
        response: { 200: Authority, ...problemResponse },
      },
    },
    (request) => getAuthority(ctx, actorOf(request), request.params.authority),
  )
}

import Type from 'typebox'
import type { Context } from '../../../core/context.ts'
import { expiryCalendar } from '../../../notices/calendar.ts'
import { getReceiver, listNotices, listReceivers, replayNotice } from '../../../notices/find.ts'
import { putReceiver, removeReceiver, rotateSecret } from '../../../notices/put.ts'
import {
  Attempt,
  Notice,
  NoticesQuery,
  Receiver,
  ReceiverSpec,
  SigningSecret,
} from '../../../notices/receiver.ts'
import { testReceiver } from '../../../notices/sending/send.ts'
import { closed, Id, Name, PageOf, PageQuery } from '../../../shared/schema.ts'
import type { Api, Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { preconditionOf } from '../../edge/conditions.ts'
import { idempotent } from '../../idempotency.ts'
import { DryRun, writing } from '../../rehearsal.ts'

const tags = ['notices']

/** What of a receiver can be written; what is secret of it is not shown, and changes when it was. */
const versioned = ['kind', 'target', 'events', 'updatedAt']

/** Where receivers are: those of a tenant, or the platform's. */
type Under = {
  readonly url: string
  readonly platform: boolean
  /** The parameters of its URLs, before those of a receiver. */
  readonly params: Readonly<Record<string, typeof Name>>
}

const ofTenant: Under = {
  url: '/tenants/:tenant/notices',
  platform: false,
  params: { tenant: Name },
}
const ofPlatform: Under = { url: '/notices', platform: true, params: {} }

type Register = (api: Api, ctx: Context) => void

/** /v1/tenants/{tenant}/notices, and /v1/tenants/{tenant}/calendar.ics */
export const tenantNotices: Routes = {
  putTenantNotice: put(ofTenant),
  listTenantNotices: list(ofTenant),
  getTenantNotice: get(ofTenant),
  deleteTenantNotice: remove(ofTenant),
  testTenantNotice: tried(ofTenant),
  rotateTenantNotice: rotate(ofTenant),
  listTenantNoticeAttempts: attempts(ofTenant),
  replayTenantNoticeAttempt: replay(ofTenant),
  getTenantCalendar: calendar,
}

/** /v1/notices, of the platform */
export const notices: Routes = {
  putNotice: put(ofPlatform),
  listNotices: list(ofPlatform),
  getNotice: get(ofPlatform),
  deleteNotice: remove(ofPlatform),
  testNotice: tried(ofPlatform),
  rotateNotice: rotate(ofPlatform),
  listNoticeAttempts: attempts(ofPlatform),
  replayNoticeAttempt: replay(ofPlatform),
}

function tenantIn(params: object): string | null {
  return 'tenant' in params && typeof params.tenant === 'string' ? params.tenant : null
}

function placeIn(params: { readonly notice?: unknown }) {
  return { tenant: tenantIn(params), name: String(params.notice) }
}

function one({ params }: Under, more: Type.TProperties = {}) {
  return closed({ ...params, notice: Name, ...more })
}

function put(under: Under): Register {
  return (api, ctx) =>
    api.put(
      `${under.url}/:notice`,
      {
        config: {
          needs: 'write-notices',
          platform: under.platform,
          versioned,
          problems: ['tenant-unknown', 'receiver-refused', 'quota-exceeded'],
        },
        schema: {
          tags,
          summary: 'Make a receiver of notices what is asked for',
          description:
            'A new webhook is answered with the secret that its posts are signed with, once. See docs/notices.md.',
          params: one(under),
          querystring: DryRun,
          body: ReceiverSpec,
          response: { 200: Receiver, 201: Receiver },
        },
      },
      async (request, reply) => {
        const asked = { ...placeIn(request.params), spec: request.body }
        const { receiver, created } = await putReceiver(
          writing(ctx, request),
          actorOf(request),
          asked,
          preconditionOf(request),
        )
        return reply.code(created ? 201 : 200).send(receiver)
      },
    )
}

function list(under: Under): Register {
  return (api, ctx) =>
    api.get(
      under.url,
      {
        config: {
          needs: 'read',
          platform: under.platform,
          problems: ['tenant-unknown', 'cursor-refused'],
        },
        schema: {
          tags,
          summary: 'List receivers of notices by name',
          description:
            'Without what is secret of them. With limit and cursor; nextCursor is null on the last page.',
          params: closed(under.params),
          querystring: PageQuery,
          response: { 200: PageOf(Receiver) },
        },
      },
      (request) =>
        listReceivers(ctx, actorOf(request), {
          ...request.query,
          tenant: tenantIn(request.params),
        }),
    )
}

function get(under: Under): Register {
  return (api, ctx) =>
    api.get(
      `${under.url}/:notice`,
      {
        config: {
          needs: 'read',
          platform: under.platform,
          versioned,
          problems: ['tenant-unknown', 'receiver-unknown'],
        },
        schema: {
          tags,
          summary: 'Read a receiver of notices, without what is secret of it',
          description: 'What it is told of, and where that is sent.',
          params: one(under),
          response: { 200: Receiver },
        },
      },
      (request) => getReceiver(ctx, actorOf(request), placeIn(request.params)),
    )
}

function remove(under: Under): Register {
  return (api, ctx) =>
    api.delete(
      `${under.url}/:notice`,
      {
        config: {
          needs: 'write-notices',
          platform: under.platform,
          problems: ['tenant-unknown', 'receiver-unknown'],
        },
        schema: {
          tags,
          summary: 'Remove a receiver of notices, with what it was told',
          description: 'What is under way is not sent any more.',
          params: one(under),
          querystring: DryRun,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await removeReceiver(writing(ctx, request), actorOf(request), placeIn(request.params))
        return reply.code(204).send(null)
      },
    )
}

function tried(under: Under): Register {
  return (api, ctx) =>
    api.post(
      `${under.url}/:notice/test`,
      {
        config: {
          needs: 'write-notices',
          platform: under.platform,
          problems: ['tenant-unknown', 'receiver-unknown', 'busy'],
        },
        schema: {
          tags,
          summary: 'Send a test notice now, and tell what came of it',
          description: 'It is sent once and recorded nowhere.',
          params: one(under),
          response: { 200: Attempt },
        },
      },
      (request) => testReceiver(ctx, actorOf(request), placeIn(request.params)),
    )
}

function rotate(under: Under): Register {
  return (api, ctx) =>
    api.post(
      `${under.url}/:notice/rotate`,
      {
        ...idempotent(ctx),
        config: {
          idempotent: true,
          needs: 'write-notices',
          platform: under.platform,
          problems: ['tenant-unknown', 'receiver-unknown', 'receiver-refused'],
        },
        schema: {
          tags,
          summary: 'Sign with another secret, and with the one before for a day more',
          description: 'The new secret is in this answer and nowhere else. Only a webhook has one.',
          params: one(under),
          querystring: DryRun,
          response: { 200: SigningSecret },
        },
      },
      (request) => rotateSecret(writing(ctx, request), actorOf(request), placeIn(request.params)),
    )
}

function attempts(under: Under): Register {
  return (api, ctx) =>
    api.get(
      `${under.url}/:notice/attempts`,
      {
        config: {
          needs: 'read',
          platform: under.platform,
          problems: ['tenant-unknown', 'receiver-unknown', 'cursor-refused'],
        },
        schema: {
          tags,
          summary: 'What a receiver was told, newest first, and what came of it; dead: given up',
          description: 'With every attempt: when, and what the receiver answered.',
          params: one(under),
          querystring: NoticesQuery,
          response: { 200: PageOf(Notice) },
        },
      },
      (request) =>
        listNotices(ctx, actorOf(request), { ...request.query, ...placeIn(request.params) }),
    )
}

function replay(under: Under): Register {
  return (api, ctx) =>
    api.post(
      `${under.url}/:notice/attempts/:id/replay`,
      {
        config: {
          needs: 'write-notices',
          platform: under.platform,
          problems: ['tenant-unknown', 'receiver-unknown', 'notice-unknown'],
        },
        schema: {
          tags,
          summary: 'Send a notice once more, under the same id',
          description: 'Whatever became of it. A receiver that has it already knows it by its id.',
          params: one(under, { id: Id }),
          querystring: DryRun,
          response: { 202: Notice },
        },
      },
      async (request, reply) => {
        const id = 'id' in request.params ? String(request.params.id) : ''
        const asked = { ...placeIn(request.params), id }
        return reply
          .code(202)
          .send(await replayNotice(writing(ctx, request), actorOf(request), asked))
      },
    )
}

function calendar(api: Api, ctx: Context): void {
  api.get(
    '/tenants/:tenant/calendar.ics',
    {
      config: { needs: 'read', basic: true, problems: ['tenant-unknown'] },
      schema: {
        tags,
        summary: 'When certificates end, as a calendar to subscribe to (RFC 5545)',
        description:
          'Calendars send Basic credentials: any user name, and an API key as the password. See docs/notices.md.',
        params: closed({ tenant: Name }),
        response: {
          200: {
            description: 'The next 500 ends',
            content: { 'text/calendar': { schema: Type.String() } },
          },
        },
      },
    },
    async (request, reply) => {
      const text = await expiryCalendar(ctx, actorOf(request), request.params)
      return reply.type('text/calendar; charset=utf-8').send(text)
    },
  )
}

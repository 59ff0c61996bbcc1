import { askApproval } from '../../../authorities/approvals/ask.ts'
import { approve, reject } from '../../../authorities/approvals/decide.ts'
import { ApprovalQuery, getApproval, listApprovals } from '../../../authorities/approvals/find.ts'
import { Approval, NewApproval } from '../../../authorities/approvals/schema.ts'
import { ListOf } from '../../../shared/lists/query.ts'
import { closed, Id, Name } from '../../../shared/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { idempotent } from '../../idempotency.ts'
import { DryRun, writing } from '../../rehearsal.ts'

const tags = ['authorities']
const params = closed({ authority: Name })
const one = closed({ authority: Name, id: Id })

/** Changes of an authority's key that two people decide about: /v1/authorities/{authority}/approvals */
export const approvals: Routes = {
  createAuthorityApproval(api, ctx) {
    api.post(
      '/authorities/:authority/approvals',
      {
        ...idempotent(ctx),
        config: {
          ...{ idempotent: true, platform: true },
          needs: 'write-authorities',
          problems: ['authority-unknown', 'authority-keyless', 'approval-exists'],
        },
        schema: {
          tags,
          summary: 'Ask for a change of the key of an authority, for another person to approve',
          description:
            'Nothing is done until another person approves it, within three days. Needed where the authority, or the service, has two people decide.',
          params,
          querystring: DryRun,
          body: NewApproval,
          response: { 201: Approval },
        },
      },
      async (request, reply) => {
        const input = { ...request.params, request: request.body }
        return reply
          .code(201)
          .send(await askApproval(writing(ctx, request), actorOf(request), input))
      },
    )
  },

  listAuthorityApprovals(api, ctx) {
    api.get(
      '/authorities/:authority/approvals',
      {
        config: {
          ...{ needs: 'read', platform: true },
          problems: ['authority-unknown', 'cursor-refused'],
        },
        schema: {
          tags,
          summary: 'What was asked for of the key of an authority, oldest first',
          description:
            'By whom, and who decided. With limit and cursor; nextCursor is null on the last page.',
          params,
          querystring: ApprovalQuery,
          response: { 200: ListOf(Approval) },
        },
      },
      (request) => listApprovals(ctx, actorOf(request), { ...request.params, ...request.query }),
    )
  },

  getAuthorityApproval(api, ctx) {
    api.get(
      '/authorities/:authority/approvals/:id',
      {
        config: {
          ...{ needs: 'read', platform: true },
          problems: ['authority-unknown', 'approval-unknown'],
        },
        schema: {
          tags,
          summary: 'Read what was asked for, and what came of it',
          description: 'One that nobody decided about in time is expired.',
          params: one,
          response: { 200: Approval },
        },
      },
      (request) => getApproval(ctx, actorOf(request), request.params),
    )
  },

  approveAuthorityApproval(api, ctx) {
    api.post(
      '/authorities/:authority/approvals/:id/approve',
      {
        config: {
          ...{ needs: 'write-authorities', platform: true },
          problems: [
            'authority-unknown',
            'approval-unknown',
            'approval-settled',
            'approval-own',
            'authority-refused',
            'authority-keyless',
            'authority-in-use',
            'rotation-underway',
            'rotation-unknown',
            'rotation-unfinished',
            'issuer-unknown',
            'certificate-expired',
            'busy',
          ],
        },
        schema: {
          tags,
          summary: 'Approve what another person asked for, and with that carry it out',
          description:
            'Both at once, or neither: where it cannot be done it stays pending. Never by who asked, nor by a second key of the same person.',
          params: one,
          querystring: DryRun,
          response: { 200: Approval },
        },
      },
      (request) => approve(writing(ctx, request), actorOf(request), request.params),
    )
  },

  rejectAuthorityApproval(api, ctx) {
    api.post(
      '/authorities/:authority/approvals/:id/reject',
      {
        config: {
          ...{ needs: 'write-authorities', platform: true },
          problems: ['authority-unknown', 'approval-unknown', 'approval-settled'],
        },
        schema: {
          tags,
          summary: 'Say no to what was asked for; who asked may take it back like this',
          description: 'It is never done then, and may be asked for anew.',
          params: one,
          querystring: DryRun,
          response: { 200: Approval },
        },
      },
      (request) => reject(writing(ctx, request), actorOf(request), request.params),
    )
  },
}

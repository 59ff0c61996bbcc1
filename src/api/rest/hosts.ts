import Type from 'typebox'
import { AuditEvent } from '../../audit/event.ts'
import { Certificate } from '../../certificates/certificate.ts'
import { getHostCertificate } from '../../certificates/find.ts'
import { RevokedWithHost, retireHost } from '../../certificates/hosts/remove.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { HostPlan, PlanRequest, planHost } from '../../delivery/preview/hostplan.ts'
import { ProbeRequest, ProbeResults, probeHost } from '../../delivery/proof/probe.ts'
import { getHost, listAllHosts, listHosts } from '../../hosts/find.ts'
import { Host, HostSpec } from '../../hosts/host.ts'
import { putHost } from '../../hosts/put.ts'
import { HistoryQuery, hostHistory } from '../../hosts/request/history.ts'
import { HostQuery } from '../../hosts/request/query.ts'
import { SettleQuery, WaitQuery, waitForHost } from '../../hosts/wait.ts'
import { ListOf } from '../../shared/lists/query.ts'
import type { ProblemType } from '../../shared/problem.ts'
import { Problem } from '../../shared/problem.ts'
import { closed, HostnameText, Name } from '../../shared/schema.ts'
import type { Routes } from '../api.ts'
import { actorOf } from '../edge/admission.ts'
import { preconditionOf } from '../edge/conditions.ts'
import { leavingOf } from '../edge/leaving.ts'
import { type Asked, applyPatch, MergePatch } from '../mergepatch.ts'
import { DryRun, dryRun, writing } from '../rehearsal.ts'

const tags = ['hosts']

/** A certificate and those above it (RFC 8555 9.1). */
const pemChain = 'application/pem-certificate-chain'

/** What of a host can be written: what it is asked for, and whether it is asked for at all. */
export const versionedHost = [...Object.keys(HostSpec.properties), 'removedAt']
const params = closed({ tenant: Name, host: HostnameText })

/** A host as it goes, with what was revoked with it. */
const RemovedHost = closed(
  { ...Host.properties, revoked: Type.Array(RevokedWithHost) },
  { title: 'RemovedHost' },
)

/** What may be wrong with what is asked for. */
export const refusedSpecs: readonly ProblemType[] = [
  'tenant-unknown',
  'authority-unknown',
  'cluster-unknown',
  'host-refused',
  'host-conflict',
  'certificate-refused',
  'quota-exceeded',
  'busy',
]

/** Changes some of what a host is asked for. Throws what putHost throws, and host-unknown. */
export function patchHost(
  ctx: Context,
  actor: Actor,
  {
    tenant,
    name,
    asked,
  }: { readonly tenant: string; readonly name: string; readonly asked: Asked },
): Promise<Host> {
  return applyPatch(asked, {
    schema: HostSpec,
    whole: true,
    read: async () => {
      const host = await getHost(ctx, actor, { tenant, name })
      if (host.removedAt === null) return host
      throw new Problem('host-unknown', `"${name}" is being removed: PUT brings it back`)
    },
    write: async (spec, expected) =>
      (await putHost(ctx, actor, { tenant, name, spec }, expected)).host,
  })
}

/** /v1/tenants/{tenant}/hosts */
export const hosts: Routes = {
  putTenantHost(api, ctx) {
    api.put(
      '/tenants/:tenant/hosts/:host',
      {
        config: {
          needs: 'write-hosts',
          versioned: versionedHost,
          problems: refusedSpecs,
        },
        schema: {
          tags,
          summary: 'Make a host what is asked for; the same twice changes nothing',
          description:
            'Its certificate is issued and delivered right after, and renewed for as long as the host is there. Read the host until it is Synced on every cluster.',
          params,
          querystring: closed({ ...SettleQuery.properties, ...dryRun }),
          body: HostSpec,
          response: { 200: Host, 201: Host },
        },
      },
      async (request, reply) => {
        const { tenant, host: name } = request.params
        const asked = { tenant, name, spec: request.body }
        const actor = actorOf(request)
        const { host, created } = await putHost(
          writing(ctx, request),
          actor,
          asked,
          preconditionOf(request),
        )
        reply.code(created ? 201 : 200)
        const { wait, timeout, dryRun: rehearsed } = request.query
        if (wait === undefined || rehearsed) return reply.send(host)
        const waited = { tenant, name, wait, timeout, signal: leavingOf(reply) }
        await waitForHost(ctx, actor, waited)
        return reply.send(await getHost(ctx, actor, asked))
      },
    )
  },

  updateTenantHost(api, ctx) {
    api.patch(
      '/tenants/:tenant/hosts/:host',
      {
        config: {
          needs: 'write-hosts',
          versioned: versionedHost,
          problems: ['tenant-unknown', 'host-unknown', ...refusedSpecs],
        },
        schema: {
          tags,
          consumes: ['application/merge-patch+json', 'application/json'],
          summary: 'Change some of what is asked for, by a merge patch (RFC 7396)',
          description:
            'Members are merged into what GET answers, null takes one away, a list takes the place of the one before. What comes of it is held to all rules of a PUT.',
          params,
          querystring: DryRun,
          body: MergePatch,
          response: { 200: Host },
        },
      },
      (request) => {
        const { tenant, host: name } = request.params
        const { body: patch } = request
        const asked = { patch, asked: preconditionOf(request), members: versionedHost }
        return patchHost(writing(ctx, request), actorOf(request), { tenant, name, asked })
      },
    )
  },

  listTenantHosts(api, ctx) {
    api.get(
      '/tenants/:tenant/hosts',
      {
        config: { needs: 'read', problems: ['tenant-unknown', 'cursor-refused'] },
        schema: {
          tags,
          summary: 'List hosts by name',
          description:
            'With how each stands on its clusters. With limit and cursor; nextCursor is null on the last page.',
          params: closed({ tenant: Name }),
          querystring: HostQuery,
          response: { 200: ListOf(Host) },
        },
      },
      (request) => {
        const { tenant } = request.params
        return listHosts(ctx, actorOf(request), { tenant, ...request.query })
      },
    )
  },

  listHosts(api, ctx) {
    api.get(
      '/hosts',
      {
        config: { needs: 'read', platform: true, problems: ['cursor-refused'] },
        schema: {
          tags,
          summary: 'List the hosts of all tenants',
          description:
            'With how each stands on its clusters. Filters are joined by and. nextCursor is null on the last page.',
          querystring: HostQuery,
          response: { 200: ListOf(Host) },
        },
      },
      (request) => listAllHosts(ctx, actorOf(request), request.query),
    )
  },

  getTenantHost(api, ctx) {
    api.get(
      '/tenants/:tenant/hosts/:host',
      {
        config: {
          needs: 'read',
          versioned: versionedHost,
          problems: ['tenant-unknown', 'host-unknown'],
        },
        schema: {
          tags,
          summary: 'Read a host: what was asked for, and how it stands on each cluster',
          description:
            'Synced: the gateway serves the certificate that was issued. The message says what it waits for, or why it failed.',
          params,
          querystring: WaitQuery,
          response: { 200: Host },
        },
      },
      async (request, reply) => {
        const { tenant, host: name } = request.params
        const actor = actorOf(request)
        const { wait, timeout } = request.query
        if (wait !== undefined) {
          const waited = { tenant, name, wait, timeout, signal: leavingOf(reply) }
          if (!(await waitForHost(ctx, actor, waited))) {
            throw new Problem('busy', 'Too many requests wait already: send it without wait')
          }
        }
        return getHost(ctx, actor, { tenant, name })
      },
    )
  },

  getTenantHostCertificate(api, ctx) {
    api.get(
      '/tenants/:tenant/hosts/:host/certificate',
      {
        config: {
          needs: 'read',
          versioned: ['id', 'status'],
          bears: ['ETag', 'Last-Modified'],
          problems: ['tenant-unknown', 'host-unknown', 'certificate-unknown'],
        },
        schema: {
          tags,
          summary: 'Read the certificate that a host has in use, at one URL across renewals',
          description: `With Accept: ${pemChain} as PEM, the chain after it. Those that it had before: GET …/certificates?host=.`,
          params,
          response: {
            200: {
              description: 'The certificate',
              content: {
                'application/json': { schema: Certificate },
                [pemChain]: { schema: Type.String() },
              },
            },
            304: Type.Null({ description: 'It is the one that you have' }),
          },
        },
      },
      async (request, reply) => {
        const found = await getHostCertificate(ctx, actorOf(request), request.params)
        reply.header('vary', 'accept')
        reply.header('last-modified', new Date(found.createdAt).toUTCString())
        if (!request.headers.accept?.includes(pemChain)) return found
        const etag = `"${found.fingerprintSha256}.pem"`
        reply.header('etag', etag).header('cache-control', 'private, no-cache')
        const known = request.headers['if-none-match']?.includes(etag)
        if (known) return reply.code(304).send(null)
        return reply.type(pemChain).send(`${found.pem}${found.chainPem}`)
      },
    )
  },

  getTenantHostHistory(api, ctx) {
    api.get(
      '/tenants/:tenant/hosts/:host/history',
      {
        config: {
          needs: 'read-audit',
          problems: ['tenant-unknown', 'host-unknown', 'cursor-refused'],
        },
        schema: {
          tags,
          summary: 'What was done to a host, newest first: its events in the audit trail',
          description:
            'Who asked for what, when, and what changed; also of a host that is gone. With limit and cursor; nextCursor is null on the last page.',
          params,
          querystring: HistoryQuery,
          response: { 200: ListOf(AuditEvent) },
        },
      },
      (request) => {
        const { tenant, host: name } = request.params
        return hostHistory(ctx, actorOf(request), { tenant, name, query: request.query })
      },
    )
  },

  deleteTenantHost(api, ctx) {
    api.delete(
      '/tenants/:tenant/hosts/:host',
      {
        config: {
          needs: 'write-hosts',
          versioned: versionedHost,
          problems: ['tenant-unknown', 'host-unknown'],
        },
        schema: {
          tags,
          summary: 'Take a host off all its clusters; it is gone when GET answers 404',
          description:
            'Its Gateway, routes and Secrets are removed; its certificates stay on record. With onRemoval "revoke", of the host or of its tenant, those in force are revoked too, and answered.',
          params,
          querystring: DryRun,
          response: { 202: RemovedHost },
        },
      },
      async (request, reply) => {
        const { tenant, host: name } = request.params
        const expected = preconditionOf(request)
        const asked = { tenant, name }
        const on = writing(ctx, request)
        const { host, revoked } = await retireHost(on, actorOf(request), asked, expected)
        return reply.code(202).send({ ...host, revoked })
      },
    )
  },

  planTenantHost(api, ctx) {
    api.post(
      '/tenants/:tenant/hosts/:host/plan',
      {
        config: {
          needs: 'read',
          problems: [
            'tenant-unknown',
            'host-unknown',
            'authority-unknown',
            'cluster-unknown',
            'host-refused',
            'busy',
          ],
        },
        schema: {
          tags,
          summary: 'What a push would change on each cluster, and what it would collide with',
          description:
            'By a dry run on each cluster: objects to create, to change field by field and to remove, and what is in the way. Nothing is written.',
          params,
          body: Type.Union([PlanRequest, Type.Null()]),
          response: { 200: HostPlan },
        },
      },
      (request) => {
        const { tenant, host: name } = request.params
        return planHost(ctx, actorOf(request), { tenant, name, asked: request.body ?? {} })
      },
    )
  },

  probeTenantHost(api, ctx) {
    api.post(
      '/tenants/:tenant/hosts/:host/probe',
      {
        config: {
          needs: 'read',
          problems: [
            'host-refused',
            'tenant-unknown',
            'host-unknown',
            'certificate-unknown',
            'authority-unknown',
            'authority-keyless',
            'busy',
          ],
        },
        schema: {
          tags,
          summary: 'Ask each ingress for the host as a client would, now',
          description:
            'The handshake with SNI, the chain, TLS versions, the answer to a request, timings, and whether that is as expected. MUTUAL hosts are asked with and without a client certificate.',
          params,
          body: Type.Union([ProbeRequest, Type.Null()]),
          response: { 200: ProbeResults },
        },
      },
      (request) => {
        const { tenant, host: name } = request.params
        return probeHost(ctx, actorOf(request), { tenant, name, asked: request.body ?? {} })
      },
    )
  },
}

import Type from 'typebox'
import { RevokedWithHost, retireHost } from '../../../certificates/hosts/remove.ts'
import type { Actor } from '../../../core/actor.ts'
import type { Context } from '../../../core/context.ts'
import { Host, HostSpec } from '../../../hosts/host.ts'
import { putHost } from '../../../hosts/put.ts'
import { refuse } from '../../../shared/problem.ts'
import { closed, HostnameText, Name, ProblemDocument } from '../../../shared/schema.ts'
import type { Routes } from '../../api.ts'
import { actorOf } from '../../edge/admission.ts'
import { expecting, tagArgument } from '../../edge/conditions.ts'
import { idempotent } from '../../idempotency.ts'
import { MergePatch } from '../../mergepatch.ts'
import { DryRun, writing } from '../../rehearsal.ts'
import { patchHost, refusedSpecs, versionedHost } from '../hosts.ts'
import { eachForItself, status } from './outcomes.ts'

/** One of many changes: what is done, to which host. */
const HostChange = closed(
  {
    action: Type.Enum(['put', 'patch', 'remove'], { title: 'HostAction' }),
    name: HostnameText,
    spec: Type.Optional(HostSpec),
    patch: Type.Optional(MergePatch),
    ifMatch: tagArgument('Only if it still has this ETag, or, with *, if it is there'),
    ifNoneMatch: tagArgument('With *: only if it is not there yet'),
  },
  { title: 'HostChange', description: 'put takes spec, patch takes patch, remove takes neither' },
)
type HostChange = Type.Static<typeof HostChange>

const HostChanges = closed(
  { items: Type.Array(HostChange, { minItems: 1, maxItems: 200 }) },
  {
    title: 'NewHostBatch',
    examples: [
      {
        items: [
          {
            action: 'put',
            name: 'helloworld.example.com',
            spec: {
              routes: [{ to: { service: 'helloworld', namespace: 'test', port: 5000 } }],
              clusters: ['sandbox'],
            },
          },
        ],
      },
    ],
  },
)

const Outcomes = closed(
  {
    items: Type.Array(
      Type.Union(
        [
          closed(
            { status, host: Host, revoked: Type.Optional(Type.Array(RevokedWithHost)) },
            { title: 'ChangedHostItem' },
          ),
          closed({ status, problem: ProblemDocument }, { title: 'RefusedHostItem' }),
        ],
        { title: 'HostBatchItem', description: 'It was done, or why it was not' },
      ),
    ),
  },
  { title: 'HostBatch' },
)

/** /v1/tenants/{tenant}/hosts:batch */
export const hostBatches: Routes = {
  batchTenantHosts(api, ctx) {
    api.post(
      // Two colons are one: the name of a custom method (AIP-136), not a parameter.
      '/tenants/:tenant/hosts::batch',
      {
        ...idempotent(ctx),
        config: { idempotent: true, needs: 'write-hosts', problems: refusedSpecs },
        schema: {
          tags: ['hosts'],
          summary:
            'Put, patch and remove up to 200 hosts, each for itself; answers in the same order',
          description:
            'One after the other, each in a transaction of its own, as the request for it alone would be. One that is refused does not hold up the next: its place holds the problem instead. Sent again, what is done already changes nothing. A rehearsal (dryRun) tries each by itself.',
          params: closed({ tenant: Name }),
          querystring: DryRun,
          body: HostChanges,
          response: { 200: Outcomes },
        },
      },
      async (request) => {
        const { tenant } = request.params
        const [on, actor] = [writing(ctx, request), actorOf(request)]
        const change = (item: HostChange) => changed(on, actor, { tenant, item })
        return { items: await eachForItself(request.body.items, request.id, change) }
      },
    )
  },
}

type Changed = {
  readonly status: number
  readonly host: Host
  readonly revoked?: Type.Static<typeof RevokedWithHost>[]
}

/** Throws what the request for this one alone would be refused for. */
async function changed(
  ctx: Context,
  actor: Actor,
  { tenant, item }: { readonly tenant: string; readonly item: HostChange },
): Promise<Changed> {
  const { action, name, spec, patch } = item
  refuse('request-invalid', misplaced(item))
  const expected = expecting(item, versionedHost)
  if (action === 'put' && spec) {
    const { host, created } = await putHost(ctx, actor, { tenant, name, spec }, expected)
    return { status: created ? 201 : 200, host }
  }
  if (action === 'patch') {
    const asked = { patch, asked: expected, members: versionedHost }
    return { status: 200, host: await patchHost(ctx, actor, { tenant, name, asked }) }
  }
  return { status: 202, ...(await retireHost(ctx, actor, { tenant, name }, expected)) }
}

function misplaced({ action, spec, patch }: HostChange) {
  const members = [
    { field: '/spec', given: spec !== undefined, wanted: action === 'put' },
    { field: '/patch', given: patch !== undefined, wanted: action === 'patch' },
  ]
  return members
    .filter(({ given, wanted }) => given !== wanted)
    .map(({ field, wanted }) => ({
      field,
      message: wanted ? `${action} needs it` : `${action} does not take it`,
    }))
}

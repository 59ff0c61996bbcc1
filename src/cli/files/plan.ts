import { answerOf, type Schemas } from '@gatesmith/client'
import { exits, type Io } from '../io.ts'
import { asData, isData, painted, printable } from '../print.ts'
import { openSession, type Session, tenantOf } from '../session/contexts.ts'
import type { FileOptions } from './apply.ts'
import { readManifests } from './documents.ts'

/** `gatesmith plan`: what the hosts of the files would change on their clusters, object by object. */
export async function plan(io: Io, options: FileOptions): Promise<number> {
  const found = await readManifests(io, options.filename, options.recursive ?? false)
  const session = await openSession(io, options)
  const plans: Schemas['HostPlan'][] = []
  for (const {
    manifest: { kind, metadata, spec },
  } of found) {
    if (kind !== 'Host') continue
    const path = { tenant: metadata.tenant ?? tenantOf(session), host: metadata.name }
    const { labels = {} } = metadata
    const body = JSON.parse(JSON.stringify({ spec: { ...spec, labels } }))
    plans.push(
      await answerOf(
        session.client.POST('/v1/tenants/{tenant}/hosts/{host}/plan', { params: { path }, body }),
      ),
    )
  }
  return printPlans(session, plans)
}

/** Answers 1 when something is in the way. */
async function printPlans(
  { io, output }: Session,
  plans: readonly Schemas['HostPlan'][],
): Promise<number> {
  const places = plans.flatMap(({ clusters }) => clusters)
  const blocked = places.some(({ conflicts, error, changes }) =>
    [...conflicts, error, ...changes.map(({ refused }) => refused)].some(Boolean),
  )
  if (isData(output)) io.out.write(await asData(output, { items: plans }))
  else {
    for (const { host, clusters } of plans) {
      for (const { cluster, ingress, changes, conflicts, warnings, error } of clusters) {
        io.out.write(`${painted(io, 'bold', host)} on ${cluster} (${ingress})\n`)
        for (const { action, kind, namespace, name, fields, refused } of changes) {
          io.out.write(`  ${action.padEnd(7)} ${kind} ${namespace}/${name}\n`)
          for (const { change, pointer } of fields)
            io.out.write(`    ${change} ${printable(pointer)}\n`)
          if (refused !== null) io.out.write(`    refused: ${printable(refused)}\n`)
        }
        for (const each of conflicts) io.out.write(`  conflict: ${printable(each)}\n`)
        for (const each of warnings) io.out.write(`  warning: ${printable(each)}\n`)
        if (error !== null) io.out.write(`  cannot be planned: ${printable(error)}\n`)
      }
    }
  }
  return blocked ? exits.no : exits.done
}

import { each, type Schemas } from '@gatesmith/client'
import type { Io } from '../io.ts'
import { hostsOf, queryOf } from '../nouns.ts'
import { yamlOf } from '../print.ts'
import { openSession, type Remote } from '../session/contexts.ts'
import type { Kind, Manifest } from './documents.ts'
import { authorityManifest, clusterManifest, hostManifest, tenantManifest } from './states.ts'

/** `gatesmith export`: what is there, as files that apply without a change; of the session's tenant, or everything. */
export async function exportAll(
  io: Io,
  options: Remote & { readonly selector?: string; readonly kind?: readonly string[] },
): Promise<void> {
  const session = await openSession(io, options)
  const { client, tenant } = session
  const wants = (kind: Kind) =>
    options.kind === undefined ||
    options.kind.some((each) => each.toLowerCase() === kind.toLowerCase())
  const label = options.selector
  const filters = { limit: '200', label }
  const write = async (manifest: Manifest) => io.out.write(`---\n${await yamlOf(manifest)}`)
  if (tenant === undefined && label === undefined) {
    if (wants('Authority')) {
      for await (const authority of each<Schemas['Authority']>((page) =>
        client.GET('/v1/authorities', queryOf({ limit: '200', ...page })),
      )) {
        if (authority.retiredAt === null) await write(authorityManifest(authority))
      }
    }
    if (wants('Cluster')) {
      for await (const cluster of each<Schemas['Cluster']>((page) =>
        client.GET('/v1/clusters', queryOf({ limit: '200', ...page })),
      )) {
        await write(clusterManifest(cluster))
      }
    }
  }
  if (wants('Tenant')) {
    for await (const one of each<Schemas['Tenant']>((page) =>
      client.GET('/v1/tenants', queryOf({ ...filters, ...page })),
    )) {
      if (tenant === undefined || one.name === tenant) await write(tenantManifest(one))
    }
  }
  if (wants('Host')) {
    for await (const host of hostsOf(session, filters)) {
      if (host.removedAt === null) await write(hostManifest(host))
    }
  }
}

import { answerOf, ProblemError, type Schemas } from '@gatesmith/client'
import { type Session, tenantOf } from '../contexts.ts'
import { CommandError, exits } from '../io.ts'
import { apiVersion, isRecord, type Kind, type Manifest, type Spec } from './documents.ts'

/** How one kind of thing is read and written, as manifests. */
export type State = {
  /** As the service has it, undefined where it has none. */
  readonly read: (session: Session, wanted: Manifest) => Promise<Manifest | undefined>
  /** Makes it so; answers what it is, or would be with `dryRun`. */
  readonly write: (session: Session, change: Change) => Promise<Manifest>
}

export type Change = {
  readonly wanted: Manifest
  readonly before: Manifest | undefined
  readonly dryRun: boolean
  /** Send credentials to a cluster that is registered already, too. */
  readonly credentials: boolean
}

/** A host as a manifest that applies without a change. */
export function hostManifest(host: Schemas['Host']): Manifest {
  const { name, tenant, labels, ...rest } = host
  const { generation: _, createdAt: _1, updatedAt: _2, removedAt: _3, status: _4, ...spec } = rest
  return manifest('Host', { name, tenant, ...labelled(labels) }, spec)
}

/** A tenant as a manifest. */
export function tenantManifest(tenant: Schemas['Tenant']): Manifest {
  const { name, labels, ...rest } = tenant
  const { usage: _, createdAt: _1, updatedAt: _2, ...spec } = rest
  return manifest('Tenant', { name, ...labelled(labels) }, spec)
}

/** An authority as a manifest: what can be asked for, not what was signed. */
export function authorityManifest(authority: Schemas['Authority']): Manifest {
  const { name, displayName, kind, parent, tenant, subject, keyAlgorithm, outlive } = authority
  const { crlShards, listOverflow, pathLength, nameConstraints, profiles } = authority
  const { maxValidityDays, defaultValidityDays } = authority
  const said = { displayName, kind, parent, tenant, subject, keyAlgorithm, outlive, crlShards }
  const limits = { listOverflow, pathLength, nameConstraints, maxValidityDays, defaultValidityDays }
  return manifest('Authority', { name }, { ...said, ...limits, profiles })
}

/** A cluster as a manifest. Credentials are never answered, so they are not in it. */
export function clusterManifest(cluster: Schemas['Cluster']): Manifest {
  const { name, server, ingress, ingresses, api, drift } = cluster
  return manifest('Cluster', { name }, { server, ingress, ingresses, api, drift })
}

export const states: Readonly<Record<Kind, State>> = {
  Host: {
    read: async (session, { metadata }) => {
      const path = { tenant: tenantIn(session, metadata), host: metadata.name }
      const found = await unlessUnknown(
        session.client.GET('/v1/tenants/{tenant}/hosts/{host}', { params: { path } }),
      )
      return found === undefined || found.removedAt !== null ? undefined : hostManifest(found)
    },
    write: async (session, { wanted: { metadata, spec }, dryRun }) => {
      const path = { tenant: tenantIn(session, metadata), host: metadata.name }
      const body = bodyOf({ ...spec, ...labelled(metadata.labels) })
      const params = { path, query: dryRun ? { dryRun } : {} }
      const call = session.client.PUT('/v1/tenants/{tenant}/hosts/{host}', { params, body })
      return hostManifest(await answerOf(call))
    },
  },
  Tenant: {
    read: async ({ client }, { metadata }) => {
      const path = { tenant: metadata.name }
      const found = await unlessUnknown(client.GET('/v1/tenants/{tenant}', { params: { path } }))
      return found && tenantManifest(found)
    },
    write: async ({ client }, { wanted, before, dryRun }) => {
      const { metadata, spec } = wanted
      const body = bodyOf({ ...spec, ...labelled(metadata.labels) })
      const { name } = metadata
      if (before) {
        const params = { path: { tenant: name }, query: dryRun ? { dryRun } : {} }
        const changed = await answerOf(client.PATCH('/v1/tenants/{tenant}', { params, body }))
        const { affected: _, ...tenant } = changed
        return tenantManifest(tenant)
      }
      if (dryRun) return wanted
      const made = await answerOf(client.POST('/v1/tenants', { body: { ...body, name } }))
      const { affected: _, ...tenant } = made
      return tenantManifest(tenant)
    },
  },
  Authority: {
    read: async ({ client }, { metadata }) => {
      const path = { authority: metadata.name }
      const found = await unlessUnknown(
        client.GET('/v1/authorities/{authority}', { params: { path } }),
      )
      return found && authorityManifest(found)
    },
    write: writeAuthority,
  },
  Cluster: {
    read: async ({ client }, { metadata }) => {
      const path = { cluster: metadata.name }
      const found = await unlessUnknown(client.GET('/v1/clusters/{cluster}', { params: { path } }))
      return found && clusterManifest(found)
    },
    write: writeCluster,
  },
}

async function writeAuthority({ client }: Session, change: Change): Promise<Manifest> {
  const { wanted, before, dryRun } = change
  const { name } = wanted.metadata
  if (before) {
    const patch = patchOf(wanted.spec)
    if (Object.keys(patch).length === 0) return before
    const params = { path: { authority: name }, query: dryRun ? { dryRun } : {} }
    const call = client.PATCH('/v1/authorities/{authority}', { params, body: bodyOf(patch) })
    const after = authorityManifest(await answerOf(call))
    refuseFixed(wanted, after)
    return after
  }
  if (dryRun) return wanted
  const body = { ...bodyOf(withoutNull(wanted.spec)), name }
  const call =
    'certificate' in wanted.spec
      ? client.POST('/v1/authorities/import', { body })
      : client.POST('/v1/authorities', { body })
  return authorityManifest(await answerOf(call))
}

async function writeCluster({ client }: Session, change: Change): Promise<Manifest> {
  const { wanted, before, dryRun, credentials } = change
  const { name } = wanted.metadata
  if (!before && dryRun) return withoutSecrets(wanted)
  const spec = before && !credentials ? withoutSecrets(wanted).spec : wanted.spec
  if (!before) {
    const body = { ...bodyOf(withoutNull(spec)), name }
    return clusterManifest(await answerOf(client.POST('/v1/clusters', { body })))
  }
  // With a kubeconfig the server is the one that it names, and is not said beside it.
  const { server: _, ...rest } = spec
  const sent = credentials && 'token' in spec ? spec : rest
  const params = { path: { cluster: name }, query: dryRun ? { dryRun } : {} }
  const call = client.PATCH('/v1/clusters/{cluster}', { params, body: bodyOf(sent) })
  return clusterManifest(await answerOf(call))
}

/** What of an authority can be changed. */
function patchOf(spec: Spec): Spec {
  const changeable = ['displayName', 'maxValidityDays', 'defaultValidityDays', 'profiles']
  const more = ['outlive', 'listOverflow', 'retired']
  return Object.fromEntries(
    Object.entries(spec).filter(([name]) => [...changeable, ...more].includes(name)),
  )
}

/** What a certificate was signed with stays as it is. */
function refuseFixed(wanted: Manifest, after: Manifest): void {
  const fixed = ['kind', 'parent', 'tenant', 'keyAlgorithm', 'crlShards', 'pathLength']
  const other = fixed.filter(
    (name) => name in wanted.spec && wanted.spec[name] !== after.spec[name],
  )
  if (other.length === 0) return
  throw new CommandError(
    `authority/${wanted.metadata.name}: ${other.join(', ')} cannot be changed; make another authority`,
    exits.conflict,
  )
}

function withoutSecrets(wanted: Manifest): Manifest {
  const { kubeconfig: _, token: _1, ca: _2, ...spec } = wanted.spec
  return { ...wanted, spec }
}

const withoutNull = (spec: Spec): Spec =>
  Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== null))

/** A spec as a body: the service reads it by its schema, and names every rule that it breaks. */
function bodyOf(spec: Spec): ReturnType<typeof JSON.parse> {
  return JSON.parse(JSON.stringify(spec))
}

function tenantIn(session: Session, { tenant, name }: Manifest['metadata']): string {
  if (tenant === undefined && session.tenant === undefined) {
    throw new CommandError(`host/${name}: say metadata.tenant in the file, or --tenant`)
  }
  return tenant ?? tenantOf(session)
}

function labelled(labels: Readonly<Record<string, string>> | undefined) {
  return labels && Object.keys(labels).length > 0 ? { labels } : {}
}

function manifest(kind: Kind, metadata: Manifest['metadata'], spec: object): Manifest {
  return { apiVersion, kind, metadata, spec: isRecord(spec) ? spec : {} }
}

async function unlessUnknown<T>(call: Promise<{ data?: T }>): Promise<T | undefined> {
  try {
    return (await call).data
  } catch (error) {
    const unknown = /^(host|tenant|authority|cluster)-unknown$/
    if (error instanceof ProblemError && unknown.test(error.type)) return undefined
    throw error
  }
}

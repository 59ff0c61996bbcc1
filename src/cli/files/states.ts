import { answerOf, ProblemError, type Schemas } from '@gatesmith/client'
import { CommandError } from '../io.ts'
import { type Session, tenantOf } from '../session/contexts.ts'
import { apiVersion, isRecord, type Kind, type Manifest, type Spec } from './documents.ts'
import { changeableOf, refuseOtherAuthority, refuseOtherServer } from './fixed.ts'

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
  const { maxValidityDays, defaultValidityDays, approval, retiredAt } = authority
  const said = { displayName, kind, parent, tenant, subject, keyAlgorithm, outlive, crlShards }
  const limits = { listOverflow, pathLength, nameConstraints, maxValidityDays, defaultValidityDays }
  // One that signs is not made with `retired`.
  const retired = retiredAt === null ? {} : { retired: true }
  if (authority.acme) {
    return manifest(
      'Authority',
      { name },
      { displayName, kind, tenant, ...ofCa(authority.acme), ...retired },
    )
  }
  return manifest('Authority', { name }, { ...said, ...limits, profiles, approval, ...retired })
}

/** What is said of an account with a CA elsewhere, without its secrets, which are never answered. */
function ofCa({
  directory,
  contact,
  trustedRoots,
  profile,
  challenge,
}: Schemas['CaAccount']): Spec {
  const said = { directory, contact, trustedRoots, profile, challenge: { ...challenge } }
  return { ...said, termsOfServiceAgreed: true }
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
      const { labels, name } = metadata
      const body = bodyOf({ ...spec, ...(labels ? { labels } : {}) })
      const query = dryRun ? { dryRun } : {}
      const params = { path: { tenant: name }, query }
      const call = before
        ? client.PATCH('/v1/tenants/{tenant}', { params, body })
        : client.POST('/v1/tenants', { params: { query }, body: { ...body, name } })
      const { affected: _, ...tenant } = await answerOf(call)
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

async function writeAuthority(session: Session, change: Change): Promise<Manifest> {
  const { client } = session
  const { wanted, before, dryRun } = change
  const { name } = wanted.metadata
  const query = dryRun ? { dryRun } : {}
  if (before) {
    const path = { authority: name }
    const found = await answerOf(client.GET('/v1/authorities/{authority}', { params: { path } }))
    await refuseOtherAuthority(session, wanted, found)
    const patch = changeableOf(wanted.spec, found)
    if (Object.keys(patch).length === 0) return before
    const params = { path, query }
    const call = client.PATCH('/v1/authorities/{authority}', { params, body: bodyOf(patch) })
    return authorityManifest(await answerOf(call))
  }
  const body = { ...bodyOf(withoutNull(wanted.spec)), name }
  const params = { query }
  const call =
    'certificate' in wanted.spec || 'pkcs12' in wanted.spec
      ? client.POST('/v1/authorities/import', { params, body })
      : client.POST('/v1/authorities', { params, body })
  return authorityManifest(await answerOf(call))
}

async function writeCluster({ client }: Session, change: Change): Promise<Manifest> {
  const { wanted, before, dryRun, credentials } = change
  const { name } = wanted.metadata
  const query = dryRun ? { dryRun } : {}
  if (!before) {
    const body = { ...bodyOf(withoutNull(wanted.spec)), name }
    return clusterManifest(await answerOf(client.POST('/v1/clusters', { params: { query }, body })))
  }
  if (!credentials) await refuseOtherServer(wanted, before)
  const spec = credentials ? wanted.spec : withoutSecrets(wanted.spec)
  const { server: _, ...rest } = spec
  // With a kubeconfig the server is the one that it names, and is not said beside it.
  const sent = credentials && 'token' in spec ? spec : rest
  const body = bodyOf({ ...sent, ...wholeIngresses(spec, before.spec) })
  const params = { path: { cluster: name }, query }
  return clusterManifest(await answerOf(client.PATCH('/v1/clusters/{cluster}', { params, body })))
}

/** A file that says further ingresses says all of them: null takes one away. */
function wholeIngresses(spec: Spec, { ingresses: found }: Spec): Spec {
  if (!isRecord(spec.ingresses) || !isRecord(found)) return {}
  const gone = Object.keys(found).map((name) => [name, null] as const)
  return { ingresses: { ...Object.fromEntries(gone), ...spec.ingresses } }
}

/** A cluster's spec without its credentials. */
export function withoutSecrets(spec: Spec): Spec {
  const { kubeconfig: _, token: _1, ca: _2, ...rest } = spec
  return rest
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

import { readdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { base64Of, CommandError, type Io, inputOf, textOf } from '../io.ts'

/** The kinds that files may hold, in the order in which they need each other. */
export const kinds = ['Authority', 'Cluster', 'Tenant', 'Host'] as const
export type Kind = (typeof kinds)[number]

/** A thing as a file says it. */
export type Manifest = {
  readonly apiVersion: typeof apiVersion
  readonly kind: Kind
  readonly metadata: {
    readonly name: string
    readonly tenant?: string
    readonly labels?: Readonly<Record<string, string>>
  }
  /** What the service reads by its own schema, and refuses with every rule that it breaks. */
  readonly spec: Spec
}

export type Spec = Readonly<Record<string, unknown>>

export const apiVersion = 'gatesmith.dev/v1'

/** Members that hold secrets or PEM; they may stand in a file beside: `kubeconfigFile: ./kubeconfig`. */
export const inFiles = [
  ...(['kubeconfig', 'ca', 'token'] as const),
  ...(['certificate', 'privateKey', 'pkcs12', 'passphrase'] as const),
] as const

/** A manifest and where it stands. */
export type Found = { readonly manifest: Manifest; readonly at: string }

/** All manifests of files, directories (.yaml, .yml and .json in them) and `-` (the standard input), in the order in
 *  which they can be applied. Throws all that is wrong with them at once. */
export async function readManifests(
  io: Io,
  paths: readonly string[],
  recursive: boolean,
): Promise<readonly Found[]> {
  const { parseAllDocuments } = await import('yaml')
  const found: Found[] = []
  const wrong: string[] = []
  for (const path of paths) {
    for (const file of path === '-' ? ['-'] : await filesOf(path, recursive)) {
      const text = file === '-' ? await inputOf(io) : await textOf(file)
      const documents = [...parseAllDocuments(text, { uniqueKeys: true })]
      for (const [index, document] of documents.entries()) {
        const at = documents.length > 1 ? `${file}, document ${index + 1}` : file
        const [error] = document.errors
        const value: unknown = error ? undefined : document.toJS({ maxAliasCount: 100 })
        if (!error && value === null) continue
        const fault = error?.message.split('\n')[0] ?? faultOf(value)
        if (fault !== undefined) wrong.push(`${at}: ${fault}`)
        else if (isManifest(value)) {
          const folder = file === '-' ? '.' : dirname(file)
          found.push({ manifest: await withFiles(value, folder), at })
        }
      }
    }
  }
  wrong.push(...twins(found))
  if (wrong.length > 0) throw new CommandError(wrong.join('\n'))
  if (found.length === 0) throw new CommandError(`Nothing to apply in ${paths.join(', ')}`)
  return inOrder(found)
}

/** What a manifest is called in messages. */
export function labelOf({ kind, metadata: { name, tenant } }: Manifest): string {
  const whose = tenant === undefined ? '' : ` (${tenant})`
  return `${kind.toLowerCase()}/${name}${whose}`
}

async function filesOf(path: string, recursive: boolean): Promise<readonly string[]> {
  const found = await stat(path).catch(() => {
    throw new CommandError(`${path} is not there`)
  })
  if (!found.isDirectory()) return [path]
  const names = await readdir(path, { recursive })
  const files = names.filter((name) => /\.(ya?ml|json)$/.test(name)).sort()
  return files.map((name) => join(path, name))
}

function faultOf(value: unknown): string | undefined {
  if (!isRecord(value)) return 'this is no mapping'
  const { apiVersion: version, kind, metadata, spec, ...more } = value
  if (version !== apiVersion) return `apiVersion has to be ${apiVersion}`
  if (!kinds.some((each) => each === kind)) return `kind has to be one of ${kinds.join(', ')}`
  if (!isRecord(metadata) || typeof metadata.name !== 'string' || metadata.name === '') {
    return 'metadata.name is missing'
  }
  const { name: _, tenant, labels, ...others } = metadata
  const unknown = [...Object.keys(more), ...Object.keys(others).map((key) => `metadata.${key}`)]
  if (unknown.length > 0) return `${unknown.join(', ')}: unknown here`
  if (tenant !== undefined && (kind !== 'Host' || typeof tenant !== 'string')) {
    return 'metadata.tenant is the name of a tenant, and hosts alone have it'
  }
  if (labels !== undefined) {
    if (kind !== 'Host' && kind !== 'Tenant')
      return 'metadata.labels: hosts and tenants alone have them'
    if (!isRecord(labels)) return 'metadata.labels is no mapping'
  }
  if (spec !== undefined && !isRecord(spec)) return 'spec is no mapping'
  return undefined
}

function isManifest(value: unknown): value is Manifest {
  return faultOf(value) === undefined
}

async function withFiles(manifest: Manifest, folder: string): Promise<Manifest> {
  const spec: Record<string, unknown> = { ...manifest.spec }
  for (const member of inFiles) {
    const path = spec[`${member}File`]
    if (manifest.kind === 'Host' || typeof path !== 'string') continue
    delete spec[`${member}File`]
    const read = member === 'pkcs12' ? base64Of : textOf
    const text = await read(resolve(folder, path), `${labelOf(manifest)}: ${member}File`)
    spec[member] = inOneLine.has(member) ? text.trim() : text
  }
  return { ...manifest, spec }
}

const inOneLine: ReadonlySet<string> = new Set(['token', 'passphrase'])

function twins(found: readonly Found[]): readonly string[] {
  const groups = Map.groupBy(found, ({ manifest }) => labelOf(manifest))
  return [...groups].flatMap(([label, all]) =>
    all.length > 1 ? [`${label} is said twice: ${all.map(({ at }) => at).join('; ')}`] : [],
  )
}

/** Kind by kind, and an authority behind its parent. */
function inOrder(found: readonly Found[]): readonly Found[] {
  const parents = new Map(
    found.flatMap(({ manifest: { kind, metadata, spec } }) =>
      kind === 'Authority' ? [[metadata.name, spec.parent]] : [],
    ),
  )
  const depth = (name: unknown, seen = 0): number =>
    typeof name === 'string' && parents.has(name) && seen < parents.size
      ? 1 + depth(parents.get(name), seen + 1)
      : 0
  const rank = ({ manifest: { kind, metadata } }: Found) =>
    kinds.indexOf(kind) * 1000 + (kind === 'Authority' ? depth(metadata.name) : 0)
  return found.toSorted((a, b) => rank(a) - rank(b))
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

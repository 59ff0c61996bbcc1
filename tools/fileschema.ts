import { apiVersion, inFiles, type Kind, kinds } from '../src/cli/files/documents.ts'
import type { Contract } from './clienttypes.ts'

type Schema = Contract['components']['schemas'][string]

/** The shapes of the contract that a kind's `spec` is sent as: made, imported, changed. */
const shapes: Readonly<Record<Kind, readonly string[]>> = {
  Host: ['HostSpec'],
  Tenant: ['NewTenant', 'TenantPatch'],
  Authority: ['NewAuthority', 'ImportedAuthority', 'AuthorityPatch'],
  Cluster: ['NewCluster', 'ClusterPatch'],
}

/** What `apply` takes as a JSON Schema for editors, out of the contract. It is of draft 7, which the language server of
 *  YAML reads. A file may say less than a whole tenant, authority or cluster, since what is left out stays as it is; and
 *  null where `export` says it. */
export function fileSchema({ paths, components: { schemas } }: Contract): object {
  const host = paths['/v1/tenants/{tenant}/hosts/{host}']?.put?.parameters?.find(
    (each) => 'name' in each && each.name === 'host',
  )
  if (!host || !('schema' in host)) throw new Error('PUT of a host has no parameter {host}')
  const tenantName = schemas.NewTenant?.properties?.name
  const of = {
    Host: { name: host.schema, tenant: tenantName, labels: refTo('Labels') },
    Tenant: { name: tenantName, labels: refTo('Labels') },
    Authority: { name: schemas.NewAuthority?.properties?.name },
    Cluster: { name: schemas.NewCluster?.properties?.name },
  }
  const said = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'A document of a file that gatesmith apply takes',
    type: 'object',
    properties: {
      apiVersion: { const: apiVersion },
      kind: { enum: kinds },
      metadata: { type: 'object' },
      spec: { type: 'object' },
    },
    required: ['apiVersion', 'kind', 'metadata', 'spec'],
    additionalProperties: false,
    allOf: kinds.map((kind) => ({
      if: { properties: { kind: { const: kind } }, required: ['kind'] },
      // biome-ignore lint/suspicious/noThenProperty: JSON Schema's own word
      then: {
        properties: {
          metadata: {
            type: 'object',
            properties: of[kind],
            required: ['name'],
            additionalProperties: false,
          },
          spec: specOf(kind, schemas),
        },
      },
    })),
  }
  return rehomed({ ...said, definitions: reached(said, schemas) })
}

function specOf(kind: Kind, schemas: Contract['components']['schemas']): object {
  const members = new Map<string, Schema[]>()
  for (const shape of shapes[kind]) {
    for (const [name, schema] of Object.entries(schemas[shape]?.properties ?? {})) {
      if (name === 'name' || name === 'labels') continue
      const known = members.get(name) ?? []
      if (!known.some((each) => isSame(each, schema))) members.set(name, [...known, schema])
    }
  }
  // What an authority or a cluster is made without is exported as null.
  const more: readonly Schema[] =
    kind === 'Authority' || kind === 'Cluster' ? [{ type: 'null' }] : []
  const properties = [...members].map(([name, choices]) => {
    const [first, ...others] = [...choices, ...more]
    const { description } = choices[0] ?? {}
    const told = description === undefined ? {} : { description }
    return [name, others.length === 0 ? first : { ...told, anyOf: [first, ...others] }] as const
  })
  const beside = inFiles.flatMap((name) => {
    const description = `A file, beside this one, with ${name}`
    return kind !== 'Host' && members.has(name)
      ? [[`${name}File`, { type: 'string', minLength: 1, description }] as const]
      : []
  })
  const required = kind === 'Host' ? { required: schemas.HostSpec?.required ?? [] } : {}
  return {
    type: 'object',
    properties: Object.fromEntries([...properties, ...beside]),
    ...required,
    additionalProperties: false,
  }
}

const isSame = (a: Schema, b: Schema) => JSON.stringify(a) === JSON.stringify(b)

const ofContract = '#/components/schemas/'
const refTo = (name: string) => ({ $ref: `${ofContract}${name}` })

/** The shapes that a schema refers to, and those that they do, by name. */
function reached(schema: object, schemas: Contract['components']['schemas']): object {
  const names = new Set<string>()
  const visit = (text: string) => {
    for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (names.has(name)) continue
      names.add(name)
      visit(JSON.stringify(schemas[name]))
    }
  }
  visit(JSON.stringify(schema))
  return Object.fromEntries([...names].toSorted().map((name) => [name, schemas[name]]))
}

/** References lead to this document's own definitions. */
function rehomed(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll(`"${ofContract}`, '"#/definitions/'))
}

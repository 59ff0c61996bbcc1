import { at, type Fields, fields, isFields, type Json, list, text, texts } from './json.ts'

/** One column of `kubectl get`. */
export type Column = {
  readonly name: string
  readonly cell: (object: Fields, now: Date) => Json
}

/** A kind of object the sandbox stores. `versions` are served from one storage, preferred first. */
export type Kind = {
  readonly group: string
  readonly versions: readonly string[]
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly namespaced: boolean
  /** Does metadata.generation count changes of spec? */
  readonly generations: boolean
  readonly columns: readonly Column[]
}

const age: Column = {
  name: 'Age',
  cell: (object, now) =>
    duration(now.getTime() - Date.parse(text(object, 'metadata', 'creationTimestamp'))),
}
const name: Column = { name: 'Name', cell: (object) => text(object, 'metadata', 'name') }

function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}

function count(member: string): Column {
  return { name: 'Data', cell: (object) => Object.keys(fields(object, member)).length }
}

function portsOf(service: Fields): string {
  const each = list(service, 'spec', 'ports').filter(isFields)
  return each.map((port) => `${at(port, 'port')}/${text(port, 'protocol') || 'TCP'}`).join(',')
}

const core = { group: '', versions: ['v1'], namespaced: true, generations: false } as const
const istio = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1'],
  namespaced: true,
  generations: true,
} as const

/** Namespaces. */
export const namespaces: Kind = {
  ...core,
  namespaced: false,
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  columns: [name, { name: 'Status', cell: () => 'Active' }, age],
}

/** Secrets. */
export const secrets: Kind = {
  ...core,
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  shortNames: [],
  columns: [name, { name: 'Type', cell: (object) => text(object, 'type') }, count('data'), age],
}

/** ConfigMaps. */
export const configMaps: Kind = {
  ...core,
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  columns: [name, count('data'), age],
}

/** Services. */
export const services: Kind = {
  ...core,
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['svc'],
  columns: [
    name,
    { name: 'Type', cell: (object) => text(object, 'spec', 'type') },
    { name: 'Cluster-IP', cell: (object) => text(object, 'spec', 'clusterIP') || '<none>' },
    { name: 'External-IP', cell: () => '<none>' },
    { name: 'Port(s)', cell: portsOf },
    age,
  ],
}

/** Pods: stored like the rest, but nothing runs them. */
export const pods: Kind = {
  ...core,
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  columns: [
    name,
    { name: 'Ready', cell: () => '1/1' },
    { name: 'Status', cell: (object) => text(object, 'status', 'phase') },
    { name: 'Restarts', cell: () => '0' },
    age,
  ],
}

/** Deployments: stored like Pods. Nothing runs them, so a changed template rolls out nothing. */
const deployments: Kind = {
  group: 'apps',
  versions: ['v1'],
  namespaced: true,
  generations: true,
  kind: 'Deployment',
  plural: 'deployments',
  singular: 'deployment',
  shortNames: ['deploy'],
  columns: [name, age],
}

/** Istio Gateways. */
export const gateways: Kind = {
  ...istio,
  kind: 'Gateway',
  plural: 'gateways',
  singular: 'gateway',
  shortNames: ['gw'],
  columns: [name, age],
}

/** Istio VirtualServices. */
export const virtualServices: Kind = {
  ...istio,
  kind: 'VirtualService',
  plural: 'virtualservices',
  singular: 'virtualservice',
  shortNames: ['vs'],
  columns: [
    name,
    { name: 'Gateways', cell: (object) => JSON.stringify(texts(object, 'spec', 'gateways')) },
    { name: 'Hosts', cell: (object) => JSON.stringify(texts(object, 'spec', 'hosts')) },
    age,
  ],
}

/** CustomResourceDefinitions: kinds outside the core are served as long as theirs are there. */
export const customResourceDefinitions: Kind = {
  group: 'apiextensions.k8s.io',
  versions: ['v1'],
  namespaced: false,
  generations: true,
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  singular: 'customresourcedefinition',
  shortNames: ['crd', 'crds'],
  columns: [name, age],
}

/** Istio DestinationRules. */
export const destinationRules: Kind = {
  ...istio,
  kind: 'DestinationRule',
  plural: 'destinationrules',
  singular: 'destinationrule',
  shortNames: ['dr'],
  columns: [name, { name: 'Host', cell: (object) => text(object, 'spec', 'host') }, age],
}

/** Every kind that is stored. */
export const kinds: readonly Kind[] = [
  namespaces,
  secrets,
  configMaps,
  services,
  pods,
  deployments,
  customResourceDefinitions,
  gateways,
  virtualServices,
  destinationRules,
]

/** `v1`, `networking.istio.io/v1`. */
export function apiVersion(group: string, version: string): string {
  return group ? `${group}/${version}` : version
}

/** The name that tells a kind from all others: `gateways.networking.istio.io`, `secrets`. */
export function resourceName({ group, plural }: Pick<Kind, 'group' | 'plural'>): string {
  return group ? `${plural}.${group}` : plural
}

/** The kinds that are served now, with the versions that their CustomResourceDefinitions serve; `definition`
 *  finds one of these by its name. */
export function servedKinds(definition: (name: string) => Fields | undefined): readonly Kind[] {
  return kinds.flatMap((kind) => {
    if (!isCustom(kind)) return [kind]
    const all = list(definition(resourceName(kind)), 'spec', 'versions').filter(isFields)
    const served = all.filter((each) => at(each, 'served') === true)
    const names = served.map((each) => text(each, 'name'))
    const versions = kind.versions.filter((each) => names.includes(each))
    return versions.length === 0 ? [] : [{ ...kind, versions }]
  })
}

/** Whether a CustomResourceDefinition decides if the kind is served. */
export function isCustom({ group }: Kind): boolean {
  return !['', deployments.group, customResourceDefinitions.group].includes(group)
}

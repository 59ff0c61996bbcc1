import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'

const run = promisify(execFile)

/** The folder of the chart. */
export const chart = new URL('../../deploy/helm/', import.meta.url).pathname

/** Which Kubernetes Helm takes a cluster for that it does not ask: its own idea may be an old one. */
export const kubeVersion = ['--kube-version', '1.34.0'] as const

/** What the chart has no default for. */
export const said = {
  image: 'registry.test/gatesmith:0.1.0',
  publicUrl: 'http://pki.example.test',
} as const

/** What Helm renders with these values, as text; throws what it says where it refuses. */
export async function renderText(values: object): Promise<string> {
  const args = ['template', 'gate', chart, '--namespace', 'tls', '-f', '-', ...kubeVersion]
  const rendering = run('helm', args)
  rendering.child.stdin?.end(JSON.stringify({ ...said, ...values }))
  return (await rendering).stdout
}

/** The same as objects. */
export async function render(values: object): Promise<readonly Rendered[]> {
  return parseAllDocuments(await renderText(values)).flatMap((each): Rendered[] => {
    const object = each.toJS()
    return object === null ? [] : [object]
  })
}

/** As much of an object as the tests ask for. */
export type Rendered = {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels: Labels }
  readonly spec: {
    readonly selector?: Labels & { readonly matchLabels?: Labels }
    readonly podSelector?: { readonly matchLabels: Labels }
    readonly template?: { readonly metadata: { readonly labels: Labels }; readonly spec: Pod }
  }
}

export type Labels = Readonly<Record<string, string>>

export type Pod = {
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly securityContext: object
  readonly automountServiceAccountToken: boolean
}

export type Container = {
  readonly name: string
  readonly args: readonly string[]
  readonly image: string
  readonly env: readonly { readonly name: string; readonly value?: string }[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly securityContext: object
} & Readonly<Partial<Record<(typeof probes)[number], Probe>>>

export type Probe = { readonly httpGet: { readonly path: string; readonly port: string } }

export const probes = ['startupProbe', 'livenessProbe', 'readinessProbe'] as const

import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'

// npm run contracts:lint: the committed contracts by the rules that others keep, and the clients that others
// generate of them. Nothing of this is installed with Gatesmith: npm fetches exactly these versions, without
// their install scripts, and none of them tells anybody that it ran.

const env = {
  ...process.env,
  npm_config_ignore_scripts: 'true',
  npm_config_yes: 'true',
  npm_config_loglevel: 'error',
  REDOCLY_TELEMETRY: 'off',
  REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
  SCARF_ANALYTICS: 'false',
}

/** Runs a command in `cwd`; what it says goes where ours does. Throws when it fails. */
function run([command = '', ...args]: readonly string[], cwd = '.'): void {
  process.stdout.write(`${[basename(command), ...args].join(' ')}\n`)
  execFileSync(command, args, { cwd, env, stdio: 'inherit' })
}

/** What somebody would write with the types of the REST contract. */
const restProgram = `import type { components, operations, paths } from './rest.ts'

type Schemas = components['schemas']

const spec: Schemas['HostSpec'] = {
  tls: { mode: 'MUTUAL', minVersion: 'TLSV1_3' },
  routes: [{ match: { prefix: '/' }, to: { service: 'httpbin', namespace: 'test', port: 80 } }],
  clusters: ['prod', 'prod/internal'],
}

function isServed({ status }: Schemas['Host']): boolean {
  return status.clusters.every((placement) => placement.status === 'Synced')
}

function issued({ items }: Schemas['CertificateBatch']): Schemas['Certificate'][] {
  return items.flatMap((item) => ('certificate' in item ? [item.certificate] : []))
}

/** null is said, and a client has to look. */
function endsAt(key: Schemas['ApiKey']): Date | null {
  return key.expiresAt === null ? null : new Date(key.expiresAt)
}

type Refused = paths['/v1/tenants']['post']['responses'][409]['content']['application/problem+json']
const violations = (refused: Refused): Schemas['Violation'][] => refused.violations ?? []
/** What \`fields\` asks for: any member may be missing, and no list beside it is any the worse. */
type Listed = paths['/v1/hosts']['get']['responses'][200]['content']
const sparse = (list: Listed['application/vnd.gatesmith.sparse+json']): (string | undefined)[] =>
  list.items.map(({ name }) => name)
const whole = (list: Listed['application/json']): string[] => list.items.map(({ name }) => name)

type ListHosts = NonNullable<operations['listTenantHosts']['parameters']['query']>
const ask: ListHosts = { limit: 10, sort: '-createdAt', status: 'Failed' }
// @ts-expect-error There is no such mode.
const wrong: Schemas['TlsMode'] = 'NONE'
`

/** The same by GraphQL. */
const documents = `query Expiring($within: String!) {
  expiringCertificates(within: $within) {
    items { id dnsNames notAfter status tenant { name } clusters { status cluster { name } } }
  }
}
mutation PutHost($tenant: String!, $name: String!, $spec: HostSpecInput!) {
  putHost(tenant: $tenant, name: $name, spec: $spec) { name etag certificate { id status } }
}
`
const graphqlProgram = `import type { ExpiringQuery, PutHostMutationVariables } from './graphql.ts'

function names({ expiringCertificates }: ExpiringQuery): string[] {
  return (expiringCertificates?.items ?? []).flatMap(({ dnsNames }) => dnsNames)
}

const asked: PutHostMutationVariables = {
  tenant: 'example',
  name: 'httpbin.example.com',
  spec: {
    tls: { mode: 'SIMPLE' },
    routes: [{ to: [{ service: 'httpbin', namespace: 'test', port: 80 }] }],
    clusters: ['prod'],
  },
}
`

function codegen(schema: string): string {
  return JSON.stringify({
    schema,
    documents: 'documents.graphql',
    generates: {
      'graphql.ts': {
        plugins: ['typescript-operations'],
        config: { scalars: { DateTime: 'string', JSON: 'unknown' }, enumsAsTypes: true },
      },
    },
  })
}

/** What generates them, and what that needs beside it. */
const generators = [
  ...['openapi-typescript@7.13.0', 'typescript@5.9.3'],
  ...['@graphql-codegen/cli@7.4.3', '@graphql-codegen/typescript-operations@6.1.9'],
  'graphql@16.15.0',
]

/** Generates both clients in a folder of their own, and has a program against each checked. */
async function checkClients(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gatesmith-clients-'))
  const bin = (name: string) => join(folder, 'node_modules/.bin', name)
  try {
    run(['npm', 'install', '--prefix', folder, '--no-audit', '--no-fund', ...generators], folder)
    run([bin('openapi-typescript'), resolve('openapi/openapi.json'), '--output', 'rest.ts'], folder)
    await writeFile(join(folder, 'documents.graphql'), documents)
    await writeFile(join(folder, 'codegen.json'), codegen(resolve('openapi/schema.graphql')))
    run([bin('graphql-codegen'), '--config', 'codegen.json'], folder)
    await writeFile(join(folder, 'restprogram.ts'), restProgram)
    await writeFile(join(folder, 'graphqlprogram.ts'), graphqlProgram)
    const options = ['--noEmit', '--strict', '--allowImportingTsExtensions', '--module', 'nodenext']
    const files = ['restprogram.ts', 'graphqlprogram.ts']
    run([resolve('node_modules/.bin/tsc'), '--ignoreConfig', ...options, ...files], folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const rules = ['--ruleset', 'openapi/spectral.yaml', '--fail-severity', 'hint']
run(['npx', '@redocly/cli@2.77.0', 'lint', '--extends=recommended-strict', 'openapi/openapi.json'])
run(['npx', '@stoplight/spectral-cli@6.16.3', 'lint', ...rules, 'openapi/openapi.json'])
await checkClients()

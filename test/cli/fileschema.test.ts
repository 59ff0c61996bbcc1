import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import { parseAllDocuments } from 'yaml'
import { apiVersion, kinds } from '../../src/cli/files/documents.ts'

// The schema that editors check files by: openapi/files.schema.json.

const schema: object = JSON.parse(await readFile('openapi/files.schema.json', 'utf8'))
const options = { strictTypes: false, validateFormats: false, allErrors: true } as const
const validate = new Ajv(options).compile(schema)

/** What the schema has against a document. */
function faultsOf(document: unknown): readonly string[] {
  validate(document)
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

/** Our documents in YAML; those of Kubernetes beside them have other versions. */
function documentsIn(text: string): readonly unknown[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS())
    .filter((value) => value?.apiVersion === apiVersion)
}

/** The files that a page shows, each an indented block. */
function filesIn(markdown: string): readonly string[] {
  const blocks = markdown.split(/\n(?! {4}|\n)/).flatMap((part) => {
    const [, block] = /\n((?: {4}.*\n?|\n)+)$/.exec(`${part}\n`) ?? []
    return block === undefined ? [] : [block.replace(/^ {4}/gm, '')]
  })
  return blocks.filter((block) => block.includes(`apiVersion: ${apiVersion}`))
}

test('every file in examples/, README and docs/ is as the schema of files has it', async () => {
  const found: { at: string; document: unknown }[] = []
  for (const path of globSync(['examples/**/*.{yaml,yml}', 'README.md', 'docs/**/*.md'])) {
    const text = await readFile(path, 'utf8')
    const files = path.endsWith('.md') ? filesIn(text) : [text]
    for (const document of files.flatMap(documentsIn)) found.push({ at: path, document })
  }
  const places = found.map(({ at }) => at)
  for (const path of ['examples/mine.yaml', 'docs/cli.md']) assert.ok(places.includes(path), path)
  for (const { at, document } of found) assert.deepEqual(faultsOf(document), [], at)
})

test('each kind is held to its own members, and labels and tenants stand where they belong', () => {
  const routes = [{ to: { service: 'web', namespace: 'test', port: 80 } }]
  const specs = {
    Host: { clusters: ['one'], routes },
    Tenant: { domains: ['fair.test'] },
    Authority: { kind: 'root', subject: { commonName: 'root' } },
    Cluster: { kubeconfigFile: './kubeconfig', ingress: { address: '127.0.0.1:443' } },
  }
  for (const kind of kinds) {
    const good = { apiVersion, kind, metadata: { name: 'one' }, spec: specs[kind] }
    assert.deepEqual(faultsOf(good), [], kind)
    const wrong = [
      { ...good, kind: 'Cow' },
      { ...good, apiVersion: 'v1' },
      { ...good, status: {} },
      { ...good, metadata: {} },
      { ...good, metadata: { name: 'one', namespace: 'test' } },
      { ...good, spec: { ...specs[kind], name: 'one' } },
      { ...good, spec: { ...specs[kind], labels: {} } },
      { ...good, spec: { ...specs[kind], misspelt: 1 } },
    ]
    for (const each of wrong) assert.notDeepEqual(faultsOf(each), [], JSON.stringify(each))
    const labelled = { ...good, metadata: { name: 'one', labels: { app: 'fair' } } }
    assert.equal(faultsOf(labelled).length === 0, kind === 'Host' || kind === 'Tenant', kind)
    const owned = { ...good, metadata: { name: 'one', tenant: 'shop' } }
    assert.equal(faultsOf(owned).length === 0, kind === 'Host', kind)
  }
  const port = [{ to: { service: 'web', namespace: 'test', port: 99_999 } }]
  const deep = { ...specs.Host, routes: port }
  const document = { apiVersion, kind: 'Host', metadata: { name: 'one' }, spec: deep }
  assert.deepEqual(faultsOf(document).slice(0, 1), ['/spec/routes/0/to/port must be <= 65535'])
})

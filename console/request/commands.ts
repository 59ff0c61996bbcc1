import type { Schemas } from '@gatesmith/client'

type HostSpec = Schemas['HostSpec']
type Asked = { readonly tenant: string; readonly name: string; readonly spec: HostSpec }

/** The same request by curl, with the API key in $TOKEN. */
export function curlOf(server: string, { tenant, name, spec }: Asked): string {
  return [
    `curl -X PUT ${quoted(`${server}/v1/tenants/${tenant}/hosts/${name}`)} \\`,
    '  -H "Authorization: Bearer $TOKEN" \\',
    "  -H 'content-type: application/json' \\",
    `  -d ${quoted(JSON.stringify(spec, null, 2))}`,
  ].join('\n')
}

/** The same request by the command line, of the file that `yamlOf` writes. */
export function commandOf({ name }: Asked): string {
  const file = `${name.replace('*', 'wildcard')}.yaml`
  return `gatesmith plan -f ${file}\ngatesmith apply -f ${file} --wait`
}

/** The same request as a file for the command line. */
export function yamlOf({ tenant, name, spec }: Asked): string {
  const { labels, ...rest } = spec
  const some = labels && Object.keys(labels).length > 0 ? { labels } : {}
  const document = {
    apiVersion: 'gatesmith.dev/v1',
    kind: 'Host',
    metadata: { name, tenant, ...some },
    spec: rest,
  }
  return `${yaml(document, 0)}\n`
}

/** A word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/** YAML in blocks, of what JSON can say. */
function yaml(value: unknown, depth: number): string {
  const indent = '  '.repeat(depth)
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    return value.map((each) => `${indent}- ${yaml(each, depth + 1).trimStart()}`).join('\n')
  }
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).filter(([, each]) => each !== undefined)
    if (pairs.length === 0) return '{}'
    return pairs.map(([key, each]) => `${indent}${word(key)}:${below(each, depth)}`).join('\n')
  }
  return typeof value === 'string' ? word(value) : JSON.stringify(value)
}

function below(value: unknown, depth: number): string {
  const text = yaml(value, depth + 1)
  const isBlock = typeof value === 'object' && value !== null && !/^(\[\]|\{\})$/.test(text)
  return isBlock ? `\n${text}` : ` ${text}`
}

/** Plain where nothing but a text can be meant; a JSON text is a YAML text, too. */
function word(text: string): string {
  const isPlain = /^[A-Za-z/][\w./-]*( [\w./-]+)*$/.test(text)
  return isPlain && !/^(true|false|yes|no|on|off|null|y|n)$/i.test(text)
    ? text
    : JSON.stringify(text)
}

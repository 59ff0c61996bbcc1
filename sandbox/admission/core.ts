import { Buffer } from 'node:buffer'
import { type Cause, required, wrong } from '../apiserver/status.ts'
import { amend, at, type Fields, fields, isFields, list, text } from '../json.ts'
import { type Kind, namespaces } from '../kinds.ts'

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const qualifiedName = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/
const dataKey = /^[-._a-zA-Z0-9]+$/
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const maxBytes = 1024 * 1024

const labelWords =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
const subdomainWords =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"

/** The object with what the API server fills in for its kind. */
export function defaulted(kind: Kind, object: Fields): Fields {
  if (kind.plural === 'secrets') {
    const data: { [key: string]: string } = {}
    for (const [key, value] of Object.entries(fields(object, 'stringData'))) {
      data[key] = Buffer.from(String(value), 'utf8').toString('base64')
    }
    const merged = { ...fields(object, 'data'), ...data }
    return amend(object, {
      type: text(object, 'type') || 'Opaque',
      stringData: undefined,
      data: Object.keys(merged).length > 0 ? merged : undefined,
    })
  }
  if (kind.plural === 'services') return amend(object, { spec: defaultedService(object) })
  if (kind.plural === 'namespaces') {
    return amend(object, { spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } })
  }
  return object
}

function defaultedService(object: Fields): Fields {
  const spec = fields(object, 'spec')
  const ports = list(spec, 'ports')
    .filter(isFields)
    .map((port) =>
      amend(port, {
        protocol: text(port, 'protocol') || 'TCP',
        targetPort: at(port, 'targetPort') ?? at(port, 'port'),
      }),
    )
  return amend(spec, {
    ports,
    type: text(spec, 'type') || 'ClusterIP',
    sessionAffinity: text(spec, 'sessionAffinity') || 'None',
  })
}

/** What the API server finds wrong with the object, all at once. `before` is the stored one. */
export function violations(
  kind: Kind,
  object: Fields,
  before: Fields | undefined,
): readonly Cause[] {
  const found = nameViolations(kind, object)
  if (kind.plural === 'secrets') found.push(...secretViolations(object, before))
  if (kind.plural === 'configmaps') found.push(...dataViolations(object, before))
  if (kind.plural === 'services') found.push(...serviceViolations(object))
  return found
}

function nameViolations(kind: Kind, object: Fields): Cause[] {
  const name = text(object, 'metadata', 'name')
  const asLabel = kind === namespaces || kind.plural === 'services'
  const limit = asLabel ? 63 : 253
  const found: Cause[] = []
  if (!name) found.push(required('metadata.name', 'name or generateName is required'))
  else if (!(asLabel ? label : subdomain).test(name)) {
    found.push(wrong('metadata.name', name, asLabel ? labelWords : subdomainWords))
  } else if (name.length > limit) {
    found.push(wrong('metadata.name', name, `must be no more than ${limit} characters`))
  }
  for (const [key, value] of Object.entries(fields(object, 'metadata', 'labels'))) {
    if (!isQualified(key))
      found.push(wrong('metadata.labels', key, 'name part must be a qualified name'))
    const isValue =
      value === '' || (String(value).length <= 63 && qualifiedName.test(String(value)))
    if (!isValue) {
      const why =
        "a valid label must be an empty string or at most 63 alphanumeric characters, '-', '_' or '.'"
      found.push(wrong('metadata.labels', value, why))
    }
  }
  for (const key of Object.keys(fields(object, 'metadata', 'annotations'))) {
    if (!isQualified(key.toLowerCase())) {
      found.push(wrong('metadata.annotations', key, 'name part must be a qualified name'))
    }
  }
  return found
}

function isQualified(key: string): boolean {
  const parts = key.split('/')
  const name = parts.at(-1) ?? ''
  const prefix = parts.length === 2 ? parts[0] : undefined
  if (parts.length > 2 || name.length > 63 || !qualifiedName.test(name)) return false
  return prefix === undefined || (prefix.length <= 253 && subdomain.test(prefix))
}

function dataViolations(object: Fields, before: Fields | undefined): Cause[] {
  const found: Cause[] = []
  const data = { ...fields(object, 'data'), ...fields(object, 'binaryData') }
  for (const key of Object.keys(data)) {
    if (dataKey.test(key) && key.length <= 253) continue
    const why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    found.push(wrong(`data[${key}]`, key, why))
  }
  const bytes = Object.values(data).reduce<number>((sum, value) => sum + String(value).length, 0)
  if (bytes > maxBytes * (object.kind === 'Secret' ? 4 / 3 : 1)) {
    const message = `Too long: may not be more than ${maxBytes} bytes`
    found.push({ reason: 'FieldValueTooLong', message, field: 'data' })
  }
  if (before?.immutable === true) {
    const same = JSON.stringify(fields(before, 'data')) === JSON.stringify(fields(object, 'data'))
    const message = 'Forbidden: field is immutable when `immutable` is set'
    const reason = 'FieldValueForbidden'
    if (object.immutable !== true) found.push({ reason, message, field: 'immutable' })
    if (!same) found.push({ reason, message, field: 'data' })
  }
  return found
}

function secretViolations(object: Fields, before: Fields | undefined): Cause[] {
  const found = dataViolations(object, before)
  const type = text(object, 'type')
  if (before && text(before, 'type') !== type) found.push(wrong('type', type, 'field is immutable'))
  const needed = type === 'kubernetes.io/tls' ? ['tls.crt', 'tls.key'] : []
  for (const key of needed) {
    if (at(object, 'data', key) === undefined) found.push(required(`data[${key}]`))
  }
  return found
}

/** The keys of a Secret's data that are not base64: refused with 400 before anything else is looked at. */
export function undecodable(object: Fields): readonly string[] {
  const data = Object.entries(fields(object, 'data'))
  return data
    .filter(([, value]) => !base64.test(String(value).replace(/[\r\n]/g, '')))
    .map(([key]) => key)
}

function serviceViolations(object: Fields): Cause[] {
  const ports = list(object, 'spec', 'ports')
  if (ports.length === 0 && text(object, 'spec', 'type') !== 'ExternalName')
    return [required('spec.ports')]
  const found: Cause[] = []
  for (const [index, port] of ports.entries()) {
    const number = Number(at(port, 'port'))
    if (!Number.isInteger(number) || number < 1 || number > 65_535) {
      found.push(
        wrong(
          `spec.ports[${index}].port`,
          at(port, 'port') ?? 0,
          'must be between 1 and 65535, inclusive',
        ),
      )
    }
    if (ports.length > 1 && !text(port, 'name')) found.push(required(`spec.ports[${index}].name`))
  }
  return found
}

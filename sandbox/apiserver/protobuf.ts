import { amend, type Fields, fields, isList, type Json } from '../json.ts'

/** A message's members by field number: a name and what it holds; `*` marks a map from strings, and `each`
 *  a repeated member. */
type Message = { readonly [number: number]: readonly [name: string, type: Type] }
type Type =
  | 'string'
  | 'bytes'
  | 'boolean'
  | 'integer'
  | 'int-or-string'
  | Repeated
  | Mapped
  | Message
type Repeated = { readonly each: Exclude<Type, Repeated> }
type Mapped = { readonly '*': 'string' | 'bytes' }

const metadata: Message = {
  1: ['name', 'string'],
  2: ['generateName', 'string'],
  3: ['namespace', 'string'],
  5: ['uid', 'string'],
  6: ['resourceVersion', 'string'],
  11: ['labels', { '*': 'string' }],
  12: ['annotations', { '*': 'string' }],
  14: ['finalizers', { each: 'string' }],
}

const port: Message = {
  1: ['name', 'string'],
  2: ['protocol', 'string'],
  3: ['port', 'integer'],
  4: ['targetPort', 'int-or-string'],
  6: ['appProtocol', 'string'],
}

const spec: Message = {
  1: ['ports', { each: port }],
  2: ['selector', { '*': 'string' }],
  3: ['clusterIP', 'string'],
  4: ['type', 'string'],
  10: ['externalName', 'string'],
}

const messages: Readonly<Record<string, Message>> = {
  Namespace: { 1: ['metadata', metadata] },
  Secret: {
    1: ['metadata', metadata],
    2: ['data', { '*': 'bytes' }],
    3: ['type', 'string'],
    4: ['stringData', { '*': 'string' }],
    5: ['immutable', 'boolean'],
  },
  ConfigMap: {
    1: ['metadata', metadata],
    2: ['data', { '*': 'string' }],
    3: ['binaryData', { '*': 'bytes' }],
    4: ['immutable', 'boolean'],
  },
  Service: { 1: ['metadata', metadata], 2: ['spec', spec] },
  SelfSubjectAccessReview: {},
  DeleteOptions: {
    2: ['preconditions', { 1: ['uid', 'string'], 2: ['resourceVersion', 'string'] }],
    5: ['dryRun', { each: 'string' }],
  },
}

/** The object in a body of application/vnd.kubernetes.protobuf, which kubectl sends for `create secret` and
 *  its like; of the core kinds only, with the members the sandbox knows. Undefined for any other. The answer
 *  may be JSON all the same: clients read what its content type says. */
export function readProtobuf(body: Buffer): Fields | undefined {
  if (body.subarray(0, 4).toString('latin1') !== 'k8s\0') return undefined
  try {
    const unknown = {
      1: ['type', { 1: ['apiVersion', 'string'], 2: ['kind', 'string'] }],
      2: ['raw', 'bytes'],
    } as const
    const envelope = readMessage(body.subarray(4), unknown)
    const type = fields(envelope, 'type')
    const message = messages[String(type.kind)]
    if (!message) return undefined
    return amend(type, readMessage(Buffer.from(String(envelope.raw ?? ''), 'base64'), message))
  } catch {
    return undefined
  }
}

/** Empty strings and messages are left out: Go writes them for what is not there. */
function readMessage(bytes: Buffer, message: Message): { [name: string]: Json } {
  const found: { [name: string]: Json } = {}
  for (let at = 0; at < bytes.length; ) {
    const tag = varint(bytes, at)
    const number = Math.floor(tag.value / 8)
    const wire = tag.value % 8
    const first = varint(bytes, tag.end)
    if (wire !== 0 && wire !== 2) throw new RangeError('unexpected wire type')
    const end = wire === 2 ? first.end + first.value : first.end
    if (end > bytes.length) throw new RangeError('truncated')
    const [name, type] = message[number] ?? []
    if (name && type) place(found, name, type, bytes.subarray(first.end, end), first.value)
    at = end
  }
  return found
}

function place(
  found: { [name: string]: Json },
  name: string,
  type: Type,
  bytes: Buffer,
  value: number,
): void {
  if (type === 'boolean') found[name] = value === 1
  else if (type === 'integer') found[name] = value
  else if (type === 'string') {
    if (bytes.length > 0) found[name] = bytes.toString('utf8')
  } else if (type === 'bytes') found[name] = bytes.toString('base64')
  else if (type === 'int-or-string') {
    const read = readMessage(bytes, {
      1: ['kind', 'integer'],
      2: ['number', 'integer'],
      3: ['name', 'string'],
    })
    found[name] = read.kind === 1 ? (read.name ?? '') : (read.number ?? 0)
  } else if (isRepeated(type)) {
    const item: { [name: string]: Json } = {}
    place(item, name, type.each, bytes, value)
    const before = found[name]
    found[name] = [...(isList(before) ? before : []), item[name] ?? '']
  } else if (isMapped(type)) {
    const entry = readMessage(bytes, { 1: ['key', 'string'], 2: ['value', type['*']] })
    found[name] = { ...fields(found, name), [String(entry.key ?? '')]: entry.value ?? '' }
  } else {
    const inner = readMessage(bytes, type)
    if (Object.keys(inner).length > 0) found[name] = inner
  }
}

function isRepeated(type: Repeated | Mapped | Message): type is Repeated {
  return 'each' in type
}

function isMapped(type: Mapped | Message): type is Mapped {
  return '*' in type
}

function varint(bytes: Buffer, start: number): { readonly value: number; readonly end: number } {
  let value = 0
  for (let at = start, scale = 1; at < bytes.length && at < start + 8; at++, scale *= 128) {
    const byte = bytes.readUInt8(at)
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return { value, end: at + 1 }
  }
  throw new RangeError('a number without an end')
}

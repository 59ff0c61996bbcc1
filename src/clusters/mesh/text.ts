import { isDeepStrictEqual } from 'node:util'
import { type Document, isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml'

/** Longer than any mesh configuration; what is read takes its time. */
const textLimit = 128 * 1024

/** The settings that are dealt with. */
export type SettingName = 'meshMTLS' | 'tlsDefaults'

/** protobuf's JSON takes the names of the .proto file, too; the first is what is written. */
const spellings = {
  meshMTLS: ['meshMTLS', 'mesh_mTLS'],
  tlsDefaults: ['tlsDefaults', 'tls_defaults'],
} as const satisfies Readonly<Record<SettingName, readonly string[]>>
const versionSpellings = ['minProtocolVersion', 'min_protocol_version'] as const

/** Its enums may be numbers. */
const numbers = ['TLS_AUTO', 'TLSV1_2', 'TLSV1_3']

/** The minimum version that each setting states in the text of a mesh configuration; null: none. Throws
 *  SyntaxError for what istiod would not read either. */
export function versionsIn(text: string): Readonly<Record<SettingName, string | null>> {
  const root = rootOf(read(text))
  const stated = (name: SettingName) => {
    const value = found(mapIn(root, spellings[name]), versionSpellings)?.value
    if (!isScalar(value) || value.value === null) return null
    return typeof value.value === 'number'
      ? (numbers[value.value] ?? String(value.value))
      : String(value.value)
  }
  return { meshMTLS: stated('meshMTLS'), tlsDefaults: stated('tlsDefaults') }
}

/** The text with a version set, or taken out of it by null. Only the lines of the setting change: comments,
 *  order and the form of everything else stay, letter by letter where the text is in the usual form of a
 *  block. Throws SyntaxError. */
export function withVersion(text: string, name: SettingName, version: string | null): string {
  if (versionsIn(text)[name] === version) return text
  const wanted = changed(read(text), name, version)
  const byHand = version === null ? without(text, name) : withLine(text, name, version)
  // What was cut out or put in by place is held against what the library makes of it.
  if (byHand !== undefined && saysTheSame(byHand, wanted)) return byHand
  return wanted.toString({ lineWidth: 0, flowCollectionPadding: false })
}

function saysTheSame(text: string, wanted: Document): boolean {
  try {
    return isDeepStrictEqual(read(text).toJS(), wanted.toJS())
  } catch {
    return false
  }
}

function read(text: string): Document {
  if (text.length > textLimit)
    throw new SyntaxError('the mesh configuration is too long to be read')
  const document = parseDocument(text, { keepSourceTokens: false, logLevel: 'silent' })
  const [error] = document.errors
  if (error) throw new SyntaxError(error.message)
  const root = document.contents
  if (root !== null && !isMap(root) && !(isScalar(root) && root.value === null)) {
    throw new SyntaxError('the mesh configuration is no map')
  }
  return document
}

function rootOf(document: Document): YAMLMap | undefined {
  return isMap(document.contents) ? document.contents : undefined
}

function found(map: YAMLMap | undefined, names: readonly string[]): Pair | undefined {
  return map?.items.find(({ key }) => isScalar(key) && names.includes(String(key.value)))
}

function mapIn(root: YAMLMap | undefined, names: readonly string[]): YAMLMap | undefined {
  const pair = found(root, names)
  if (pair === undefined) return undefined
  if (isMap(pair.value)) return pair.value
  if (pair.value === null || (isScalar(pair.value) && pair.value.value === null)) return undefined
  // An alias, or a value of another kind: nothing that could be changed without changing more.
  throw new SyntaxError(`${names[0]} is no map of its own`)
}

function nameOf(pair: Pair | undefined, names: readonly string[]): string {
  return isScalar(pair?.key) ? String(pair.key.value) : (names[0] ?? '')
}

/** As the library does it, which may write other parts in another form. */
function changed(document: Document, name: SettingName, version: string | null): Document {
  const root = rootOf(document)
  const outer = nameOf(found(root, spellings[name]), spellings[name])
  const map = mapIn(root, spellings[name])
  const inner = nameOf(found(map, versionSpellings), versionSpellings)
  if (version === null) {
    const isLast = map?.items.length === 1
    document.deleteIn(isLast ? [outer] : [outer, inner])
  } else if (map) map.set(inner, version)
  else if (root) root.set(outer, document.createNode({ [inner]: version }))
  else document.contents = document.createNode({ [outer]: { [inner]: version } })
  return document
}

/** The text with the value put in its place; undefined where the form is another than usual. */
function withLine(text: string, name: SettingName, version: string): string | undefined {
  const root = rootOf(read(text))
  const pair = found(root, spellings[name])
  const map = mapIn(root, spellings[name])
  const value = found(map, versionSpellings)?.value
  if (isScalar(value) && value.range) {
    const [from, to] = value.range
    return text.slice(0, from) + version + text.slice(to)
  }
  const line = `${versionSpellings[0]}: ${version}`
  const [first] = map?.items ?? []
  if (map && isScalar(first?.key) && first.key.range) {
    const [from] = first.key.range
    if (map.flow) return `${text.slice(0, from)}${line}, ${text.slice(from)}`
    const indent = text.slice(text.lastIndexOf('\n', from - 1) + 1, from)
    return /^ *$/.test(indent)
      ? `${text.slice(0, from)}${line}\n${indent}${text.slice(from)}`
      : undefined
  }
  if (pair !== undefined) return undefined
  if (root?.flow) return undefined
  const [head, tail] = /^([\s\S]*?)(\n*)$/.exec(text)?.slice(1) ?? [text, '']
  return `${head}${head ? '\n' : ''}${spellings[name][0]}:\n  ${line}${tail || (head ? '' : '\n')}`
}

/** The text without the lines of the setting. */
function without(text: string, name: SettingName): string | undefined {
  const root = rootOf(read(text))
  const map = mapIn(root, spellings[name])
  const inner = found(map, versionSpellings)
  const pair = map?.items.length === 1 ? found(root, spellings[name]) : inner
  const value = inner?.value
  if (!isScalar(pair?.key) || !pair.key.range || !isScalar(value) || !value.range) return undefined
  const from = text.lastIndexOf('\n', pair.key.range[0] - 1) + 1
  const end = text.indexOf('\n', value.range[1])
  if (end >= 0) return text.slice(0, from) + text.slice(end + 1)
  return text.slice(0, Math.max(0, from - 1))
}

/** The lines that go and come, of two texts that differ in one place. */
export function diffOf(before: string, after: string): string {
  if (before === after) return ''
  const [old, next] = [before.split('\n'), after.split('\n')]
  let start = 0
  while (start < old.length && start < next.length && old[start] === next[start]) start++
  let end = 0
  const rest = Math.min(old.length, next.length) - start
  while (end < rest && old.at(-1 - end) === next.at(-1 - end)) end++
  const lines = (mark: string, all: readonly string[]) =>
    all.slice(start, all.length - end).map((line) => `${mark}${line}\n`)
  return [...lines('-', old), ...lines('+', next)].join('')
}

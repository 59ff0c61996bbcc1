import { isDeepStrictEqual } from 'node:util'
import { badRequest, refusal } from '../apiserver/status.ts'
import { at, isFields, isList, type Json, text } from '../json.ts'

/** JSON Merge Patch (RFC 7386). */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isFields(patch)) return patch
  const merged: { [name: string]: Json } = isFields(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name]
    else merged[name] = mergePatch(merged[name], value)
  }
  return merged
}

/** JSON Patch (RFC 6902). Throws 400 for one that cannot be read and 422 for one that does not fit. */
export function jsonPatch(target: Json, patch: Json): Json {
  if (!isList(patch)) throw badRequest('a JSON patch is an array of operations')
  return patch.reduce(operate, target)
}

function operate(target: Json, operation: Json): Json {
  const path = pointer(text(operation, 'path'))
  const value = at(operation, 'value') ?? null
  switch (text(operation, 'op')) {
    case 'add':
      return edit(target, path, value, true)
    case 'replace':
      find(target, path)
      return edit(edit(target, path, undefined, false), path, value, true)
    case 'remove':
      find(target, path)
      return edit(target, path, undefined, false)
    case 'test':
      if (!isDeepStrictEqual(find(target, path), value)) throw unfit('testing value failed')
      return target
    case 'copy':
      return edit(target, path, find(target, pointer(text(operation, 'from'))), true)
    case 'move': {
      const from = pointer(text(operation, 'from'))
      return edit(edit(target, from, undefined, false), path, find(target, from), true)
    }
    default:
      throw badRequest(`unknown JSON patch operation: ${JSON.stringify(operation)}`)
  }
}

function pointer(written: string): readonly string[] {
  if (written !== '' && !written.startsWith('/')) throw badRequest(`bad JSON pointer: ${written}`)
  return written
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function find(target: Json, path: readonly string[]): Json {
  let here: Json | undefined = target
  for (const step of path) here = isList(here) ? here[Number(step)] : at(here, step)
  if (here === undefined) throw unfit(`no value at /${path.join('/')}`)
  return here
}

/** `target` with the value put at (or, if undefined, taken from) the path. */
function edit(target: Json, path: readonly string[], value: Json | undefined, put: boolean): Json {
  const [step, ...rest] = path
  if (step === undefined) return value ?? null
  if (isList(target)) {
    const index = step === '-' ? target.length : Number(step)
    if (!Number.isInteger(index) || index < 0 || index > target.length)
      throw unfit(`no index ${step}`)
    if (rest.length === 0)
      return target.toSpliced(index, put ? 0 : 1, ...(value === undefined ? [] : [value]))
    return target.with(index, edit(find(target, [step]), rest, value, put))
  }
  if (!isFields(target)) throw unfit(`nothing at ${step}`)
  if (rest.length > 0) return { ...target, [step]: edit(find(target, [step]), rest, value, put) }
  const { [step]: _gone, ...others } = target
  return value === undefined ? others : { ...target, [step]: value }
}

function unfit(why: string) {
  return refusal(
    422,
    'Invalid',
    `the server rejected our request due to an error in our request: ${why}`,
  )
}

/** Strategic merge patch, as far as Secrets, ConfigMaps, Namespaces and Services need it: lists are
 *  replaced, but a Service's ports are merged by port; of its directives `$patch: delete`. */
export function strategicPatch(target: Json | undefined, patch: Json, name = ''): Json {
  if (name === 'ports' && isList(patch)) {
    const ports = new Map((isList(target) ? target : []).map((port) => [at(port, 'port'), port]))
    for (const port of patch) {
      const key = at(port, 'port')
      if (text(port, '$patch') === 'delete') ports.delete(key)
      else ports.set(key, strategicPatch(ports.get(key), port))
    }
    return [...ports.values()]
  }
  if (!isFields(patch)) return patch
  const merged: { [name: string]: Json } = isFields(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue
    if (value === null) delete merged[key]
    else merged[key] = strategicPatch(merged[key], value, key)
  }
  return merged
}

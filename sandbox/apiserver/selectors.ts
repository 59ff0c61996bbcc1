import { type Fields, fields, text } from '../json.ts'
import { badRequest } from './status.ts'

/** Whether an object is selected. */
export type Selector = (object: Fields) => boolean

/** The meaning of a labelSelector: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Throws 400. */
export function labelSelector(written: string): Selector {
  const parts = written.match(/(?:[^,(]|\([^)]*\))+/g) ?? []
  const tests = parts.map((part) => requirement(part.trim()))
  return (object) => {
    const labels = fields(object, 'metadata', 'labels')
    return tests.every((holds) => holds(labels))
  }
}

function requirement(part: string): (labels: Fields) => boolean {
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(part)
  if (set) {
    const [, key = '', verb, values = ''] = set
    const among = values.split(',').map((value) => value.trim())
    return (labels) => among.includes(text(labels, key)) === (verb === 'in')
  }
  const equal = /^([^\s!=]+)\s*(==|=|!=)\s*([^\s!=]*)$/.exec(part)
  if (equal) {
    const [, key = '', sign, value = ''] = equal
    return (labels) =>
      (Object.hasOwn(labels, key) && text(labels, key) === value) === (sign !== '!=')
  }
  const presence = /^(!?)\s*([A-Za-z0-9][\w./-]*)$/.exec(part)
  if (!presence) throw badRequest(`unable to parse requirement: ${JSON.stringify(part)}`)
  const [, not, key = ''] = presence
  return (labels) => Object.hasOwn(labels, key) === (not === '')
}

const selectable: Readonly<Record<string, readonly string[]>> = {
  'metadata.name': ['metadata', 'name'],
  'metadata.namespace': ['metadata', 'namespace'],
  type: ['type'],
  'status.phase': ['status', 'phase'],
}

/** The meaning of a fieldSelector over the fields every kind has, and two more. Throws 400. */
export function fieldSelector(written: string): Selector {
  const tests = written
    .split(',')
    .filter(Boolean)
    .map((part) => {
      const [, key = '', sign, value] = /^([^!=]+)(==|=|!=)(.*)$/.exec(part) ?? []
      const path = selectable[key]
      if (!path) throw badRequest(`field label not supported: ${key || part}`)
      return (object: Fields) => (text(object, ...path) === value) === (sign !== '!=')
    })
  return (object) => tests.every((holds) => holds(object))
}

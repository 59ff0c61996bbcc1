import { Problem } from '../../shared/problem.ts'

/** No request of ours is nested nearly as deep. */
const deepest = 64

/** No object of ours has nearly as many members: each name is kept apart by what reads it. */
const mostMembers = 1_000

/** A JSON text as a value; null for an empty one, which clients send that state a type for every request.
 *  Throws request-too-large for one that holds more than `mostValues` values, or too many in one object,
 *  before any of them is made.
 *  Throws request-malformed for what is no JSON, is nested too deeply, or says
 *  a member of an object twice: readers disagree on which one counts (RFC 8259 4), and what one of
 *  them has judged another must not read differently. */
export function readJson(text: string, mostValues: number): unknown {
  if (text.trim() === '') return null
  measure(text, mostValues)
  return parse(text)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw malformed('The body is not JSON')
  }
}

/** An object or a list that has begun; most are without members, so that names are kept from the first. */
type Open = { readonly object: boolean; keys?: Set<string>; name: boolean }

/** Walks a text that may be JSON, once. */
function measure(text: string, mostValues: number): void {
  const open: Open[] = []
  let values = 1
  for (let at = 0; at < text.length; at++) {
    const inside = open.at(-1)
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
        open.push({ object: true, name: true })
        values++
        break
      case 0x5b: // [
        open.push({ object: false, name: false })
        values++
        break
      case 0x7d: // }
      case 0x5d: // ]
        open.pop()
        break
      case 0x2c: // ,
        if (inside?.object) inside.name = true
        values++
        break
      case 0x22: {
        // "
        const end = endOfString(text, at)
        if (inside?.name) {
          inside.keys ??= new Set()
          addMember(inside.keys, text.slice(at, end + 1))
        }
        if (inside) inside.name = false
        at = end
      }
    }
    if (open.length > deepest) throw malformed(`The body is nested deeper than ${deepest} levels`)
    if (values > mostValues) {
      throw new Problem('request-too-large', `The body holds more than ${mostValues} values`)
    }
  }
}

/** Where the string that begins at `start` ends. Most have no escapes and are skipped at once. */
function endOfString(text: string, start: number): number {
  const quote = text.indexOf('"', start + 1)
  if (quote < 0 || text.charCodeAt(quote - 1) !== backslash) return quote < 0 ? text.length : quote
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === backslash) at++
    else if (code === 0x22) return at
  }
  return text.length
}

const backslash = 0x5c

function addMember(keys: Set<string>, quoted: string): void {
  const key = quoted.includes('\\') ? unescaped(quoted) : quoted.slice(1, -1)
  if (keys.has(key)) throw malformed(`The body says ${quoted.slice(0, 80)} twice in one object`)
  // Copied about as a member it would change what an object is.
  if (key === '__proto__') throw malformed('"__proto__" is not a field anywhere')
  keys.add(key)
  if (keys.size > mostMembers) {
    throw new Problem('request-too-large', `An object has more than ${mostMembers} members`)
  }
}

function unescaped(quoted: string): string {
  return String(parse(quoted))
}

function malformed(detail: string): Problem {
  return new Problem('request-malformed', detail)
}

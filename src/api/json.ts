import { Problem } from '../words/problem.ts'

/** No request of ours is nested nearly as deep. */
const deepest = 64

/** A JSON text as a value; null for an empty one, which clients send that state a type for every request.
 *  Throws request-malformed for what is no JSON, is nested too deeply, or says
 *  a member of an object twice: readers disagree on which one counts (RFC 8259 4), and what one of
 *  them has judged another must not read differently. */
export function readJson(text: string): unknown {
  if (text.trim() === '') return null
  const value = parse(text)
  checkMembers(text)
  return value
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw malformed('The body is not JSON')
  }
}

type Open = { readonly keys: Set<string> | undefined; name: boolean }

/** Walks a text that is known to be JSON. */
function checkMembers(text: string): void {
  const open: Open[] = []
  for (let at = 0; at < text.length; at++) {
    const inside = open.at(-1)
    switch (text[at]) {
      case '{':
        open.push({ keys: new Set(), name: true })
        break
      case '[':
        open.push({ keys: undefined, name: false })
        break
      case '}':
      case ']':
        open.pop()
        break
      case ',':
        if (inside?.keys) inside.name = true
        break
      case '"': {
        const end = endOfString(text, at)
        if (inside?.keys && inside.name) addMember(inside.keys, text.slice(at, end + 1))
        if (inside) inside.name = false
        at = end
      }
    }
    if (open.length > deepest) throw malformed(`The body is nested deeper than ${deepest} levels`)
  }
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at
  }
  return text.length
}

function addMember(keys: Set<string>, quoted: string): void {
  const key = String(JSON.parse(quoted))
  if (keys.has(key)) throw malformed(`The body says ${quoted.slice(0, 80)} twice in one object`)
  // Copied about as a member it would change what an object is.
  if (key === '__proto__') throw malformed('"__proto__" is not a field anywhere')
  keys.add(key)
}

function malformed(detail: string): Problem {
  return new Problem('request-malformed', detail)
}

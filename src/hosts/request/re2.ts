/** A regular expression being read, character by character. */
type Reader = {
  readonly text: string
  at: number
  depth: number
  readonly groups: Set<string>
}

/** What is wrong with it. */
class Fault extends Error {}

/** RE2's limit of how often a part may be repeated, alone and in one another; and ours of how deep groups
 *  may go. */
const mostRepeats = 1000
const mostDepth = 100

const tooOften = `repetitions come to more than ${mostRepeats}`

/** Why a text is no regular expression of RE2 (github.com/google/re2/wiki/Syntax), in which istiod and Envoy
 *  read it; undefined: it is one. Takes time linear in its length. */
export function re2Fault(text: string): string | undefined {
  if (Buffer.byteLength(text) > 1024) return 'it has more than 1024 bytes, which Istio refuses'
  const reader: Reader = { text, at: 0, depth: 0, groups: new Set() }
  try {
    readAlternatives(reader)
    return reader.at < text.length ? `the ) at ${reader.at} closes nothing` : undefined
  } catch (error) {
    if (error instanceof Fault) return error.message
    throw error
  }
}

/** Up to the end, or a `)` that was not opened here; answers how many repetitions the largest part comes
 *  to, as every reader of a part does. */
function readAlternatives(reader: Reader): number {
  let most = 1
  while (reader.at < reader.text.length && !ahead(reader, ')')) {
    if (!take(reader, '|')) most = Math.max(most, readRepeated(reader))
  }
  return most
}

function readRepeated(reader: Reader): number {
  const inner = readAtom(reader)
  const times = readQuantifier(reader)
  if (times === undefined) return inner
  const { at } = reader
  if (readQuantifier(reader) !== undefined) {
    throw new Fault(`at ${at} a repetition is repeated; RE2 has no possessive ones`)
  }
  if (inner * times > mostRepeats) throw new Fault(tooOften)
  return inner * times
}

/** How often at most, where that is counted; undefined: nothing is repeated here. */
function readQuantifier(reader: Reader): number | undefined {
  if (take(reader, '*') || take(reader, '+') || take(reader, '?')) {
    take(reader, '?')
    return 1
  }
  const counted = /^\{(\d+)(,(\d*))?\}/.exec(reader.text.slice(reader.at, reader.at + 40))
  if (!counted) return undefined
  const [whole, low = '', , high = ''] = counted
  const [least, most] = [Number(low), Number(high || low)]
  if (Math.max(least, most) > mostRepeats) throw new Fault(`${whole}: ${tooOften}`)
  if (most < least) throw new Fault(`${whole} asks for at least more than for at most`)
  reader.at += whole.length
  take(reader, '?')
  return Math.max(1, most)
}

function readAtom(reader: Reader): number {
  const { at } = reader
  if (readQuantifier(reader) !== undefined) throw new Fault(nothing(reader))
  if (take(reader, '(')) return readGroup(reader, at)
  if (take(reader, '[')) readClass(reader, at)
  else readMember(reader, { inClass: false })
  return 1
}

function nothing({ at }: Reader): string {
  return `before ${at} there is nothing to repeat`
}

function readGroup(reader: Reader, start: number): number {
  reader.depth += 1
  if (reader.depth > mostDepth) throw new Fault(`groups are nested more than ${mostDepth} deep`)
  const flagsAlone = take(reader, '?') && readGroupHead(reader, start)
  const repeats = flagsAlone ? 1 : readAlternatives(reader)
  // Flags are for what follows, and nothing that could be repeated.
  if (flagsAlone && readQuantifier(reader) !== undefined) throw new Fault(nothing(reader))
  if (!flagsAlone && !take(reader, ')')) throw new Fault(`the ( at ${start} is not closed`)
  reader.depth -= 1
  return repeats
}

/** After `(?`. Answers whether that was all of the group: flags for what follows it. */
function readGroupHead(reader: Reader, start: number): boolean {
  const head = reader.text.slice(reader.at)
  if (/^<?[=!]/.test(head)) throw new Fault(`RE2 has no lookaround (at ${start})`)
  const named = /^P?<(\w+)>/.exec(head)
  const opened = named ?? /^([imsU]+|(?=[-:]))(-[imsU]+)?[:)]/.exec(head)
  if (!opened) throw new Fault(`RE2 has no group (?${head.slice(0, 1)}… (at ${start})`)
  if (named?.[1] !== undefined) {
    if (reader.groups.has(named[1])) throw new Fault(`two groups are called ${named[1]}`)
    reader.groups.add(named[1])
  }
  reader.at += opened[0].length
  return opened[0].endsWith(')')
}

function readClass(reader: Reader, start: number): void {
  take(reader, '^')
  // A ] that comes first is itself.
  for (let first = true; first || !ahead(reader, ']'); first = false) {
    if (reader.at >= reader.text.length) throw new Fault(`the [ at ${start} is not closed`)
    const named = /^\[:(\^?)([^\]]*):\]/.exec(reader.text.slice(reader.at, reader.at + 16))
    if (!named) readRange(reader)
    else if (!posix.includes(named[2] ?? '')) throw new Fault(`${named[0]} is no class of RE2`)
    else reader.at += named[0].length
  }
  take(reader, ']')
}

const posix = [
  ['alnum', 'alpha', 'ascii', 'blank', 'cntrl', 'digit', 'graph'],
  ['lower', 'print', 'punct', 'space', 'upper', 'word', 'xdigit'],
].flat()

/** One member of a class, or a range of them. */
function readRange(reader: Reader): void {
  const start = reader.at
  const low = readMember(reader, { inClass: true })
  const next = reader.text.charAt(reader.at + 1)
  if (low === undefined || !ahead(reader, '-') || next === ']' || next === '') return
  take(reader, '-')
  const high = readMember(reader, { inClass: true })
  if (high === undefined || high < low) {
    throw new Fault(`${reader.text.slice(start, reader.at)} is no range`)
  }
}

type Place = { readonly inClass: boolean }

/** A character or an escape: the code point that it stands for; undefined: more than one, or a place. */
function readMember(reader: Reader, place: Place): number | undefined {
  if (take(reader, '\\')) return readEscape(reader, place)
  const point = reader.text.codePointAt(reader.at) ?? 0
  reader.at += String.fromCodePoint(point).length
  return point
}

function readEscape(reader: Reader, { inClass }: Place): number | undefined {
  const rest = reader.text.slice(reader.at)
  const sign = rest.charAt(0)
  if (sign === '') throw new Fault('it ends in a \\')
  if (/^([1-9]|k<)/.test(rest)) throw new Fault(`RE2 has no backreferences (\\${sign})`)
  const numbered = /^(x([0-9A-Fa-f]{2})|x\{([0-9A-Fa-f]{1,6})\}|0([0-7]{0,2}))/.exec(rest)
  if (numbered) {
    const [whole, , two, more, octal] = numbered
    reader.at += whole.length
    const point =
      octal === undefined ? Number.parseInt(two ?? more ?? '', 16) : Number(`0o0${octal}`)
    if (point > 0x10ffff) throw new Fault(`\\${whole} is no character`)
    return point
  }
  const property = /^[pP](\{(\^?\w+)\}|[A-Z])/.exec(rest)
  if (property) return readProperty(reader, property[0])
  if (!inClass && sign === 'Q') {
    const end = reader.text.indexOf('\\E', reader.at)
    reader.at = end < 0 ? reader.text.length : end + 2
    return undefined
  }
  const classes = inClass ? 'dDsSwW' : 'dDsSwWbBAz'
  const known = `${classes}afnrtv`.includes(sign) || /[!-/:-@[-`{-~ ]/.test(sign)
  if (!known) throw new Fault(`RE2 has no \\${String.fromCodePoint(rest.codePointAt(0) ?? 0)}`)
  reader.at += 1
  return classes.includes(sign) ? undefined : (controls.get(sign) ?? sign.codePointAt(0))
}

const controls = new Map(
  [...'\x07\f\n\r\t\v'].map((sign, at) => ['afnrtv'.charAt(at), sign.charCodeAt(0)]),
)

/** `pL`, `p{Greek}`: a general category or a script of Unicode. */
function readProperty(reader: Reader, written: string): undefined {
  const name = written.slice(1).replace(/[{}^]/g, '')
  const known = name === 'Any' || isProperty(name.length > 2 ? `Script=${name}` : name)
  if (!known) throw new Fault(`\\${written} is no category and no script of Unicode`)
  reader.at += written.length
  return undefined
}

function isProperty(text: string): boolean {
  try {
    return new RegExp(`\\p{${text}}`, 'u').unicode
  } catch {
    return false
  }
}

function ahead({ text, at }: Reader, sign: string): boolean {
  return text.charAt(at) === sign
}

function take(reader: Reader, sign: string): boolean {
  if (!ahead(reader, sign)) return false
  reader.at += 1
  return true
}

/** A text as the expression that takes it alone. */
export function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

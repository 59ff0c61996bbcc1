/** Which parts of a JSON document are wanted: a whole value, or the named members of an object. Lists are
 *  passed through: what is said of them holds for each of their items. */
export type Wanted = true | { readonly [name: string]: Wanted }

/** Reads a JSON document piece by piece. `end` answers it with the wanted parts alone. */
export type Pruner = {
  readonly write: (octets: Uint8Array) => void
  readonly end: () => unknown
}

type Frame = { readonly value: unknown[] | Record<string, unknown>; readonly wanted: Wanted }

const codes = {
  ...{ quote: 0x22, comma: 0x2c, colon: 0x3a, backslash: 0x5c },
  ...{ openList: 0x5b, closeList: 0x5d, openObject: 0x7b, closeObject: 0x7d },
} as const

const depthLimit = 100

/** A reader of documents that are far larger than what is wanted of them: neither the document nor the
 *  rest of it is ever held, and each piece costs time by its own size alone. It is for what a machine wrote:
 *  of what it skips it only looks for the end. `keptLimit` is in octets of text. Throws RangeError for more
 *  than that, SyntaxError for what is no JSON. */
export function createPruner(wanted: Wanted, keptLimit: number): Pruner {
  const tree = createTree(wanted)
  const text = createText(keptLimit)
  const skipped = createSkipper()
  let mode: 'between' | 'string' | 'scalar' | 'skip' = 'between'
  let escaped = false

  function skip(octets: Uint8Array, from: number): number {
    const end = skipped.endIn(octets, from)
    if (end === undefined) return octets.length
    mode = 'between'
    tree.leaveOut()
    return end
  }

  function string(octets: Uint8Array, from: number): number {
    for (let at = from; at < octets.length; at++) {
      const code = octets[at]
      if (escaped) escaped = false
      else if (code === codes.backslash) escaped = true
      else if (code === codes.quote) {
        text.keep(octets.subarray(from, at + 1))
        mode = 'between'
        tree.add(JSON.parse(text.finish()))
        return at + 1
      }
    }
    text.keep(octets.subarray(from))
    return octets.length
  }

  function scalar(octets: Uint8Array, from: number): number {
    let at = from
    while (at < octets.length && !endsScalar(octets[at] ?? 0)) at++
    text.keep(octets.subarray(from, at))
    if (at === octets.length) return at
    mode = 'between'
    tree.put(JSON.parse(text.finish()))
    return at
  }

  function between(octets: Uint8Array, at: number): number {
    const code = octets[at] ?? 0
    if (code <= 0x20) return at + 1
    if (tree.isWhole()) throw new SyntaxError('something stands behind the document')
    if (code === codes.comma) tree.next()
    else if (code === codes.closeList || code === codes.closeObject) {
      tree.close(code === codes.closeList)
    } else if (code === codes.colon) {
      if (!tree.enter()) mode = 'skip'
    } else if (code === codes.quote) {
      mode = 'string'
      text.begin('"')
    } else if (tree.wantsName()) throw new SyntaxError('a name was expected')
    else if (code === codes.openObject) tree.open({})
    else if (code === codes.openList) tree.open([])
    else {
      mode = 'scalar'
      return at
    }
    return at + 1
  }

  const steps = { between, string, scalar, skip }
  return {
    write(octets) {
      for (let at = 0; at < octets.length; ) at = steps[mode](octets, at)
    },
    end() {
      if (mode === 'scalar' && tree.isEmpty()) tree.put(JSON.parse(text.finish()))
      if (!tree.isWhole()) throw new SyntaxError('the document is not whole')
      return tree.root()
    },
  }
}

/** The wanted values, as they come. */
function createTree(wanted: Wanted) {
  const frames: Frame[] = []
  let root: unknown
  let whole = false
  let key: string | undefined
  let isKey = false

  function wantedHere(): Wanted | undefined {
    const frame = frames.at(-1)
    if (!frame) return wanted
    if (Array.isArray(frame.value) || frame.wanted === true) return frame.wanted
    return key !== undefined && Object.hasOwn(frame.wanted, key) ? frame.wanted[key] : undefined
  }

  function put(value: unknown): void {
    const frame = frames.at(-1)
    if (!frame) {
      root = value
      whole = true
    } else if (Array.isArray(frame.value)) frame.value.push(value)
    else if (key === undefined) throw new SyntaxError('a value without a name')
    else Object.defineProperty(frame.value, key, { value, enumerable: true, configurable: true })
    key = undefined
  }

  return {
    put,
    root: () => root,
    isWhole: () => whole,
    isEmpty: () => frames.length === 0,
    wantsName: () => isKey,
    /** A string: a name, or a value. */
    add(value: unknown): void {
      if (isKey) key = String(value)
      else put(value)
    },
    /** Behind a name: answers whether its value is wanted. */
    enter(): boolean {
      isKey = false
      return wantedHere() !== undefined
    },
    leaveOut(): void {
      key = undefined
    },
    next(): void {
      isKey = !Array.isArray(frames.at(-1)?.value)
    },
    open(value: Frame['value']): void {
      const here = wantedHere() ?? true
      put(value)
      whole = false
      frames.push({ value, wanted: here })
      if (frames.length > depthLimit) throw new RangeError('the document is nested too deeply')
      isKey = !Array.isArray(value)
    },
    close(isList: boolean): void {
      const frame = frames.pop()
      if (!frame || Array.isArray(frame.value) !== isList) {
        throw new SyntaxError('a bracket too many')
      }
      whole = frames.length === 0
      isKey = false
    },
  }
}

/** The text of a string or a scalar that is kept, whose pieces come one by one. */
function createText(limit: number) {
  const decoder = new TextDecoder()
  let text = ''
  let kept = 0
  return {
    begin(first: string): void {
      text = first
    },
    keep(octets: Uint8Array): void {
      kept += octets.length
      if (kept > limit) throw new RangeError('the wanted parts are larger than may be kept')
      text += decoder.decode(octets, { stream: true })
    },
    finish(): string {
      const found = text + decoder.decode()
      text = ''
      return found
    },
  }
}

/** Looks for the end of a value that is not wanted. */
function createSkipper() {
  let depth = 0
  let inString = false
  let escaped = false
  return {
    /** Where the value ends; undefined: not in this piece. */
    endIn(octets: Uint8Array, from: number): number | undefined {
      for (let at = from; at < octets.length; at++) {
        const code = octets[at]
        if (inString) {
          if (escaped) escaped = false
          else if (code === codes.backslash) escaped = true
          else if (code === codes.quote) inString = false
          continue
        }
        if (code === codes.quote) inString = true
        else if (code === codes.openObject || code === codes.openList) depth++
        else if (code === codes.closeObject || code === codes.closeList) {
          if (depth === 0) return at
          depth--
        } else if (code === codes.comma && depth === 0) return at
      }
      return undefined
    },
  }
}

function endsScalar(code: number): boolean {
  return (
    code <= 0x20 || code === codes.comma || code === codes.closeList || code === codes.closeObject
  )
}

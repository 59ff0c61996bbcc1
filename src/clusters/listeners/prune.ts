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
  const decoder = new TextDecoder()
  const frames: Frame[] = []
  let root: unknown
  let whole = false
  /** Text of a string or a scalar that is being kept, from pieces before this one. */
  let text = ''
  let kept = 0
  let mode: 'between' | 'string' | 'scalar' | 'skip' = 'between'
  let escaped = false
  /** Inside what is skipped. */
  let depth = 0
  let inString = false
  let key: string | undefined
  let isKey = false

  function keep(octets: Uint8Array): void {
    kept += octets.length
    if (kept > keptLimit) throw new RangeError('the wanted parts are larger than may be kept')
    text += decoder.decode(octets, { stream: true })
  }

  function finished(): string {
    const found = text + decoder.decode()
    text = ''
    return found
  }

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

  function open(value: Frame['value']): void {
    const here = wantedHere() ?? true
    put(value)
    whole = false
    frames.push({ value, wanted: here })
    if (frames.length > depthLimit) throw new RangeError('the document is nested too deeply')
    isKey = !Array.isArray(value)
  }

  function close(isList: boolean): void {
    const frame = frames.pop()
    if (!frame || Array.isArray(frame.value) !== isList) throw new SyntaxError('a bracket too many')
    whole = frames.length === 0
    isKey = false
  }

  /** Where what is skipped ends, or where the piece does. */
  function skip(octets: Uint8Array, from: number): number {
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
        if (depth === 0) return skipped(at)
        depth--
      } else if (code === codes.comma && depth === 0) return skipped(at)
    }
    return octets.length
  }

  function skipped(at: number): number {
    mode = 'between'
    key = undefined
    return at
  }

  function string(octets: Uint8Array, from: number): number {
    for (let at = from; at < octets.length; at++) {
      const code = octets[at]
      if (escaped) escaped = false
      else if (code === codes.backslash) escaped = true
      else if (code === codes.quote) {
        keep(octets.subarray(from, at + 1))
        mode = 'between'
        const value: unknown = JSON.parse(finished())
        if (isKey) key = String(value)
        else put(value)
        return at + 1
      }
    }
    keep(octets.subarray(from))
    return octets.length
  }

  function scalar(octets: Uint8Array, from: number): number {
    let at = from
    while (at < octets.length && !endsScalar(octets[at] ?? 0)) at++
    keep(octets.subarray(from, at))
    if (at === octets.length) return at
    mode = 'between'
    put(JSON.parse(finished()))
    return at
  }

  function between(octets: Uint8Array, at: number): number {
    const code = octets[at] ?? 0
    if (code <= 0x20) return at + 1
    if (whole) throw new SyntaxError('something stands behind the document')
    if (code === codes.comma) {
      isKey = !Array.isArray(frames.at(-1)?.value)
      return at + 1
    }
    if (code === codes.closeList || code === codes.closeObject) {
      close(code === codes.closeList)
      return at + 1
    }
    if (code === codes.colon) {
      isKey = false
      if (wantedHere() !== undefined) return at + 1
      mode = 'skip'
      depth = 0
      return at + 1
    }
    if (code === codes.quote) {
      mode = 'string'
      text = '"'
      return at + 1
    }
    if (isKey) throw new SyntaxError('a name was expected')
    if (code === codes.openObject) open({})
    else if (code === codes.openList) open([])
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
      if (mode === 'scalar' && frames.length === 0) put(JSON.parse(finished()))
      if (!whole) throw new SyntaxError('the document is not whole')
      return root
    },
  }
}

function endsScalar(code: number): boolean {
  return (
    code <= 0x20 || code === codes.comma || code === codes.closeList || code === codes.closeObject
  )
}

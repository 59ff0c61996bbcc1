import { Problem } from '../../shared/problem.ts'

/** How much may wait: of all parties together, and of one. */
export type Room = { readonly all: number; readonly each: number }

/** Does `work` for `party` when its turn has come. Throws busy when there is no room to wait in. */
export type Turns = <T>(party: string, work: () => T | Promise<T>, room?: Room) => Promise<T>

/** Heavy work in turns: `atOnce` pieces at a time, and the next one is always that of the party that
 *  was served least recently, so that fifty orders of one delay nobody else by more than one. Who has
 *  nothing waiting always finds room. `what` is what is waited for, in the plural, and `seconds` what
 *  one piece takes: for the answer to whoever finds no room. */
export function fairTurns(options: {
  readonly atOnce: number
  readonly room: Room
  readonly what: string
  readonly seconds: number
}): Turns {
  type Waiting = () => Promise<void>
  // A Map is in the order of insertion: a party that was served goes to its end.
  const waiting = new Map<string, Waiting[]>()
  let count = 0
  let busy = 0

  function next(): Waiting | undefined {
    const [first] = waiting
    if (!first) return undefined
    const [party, pieces] = first
    const piece = pieces.shift()
    waiting.delete(party)
    if (pieces.length > 0) waiting.set(party, pieces)
    count--
    return piece
  }

  async function lane(): Promise<void> {
    busy++
    for (let piece = next(); piece; piece = next()) await piece()
    busy--
  }

  function refuseFull(own: number, room: Room): void {
    if (own === 0 || (own < room.each && count < room.all)) return
    const { what, seconds } = options
    const retryAfterSeconds = Math.min(60, Math.max(1, Math.ceil(own * seconds)))
    const whose = own >= room.each ? `${own} of yours wait` : `${count} wait`
    throw new Problem('busy', `Too many ${what} are asked for: ${whose} already; try again later`, {
      retryAfterSeconds,
    })
  }

  return async (party, work, room = options.room) => {
    const pieces = waiting.get(party) ?? []
    refuseFull(pieces.length, room)
    count++
    waiting.set(party, pieces)
    return new Promise((resolve, reject) => {
      pieces.push(async () => {
        try {
          resolve(await work())
        } catch (error) {
          reject(error)
        }
      })
      if (busy < options.atOnce) void lane()
    })
  }
}

import type { Actor } from '../../../core/actor.ts'
import type { Context } from '../../../core/context.ts'
import { oncePer } from '../../../core/onceper.ts'
import { seatsOf } from '../../../core/seats.ts'
import { Problem } from '../../../shared/problem.ts'

/** So many who follow what happens at a process, and by one API key, by whichever way. */
const seats = oncePer(() => seatsOf({ all: 1000, each: 20 }))

/** How long a reader may leave what it is sent where it is. */
export const patienceMilliseconds = 30_000

/** A place among those who follow what happens; answers how to leave it. Throws busy where there is none. */
export function takeSeat(ctx: Context, actor: Actor): () => void {
  const leave = seats(ctx).take(actor.id ?? actor.name)
  if (leave) return leave
  throw new Problem('busy', 'Too many streams are open: this API key may have 20 at a server')
}

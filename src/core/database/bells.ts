import { Problem } from '../../shared/problem.ts'
import { type Bell, openBell } from '../bell.ts'
import { directUrl } from '../config.ts'
import type { Context } from '../context.ts'
import { oncePer } from '../onceper.ts'
import { type DatabaseSession, openListener } from './postgres.ts'

/** What the database tells its listeners about: triggers say which thing has changed, and no more. */
export type Channel = 'gatesmith_hosts' | 'gatesmith_events'

const channels: readonly Channel[] = ['gatesmith_hosts', 'gatesmith_events']

/** Whoever hangs a bell for this hears of everything on its channel. */
export const anything = '*'

/** Rings when something about a thing was stored. Whoever hears it reads what there is now. */
export type StoredBell = Pick<Bell, 'rung'> & { readonly close: () => void }

/** What a process listens with: one session of its own, opened when somebody first waits. */
type Tower = {
  readonly bells: Map<string, Set<Bell>>
  session: Promise<DatabaseSession> | undefined
  /** It was lost while somebody waited, and no other is open yet. */
  lost: boolean
}

const towers = oncePer((): Tower => ({ bells: new Map(), session: undefined, lost: false }))

const retryMilliseconds = 1_000
const lookMilliseconds = 15_000

/** A bell for the things of these ids; it hears what is stored from when this resolves. Throws unavailable when
 *  the database does not answer. */
export async function hangBell(
  ctx: Context,
  channel: Channel,
  ids: readonly string[],
): Promise<StoredBell> {
  const tower = towers(ctx)
  const names = ids.map((id) => `${channel} ${id}`)
  const bell = openBell()
  const close = () => drop(tower, names, bell)
  for (const name of names) {
    const known = tower.bells.get(name)
    if (known) known.add(bell)
    else tower.bells.set(name, new Set([bell]))
  }
  try {
    tower.session ??= listen(ctx, tower)
    await tower.session
    return { rung: bell.rung, close }
  } catch (cause) {
    close()
    ctx.log.warn({ err: cause }, 'the database cannot be listened to')
    throw new Problem('unavailable', 'The database does not answer: try again')
  }
}

/** Whether everybody who waits here hears what is stored; nobody waiting is fine, too. */
export function bellsRing(ctx: Context): boolean {
  const { bells, lost } = towers(ctx)
  return !lost || bells.size === 0
}

/** Ends what the process listens with, unless somebody still does. */
export async function takeDownBells(ctx: Context): Promise<void> {
  const tower = towers(ctx)
  const { session, bells } = tower
  if (bells.size > 0) return
  tower.session = undefined
  await session?.then((open) => open.close()).catch(() => undefined)
}

function drop({ bells }: Tower, names: readonly string[], bell: Bell): void {
  for (const name of names) {
    const known = bells.get(name)
    known?.delete(bell)
    if (known?.size === 0) bells.delete(name)
  }
}

function ringOne({ bells }: Tower, channel: string, id: string): void {
  for (const name of [id, anything]) {
    for (const one of [...(bells.get(`${channel} ${name}`) ?? [])]) one.ring()
  }
}

/** Rings for what this process found by itself. */
export function ringBell(ctx: Context, channel: Channel, id: string): void {
  ringOne(towers(ctx), channel, id)
}

function ringAll({ bells }: Tower): void {
  for (const all of [...bells.values()]) for (const one of [...all]) one.ring()
}

/** Opens the session; one that is lost is followed by another while anybody waits, and then everybody looks,
 *  since what was told meanwhile was not heard. */
async function listen(ctx: Context, tower: Tower): Promise<DatabaseSession> {
  const opening = openListener(directUrl(ctx.config), channels, (channel, id) => {
    ringOne(tower, channel, id)
  })
  opening.catch(() => {
    tower.session = undefined
  })
  const session = await opening
  tower.lost = false
  const looking = setInterval(() => void look(session), lookMilliseconds)
  looking.unref()
  void session.ended.then(() => {
    clearInterval(looking)
    if (tower.session === undefined) return
    tower.lost = true
    ctx.log.warn({}, 'the listening session is lost; opening another')
    tower.session = undefined
    void reopen(ctx, tower)
  })
  return session
}

async function reopen(ctx: Context, tower: Tower): Promise<void> {
  if (tower.bells.size === 0 || tower.session !== undefined) return
  tower.session = listen(ctx, tower)
  try {
    await tower.session
    ringAll(tower)
  } catch {
    setTimeout(() => void reopen(ctx, tower), retryMilliseconds).unref()
  }
}

/** A connection whose other end is gone without a word is given up. */
async function look(session: DatabaseSession): Promise<void> {
  const late = setTimeout(() => void session.close().catch(() => undefined), lookMilliseconds - 1)
  await session.query('select 1').catch(() => undefined)
  clearTimeout(late)
}

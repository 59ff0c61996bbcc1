import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'

/** One connection of its own, for what hangs on a session: advisory locks, and LISTEN. */
export type DatabaseSession = {
  readonly query: (text: string, values?: readonly unknown[]) => Promise<readonly unknown[]>
  /** The process of PostgreSQL's that was said to be ours when we connected: a pooler names one that is none. */
  readonly backend: number
  /** Resolves when the connection is gone, by `close` or by itself. */
  readonly ended: Promise<void>
  readonly close: () => Promise<void>
}

/** Opens a session to PostgreSQL at `url`. */
export async function openSession(url: string): Promise<DatabaseSession> {
  return (await connectSession(url)).session
}

async function connectSession(
  url: string,
): Promise<{ session: DatabaseSession; client: pg.Client }> {
  const client = new pg.Client({ connectionString: url, keepAlive: true })
  const ended = new Promise<void>((resolve) => {
    client.on('end', () => resolve())
    // Without a listener a lost connection would end the process.
    client.on('error', () => resolve())
  })
  await client.connect()
  const backend: unknown = Reflect.get(client, 'processID')
  // One statement after the other: a connection has no more than one under way.
  let last: Promise<unknown> = Promise.resolve()
  const session: DatabaseSession = {
    query: (text, values = []) => {
      const next = last.then(async () => (await client.query(text, [...values])).rows)
      last = next.catch(() => undefined)
      return next
    },
    backend: Number(backend),
    ended,
    close: () => client.end(),
  }
  return { session, client }
}

/** A session that locks are held by, so that its loss is to be noticed: a machine that is gone says no goodbye, and
 *  the database gives it up within half a minute. */
export async function openLockSession(url: string): Promise<DatabaseSession> {
  const session = await openSession(url)
  try {
    await session.query(
      `select set_config('tcp_keepalives_idle', '10', false),
         set_config('tcp_keepalives_interval', '5', false),
         set_config('tcp_keepalives_count', '3', false)`,
    )
    return session
  } catch (error) {
    await session.close().catch(() => undefined)
    throw error
  }
}

/** A session that hears what is told on these channels (LISTEN), from when this resolves until it ends. */
export async function openListener(
  url: string,
  channels: readonly string[],
  heard: (channel: string, message: string) => void,
): Promise<DatabaseSession> {
  const { session, client } = await connectSession(url)
  client.on('notification', ({ channel, payload = '' }) => heard(channel, payload))
  try {
    for (const channel of channels) await session.query(`listen ${channel}`)
    return session
  } catch (error) {
    await session.close().catch(() => undefined)
    throw error
  }
}

/** Calls `heard` whenever the channel tells something, and after each time in which that may have been missed,
 *  until it is closed. */
export function listen(url: string, channel: string, heard: () => void) {
  const closing = new AbortController()
  const { signal } = closing

  async function keep(): Promise<void> {
    while (!signal.aborted) {
      const session = await openListener(url, [channel], heard).catch(() => undefined)
      heard()
      const closed = new Promise((resolve) => signal.addEventListener('abort', resolve))
      if (session && !signal.aborted) await Promise.race([session.ended, closed])
      await session?.close().catch(() => undefined)
      await wait(500, undefined, { signal }).catch(() => undefined)
    }
  }

  const keeping = keep()
  return {
    close: async (): Promise<void> => {
      closing.abort()
      await keeping
    },
  }
}

/** Up to `connections` connections, opened as they are needed, that all requests share. */
export function openPool(url: string, connections: number): pg.Pool {
  return new pg.Pool({
    connectionString: url,
    max: connections,
    // PostgreSQL takes a page out of order for four in order, as on a disk that turns, and would rather read a month
    // of an index than the hundred rows that are asked for.
    onConnect: async (client) => {
      await client.query('set random_page_cost = 1.1')
    },
  })
}

/** The rows that a statement reads, with values as Prisma has them: node-postgres would give whole numbers of eight
 *  octets as text. */
export async function queryRows<Row>(
  pool: pg.Pool,
  text: string,
  values: readonly unknown[],
): Promise<readonly Row[]> {
  const { rows } = await pool.query({ text, values: [...values], types })
  return rows
}

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) =>
    oid === pg.types.builtins.INT8 ? BigInt : pg.types.getTypeParser(oid, format),
}

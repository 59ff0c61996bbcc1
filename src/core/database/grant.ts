import { isRecord } from '../../shared/shape.ts'
import { openSession } from './postgres.ts'

/** What the audit trail is made of: added to and read, never changed. */
const final = ['audit_event', 'audit_link', 'audit_checkpoint'] as const

/** Gives a role of PostgreSQL what `serve` and `worker` need and no more: to them the tables of the audit
 *  trail are append-only, since a trigger is not theirs to switch off. Throws when there is no such role, or
 *  when it owns or inherits what it is not to have. */
export async function grantTo(url: string, role: string): Promise<void> {
  const session = await openSession(url)
  try {
    const [found] = await session.query(
      'select quote_ident(rolname) as name from pg_roles where rolname = $1',
      [role],
    )
    const name = textOf(found, 'name')
    if (name === undefined) {
      throw new Error(
        `There is no role "${role}": create it first, with LOGIN and without SUPERUSER`,
      )
    }
    for (const statement of statements(name)) await session.query(statement)
    // The queue's tables let nobody but their owner see their rows.
    const closed = await session.query(
      `select quote_ident(relname) as name from pg_class
       where relnamespace = 'graphile_worker'::regnamespace and relrowsecurity`,
    )
    for (const row of closed) {
      const table = `graphile_worker.${textOf(row, 'name')}`
      await session.query(`drop policy if exists gatesmith_role on ${table}`)
      await session.query(
        `create policy gatesmith_role on ${table} to ${name} using (true) with check (true)`,
      )
    }
    await refuseMore(session, role)
  } finally {
    await session.close()
  }
}

function statements(name: string): readonly string[] {
  return [
    `grant usage on schema public, graphile_worker to ${name}`,
    `grant select, insert, update, delete on all tables in schema public, graphile_worker to ${name}`,
    `grant usage, select on all sequences in schema public, graphile_worker to ${name}`,
    `grant execute on all functions in schema public, graphile_worker to ${name}`,
    `revoke update, delete, truncate, trigger, references on ${final.join(', ')} from ${name}`,
  ]
}

type Session = Awaited<ReturnType<typeof openSession>>

async function refuseMore(session: Session, role: string): Promise<void> {
  const more = await session.query(
    `select wanted.name || ' ' || privilege as name
     from unnest($1::text[]) as wanted (name), unnest(array['update', 'delete', 'truncate', 'trigger']) as privilege
     where has_table_privilege($2, wanted.name, privilege)`,
    [final, role],
  )
  if (more.length === 0) return
  const found = more.map((row) => textOf(row, 'name')).join(', ')
  throw new Error(
    `The role "${role}" may do more than it should (${found}): it owns these tables, is a superuser, or inherits from a role that may`,
  )
}

function textOf(row: unknown, name: string): string | undefined {
  const value = isRecord(row) ? row[name] : undefined
  return typeof value === 'string' ? value : undefined
}

import Type from 'typebox'
import { Compile } from 'typebox/compile'
import Value from 'typebox/value'
import type { Config } from '../../core/config.ts'
import { day } from '../../shared/moment.ts'
import { Problem } from '../../shared/problem.ts'
import { closed, Timestamp } from '../../shared/schema.ts'

function count(description: string) {
  return Type.Integer({ minimum: 0, maximum: 100_000_000, description })
}

const limits = {
  hosts: count('Hosts, until they are gone from their clusters'),
  certificatesPerDay: count(
    'Certificates ordered in a day (UTC): new ones, those of new or changed hosts, renewals before they are due',
  ),
  deliveries: count('Deliveries, until they are gone from their clusters'),
  apiKeys: count('API keys in force'),
  revocationsPerDay: count('Certificates that its own API keys revoke in a day (UTC)'),
  replacementsPerDay: count('Replacements that its own API keys order in a day (UTC)'),
}

/** How much a tenant may have. */
export const Quotas = closed(limits, { title: 'Quotas' })
export type Quotas = Type.Static<typeof Quotas>

/** The same as it is asked for: what is left out is as the settings say. */
export const AskedQuotas = closed(
  {
    hosts: Type.Optional(limits.hosts),
    certificatesPerDay: Type.Optional(limits.certificatesPerDay),
    deliveries: Type.Optional(limits.deliveries),
    apiKeys: Type.Optional(limits.apiKeys),
    revocationsPerDay: Type.Optional(limits.revocationsPerDay),
    replacementsPerDay: Type.Optional(limits.replacementsPerDay),
  },
  { title: 'QuotasSpec' },
)
export type AskedQuotas = Type.Static<typeof AskedQuotas>

/** How much of it is used. */
export const Usage = closed(
  { ...limits, resetsAt: Timestamp },
  {
    title: 'Usage',
    description: 'What of its quotas is used; those of a day begin anew at resetsAt',
  },
)
export type Usage = Type.Static<typeof Usage>

const storedQuotas = Compile(AskedQuotas)

/** What holds for a tenant: its own quotas over those of the settings. What another release stored counts
 *  as far as it reads here. */
export function quotasOf({ quotas }: { readonly quotas: unknown }, config: Config): Quotas {
  if (storedQuotas.Check(quotas)) return { ...config.quotas, ...quotas }
  const own = Object.entries(Object(quotas)).filter(([name, limit]) => {
    return Object.hasOwn(limits, name) && Value.Check(limits.hosts, limit)
  })
  return { ...config.quotas, ...Object.fromEntries(own) }
}

/** The day (UTC) for which something counts, and when the next one begins. */
export function dayOf(now: Date): { readonly day: string; readonly resetsAt: Date } {
  const date = now.toISOString().slice(0, 10)
  return { day: date, resetsAt: new Date(Date.parse(date) + day) }
}

const things: Readonly<Record<keyof Quotas, string>> = {
  hosts: 'hosts',
  certificatesPerDay: 'certificates a day',
  deliveries: 'deliveries',
  apiKeys: 'API keys',
  revocationsPerDay: 'revocations a day',
  replacementsPerDay: 'replacements a day',
}

/** That a tenant has used up a quota: which, its limit, and from when on there is more; undefined `now`
 *  for what no new day makes room for. */
export function quotaExceeded(
  quota: keyof Quotas,
  {
    limit,
    used = limit,
    now,
  }: { readonly limit: number; readonly used?: number; readonly now?: Date },
): Problem {
  const advice = 'or ask a platform admin for a larger quota'
  const said = `This tenant may have ${limit} ${things[quota]}`
  if (now === undefined) {
    return new Problem('quota-exceeded', `${said}: remove what is not needed, ${advice}`, {
      ...{ quota, limit, used },
    })
  }
  const { resetsAt } = dayOf(now)
  return new Problem('quota-exceeded', `${said}: wait until ${resetsAt.toISOString()}, ${advice}`, {
    ...{ quota, limit, used, resetsAt: resetsAt.toISOString() },
    retryAfterSeconds: Math.max(1, Math.ceil((resetsAt.getTime() - now.getTime()) / 1000)),
  })
}

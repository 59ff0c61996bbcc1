import { day, hour } from '../../shared/moment.ts'
import type { RenewalWindows, RenewBefore } from '../../tenants/tenant.ts'
import type { Validity } from '../../x509/der/time.ts'
import { nextWindow, turnOf } from './windows.ts'

/** When to renew: at two thirds of the lifetime, or as long before the end as `before` says, up to a
 *  tenth of the lifetime earlier as `spread` goes 0..1, so that what was issued together does not come
 *  due together. What leaves no lifetime at all is not followed. Whole seconds, as certificates store
 *  them; never before notBefore. */
export function renewAt(
  { notBefore, notAfter }: Validity,
  spread: number,
  before: RenewBefore = {},
): Date {
  const begin = notBefore.getTime()
  const lifetime = notAfter.getTime() + 1000 - begin
  const due = begin + lifetime - leadOf(lifetime, before) - (lifetime * spread) / 10
  return new Date(Math.max(begin, Math.floor(due / 1000) * 1000))
}

function leadOf(lifetime: number, { days, percent }: RenewBefore): number {
  const third = lifetime / 3
  const share = percent === undefined ? third : (lifetime * percent) / 100
  const lead = days === undefined ? share : days * day
  return lead < lifetime ? lead : third
}

/** 0..1 out of a certificate's serial, which is random: the same whenever it is asked. */
export function spreadOf(serial: string): number {
  return Number.parseInt(serial.slice(-8), 16) / 0x1_0000_0000
}

/** How long to wait after so many failures in a row: an hour, doubled up to 32. */
export function backoff(failures: number): number {
  return hour * 2 ** Math.min(Math.max(failures - 1, 0), 5)
}

/** Why a certificate is replaced by another. */
const renewalReasons = [
  'revoked',
  'ended',
  'ordered',
  'issuer-retired',
  'policy',
  'due',
  'early',
  'asked',
] as const
export type RenewalReason = (typeof renewalReasons)[number]

/** What decides whether a certificate is to be renewed. */
export type Renewable = {
  readonly status: string
  readonly notAfter: Date
  readonly renewAt: Date | null
  /** It is part of a mass replacement. */
  readonly ordered: boolean
  /** The key that signed it still signs. */
  readonly issuerSigns: boolean
  /** The tenant's policy and the authority's limits would still let it be issued. */
  readonly allowed: boolean
  /** When what is due may be renewed by itself; undefined: at any time. */
  readonly windows: RenewalWindows | undefined
}

/** Why to renew now, or undefined. The questions in their order; the first that is answered with yes
 *  counts. */
export function renewalReason(held: Renewable, now: Date): RenewalReason | undefined {
  const isDue = held.renewAt !== null && held.renewAt <= now
  const turn = isDue ? turnOf(nextWindow(held.windows, now), held.notAfter) : undefined
  const questions: readonly (readonly [boolean, RenewalReason])[] = [
    // Nobody may go on using it.
    [held.status === 'revoked', 'revoked'],
    // Nobody accepts it any more.
    [held.notAfter <= now, 'ended'],
    // An operator wants it gone.
    [held.ordered, 'ordered'],
    // Its authority has moved on to another key, and trust in this one will end.
    [!held.issuerSigns, 'issuer-retired'],
    // It would not be issued like this today.
    [!held.allowed, 'policy'],
    // Its time has come.
    [turn === 'now', 'due'],
    // It would end before the next window closes.
    [turn === 'early', 'early'],
  ]
  return questions.find(([yes]) => yes)?.[1]
}

/** Whether it may be replaced whatever the quota says: nothing that is in use ever ends because its
 *  tenant has ordered too much. */
export function isOwed(
  held: Omit<Renewable, 'allowed' | 'notAfter' | 'windows'>,
  now: Date,
): boolean {
  const isDue = held.renewAt !== null && held.renewAt <= now
  return isDue || held.status === 'revoked' || held.ordered || !held.issuerSigns
}

/** What is read with a certificate that may be renewed. */
export const withIssuer = {
  authority: { select: { name: true } },
  issuer: {
    select: {
      notAfter: true,
      key: { select: { issuers: { where: { issues: true }, select: { id: true } } } },
    },
  },
} as const

/** What its issuer's key and a mass replacement say of a certificate read so. */
export function renewalState(row: {
  readonly replacementId: string | null
  readonly issuer: { readonly key: { readonly issuers: readonly unknown[] } } | null
}): Pick<Renewable, 'ordered' | 'issuerSigns'> {
  // Of the keys of a CA elsewhere nothing is known.
  const issuerSigns = row.issuer === null || row.issuer.key.issuers.length > 0
  return { ordered: row.replacementId !== null, issuerSigns }
}

import { type CheckedRequest, checkAgain } from '../../certificates/vetting/check.ts'
import { type ReadRequest, readIssuanceRequest } from '../../certificates/vetting/request.ts'
import type { Actor } from '../../core/actor.ts'
import type { Context } from '../../core/context.ts'
import { Problem } from '../../shared/problem.ts'
import type { AccountRow } from '../accounts/find.ts'
import { AcmeProblem, acmeErrorBase } from '../problem.ts'
import { type AcmeProfile, termsOf } from '../profiles.ts'
import { certificateNames, type Identifier } from './identifiers.ts'

/** What is to be held against the rules for certificates. */
type Vetting = { readonly account: AccountRow; readonly profile: AcmeProfile }

/** Holds a request against the rules of its tenant and its authority, as any other request for a certificate is. The
 *  days of its profile are at most what these allow. */
export function vet(
  ctx: Context,
  actor: Actor,
  { account, read }: { readonly account: AccountRow; readonly read: ReadRequest },
): Promise<CheckedRequest> {
  const [tenant, authority] = [account.key.tenant.name, account.authority.name]
  return checkAgain(ctx, actor, { tenant, authority, read })
}

function askedFor({ account, profile }: Vetting) {
  const { profile: kind, days } = termsOf(profile)
  return {
    ...{ profile: kind, authority: account.authority.name },
    ...(days === undefined ? {} : { validityDays: days }),
  }
}

/** Whether these names may be had, before anything is asked of their owners. Of the key nothing is known yet. Throws
 *  rejectedIdentifier with what is wrong with each, invalidProfile, unauthorized. */
export async function vetNames(
  ctx: Context,
  actor: Actor,
  { identifiers, ...vetting }: Vetting & { readonly identifiers: readonly Identifier[] },
): Promise<void> {
  const names = certificateNames(identifiers)
  const read = readIssuanceRequest({ ...askedFor(vetting), ...names })
  const { faults } = await vet(ctx, actor, { account: vetting.account, read })
  const subproblems = faults.flatMap(({ field, message }) => {
    const [, kind, at] = /^\/(dnsNames|ipAddresses)\/(\d+)/.exec(field) ?? []
    if (kind === undefined) return []
    const dns = kind === 'dnsNames'
    const value = (dns ? names.dnsNames : names.ipAddresses)[Number(at)] ?? ''
    const identifier = { type: dns ? 'dns' : 'ip', value }
    return [{ type: `${acmeErrorBase}rejectedIdentifier`, detail: message, identifier }]
  })
  const [first] = subproblems
  if (first) {
    const detail = subproblems.length > 1 ? `${first.detail} (and others)` : first.detail
    throw new AcmeProblem('rejectedIdentifier', detail, { subproblems })
  }
  const left = faults.filter(({ field }) => field !== '/keyAlgorithm')
  const profileFault = left.find(({ field }) => field === '/profile')
  if (profileFault) throw new AcmeProblem('invalidProfile', profileFault.message)
  const [other] = left
  if (other) throw new AcmeProblem('unauthorized', other.message)
}

/** What a certificate request (PEM) of an order asks for. Throws badCSR. */
export function readCsr(csr: string, vetting: Vetting): ReadRequest {
  try {
    return readIssuanceRequest({ ...askedFor(vetting), csr })
  } catch (error) {
    throw asBadCsr(error)
  }
}

/** What the rules for certificates refuse, as ACME says it; anything else as it is. */
export function asBadCsr(error: unknown): unknown {
  const refused = error instanceof Problem && error.type === 'certificate-refused'
  return refused ? new AcmeProblem('badCSR', error.message) : error
}

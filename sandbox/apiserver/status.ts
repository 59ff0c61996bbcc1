import type { Fields } from '../json.ts'
import { type Kind, resourceName } from '../kinds.ts'

/** An answer that is not a success: what is thrown anywhere below the server, with the Kubernetes
 *  Status object it is answered with. */
export type Refusal = Error & { readonly status: Fields & { readonly code: number } }

/** One reason of a 422 or a field conflict. */
export type Cause = { readonly reason: string; readonly message: string; readonly field: string }

/** A Refusal with the given HTTP status, machine-readable reason and details. */
export function refusal(code: number, reason: string, message: string, details?: Fields): Refusal {
  const head = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' }
  const status = { ...head, message, reason, ...(details ? { details } : {}), code }
  return Object.assign(new Error(message), { status })
}

/** Is it a Refusal (and not a fault of the sandbox)? */
export function isRefusal(error: unknown): error is Refusal {
  return error instanceof Error && 'status' in error
}

function detailsOf(kind: Kind, name: string): { [key: string]: string } {
  return { name, ...(kind.group ? { group: kind.group } : {}), kind: kind.plural }
}

/** 404 for an object. */
export function notFound(kind: Kind, name: string): Refusal {
  const message = `${resourceName(kind)} "${name}" not found`
  return refusal(404, 'NotFound', message, detailsOf(kind, name))
}

/** 404 for a path. */
export function unknownPath(): Refusal {
  return refusal(404, 'NotFound', 'the server could not find the requested resource', {})
}

/** 409 for a name that is taken. */
export function alreadyExists(kind: Kind, name: string): Refusal {
  const message = `${resourceName(kind)} "${name}" already exists`
  return refusal(409, 'AlreadyExists', message, detailsOf(kind, name))
}

/** 409 for a resourceVersion that is not the stored one. */
export function stale(kind: Kind, name: string): Refusal {
  const message =
    `Operation cannot be fulfilled on ${resourceName(kind)} "${name}": the object has been modified; ` +
    'please apply your changes to the latest version and try again'
  return refusal(409, 'Conflict', message, detailsOf(kind, name))
}

/** 409 for a precondition on uid or resourceVersion that does not hold. */
export function preconditionFailed(kind: Kind, name: string, fact: string): Refusal {
  const message = `Operation cannot be fulfilled on ${resourceName(kind)} "${name}": Precondition failed: ${fact}`
  return refusal(409, 'Conflict', message, detailsOf(kind, name))
}

/** 422 with every cause. */
export function invalid(kind: Kind, name: string, causes: readonly Cause[]): Refusal {
  const each = causes.map(({ field, message }) => `${field}: ${message}`)
  const all = each.length === 1 ? each[0] : `[${each.join(', ')}]`
  const group = kind.group ? { group: kind.group } : {}
  const details = { name, ...group, kind: kind.kind, causes: causes.map((cause) => ({ ...cause })) }
  return refusal(422, 'Invalid', `${kind.kind} "${name}" is invalid: ${all}`, details)
}

/** 400. */
export function badRequest(message: string): Refusal {
  return refusal(400, 'BadRequest', message)
}

/** 405. */
export function notAllowed(): Refusal {
  const message = 'the server does not allow this method on the requested resource'
  return refusal(405, 'MethodNotAllowed', message, {})
}

/** 410: the events after a resourceVersion are not kept any more. */
export function expired(asked: number, oldest: number): Refusal {
  return refusal(410, 'Expired', `too old resource version: ${asked} (${oldest})`)
}

/** A cause for a field that has to be there. */
export function required(field: string, why = ''): Cause {
  return { reason: 'FieldValueRequired', message: `Required value${why ? `: ${why}` : ''}`, field }
}

/** A cause for a field whose value cannot be. */
export function wrong(field: string, value: unknown, why: string): Cause {
  const shown = JSON.stringify(value) ?? 'null'
  return { reason: 'FieldValueInvalid', message: `Invalid value: ${shown}: ${why}`, field }
}

/** Everything that a client can act on, in one closed table (RFC 9457). `type` is the key, prefixed by
 *  {@link problemBase}; it never changes once released. Status codes follow RFC 9110. */
export const problems = {
  'request-malformed': { status: 400, title: 'The request is not well formed' },
  'request-invalid': { status: 422, title: 'The request breaks one or more rules' },
  'request-too-large': { status: 413, title: 'The request is larger than this service reads' },
  'url-too-long': { status: 414, title: 'The URL is longer than this service reads' },
  'headers-too-large': { status: 431, title: 'The headers are longer than this service reads' },
  'request-late': { status: 408, title: 'The request did not come in time' },
  'precondition-refused': { status: 412, title: 'Nothing here can be asked for on this condition' },
  'precondition-failed': { status: 412, title: 'It is not as the request expects it to be' },
  'expectation-refused': { status: 417, title: 'What the request expects is not done here' },
  'media-type-unsupported': { status: 415, title: 'The body is of a type that is not read here' },
  'credentials-missing': { status: 401, title: 'A bearer token is required' },
  'credentials-refused': { status: 401, title: 'The bearer token is not valid' },
  forbidden: { status: 403, title: 'The role of this API key does not allow this' },
  'csrf-refused': { status: 403, title: 'The request is not shown to come from the console' },
  'route-unknown': { status: 404, title: 'There is nothing at this URL' },
  'method-unsupported': { status: 405, title: 'This URL does not answer to this method' },
  'tenant-unknown': { status: 404, title: 'There is no such tenant' },
  'tenant-exists': { status: 409, title: 'A tenant of this name exists' },
  'tenant-in-use': { status: 409, title: 'The tenant still owns things' },
  'api-key-needed': { status: 409, title: 'The API key is the last of its kind' },
  'api-key-changed': { status: 409, title: 'The API key has been changed meanwhile' },
  'api-key-unknown': { status: 404, title: 'There is no such API key' },
  'authority-unknown': { status: 404, title: 'There is no such authority' },
  'issuer-unknown': { status: 404, title: 'The authority has no such certificate' },
  'authority-exists': { status: 409, title: 'An authority of this name exists' },
  'authority-in-use': { status: 409, title: 'The authority is still needed' },
  'authority-refused': { status: 422, title: 'The authority cannot be made or imported like this' },
  'authority-keyless': { status: 409, title: 'The key of this authority is not held here' },
  'approval-needed': { status: 409, title: 'Two people decide about this' },
  'approval-unknown': { status: 404, title: 'Nothing of this id was asked for' },
  'approval-exists': { status: 409, title: 'It waits for a decision already' },
  'approval-settled': { status: 409, title: 'Nothing is left to decide' },
  'approval-own': { status: 403, title: 'Another person has to approve it' },
  'replacement-unknown': { status: 404, title: 'There is no such replacement' },
  'rotation-unknown': { status: 404, title: 'The key of this authority was never changed' },
  'rotation-underway': { status: 409, title: 'The key of this authority is being changed' },
  'rotation-unfinished': { status: 409, title: 'The old key is still in use' },
  'acme-key-unknown': { status: 404, title: 'There is no such ACME key' },
  'acme-account-unknown': { status: 404, title: 'There is no such ACME account' },
  'certificate-unknown': { status: 404, title: 'There is no such certificate' },
  'certificate-refused': { status: 422, title: 'The certificate may not be issued like this' },
  'certificate-unfinished': { status: 409, title: 'The certificate is not signed yet' },
  'certificate-ordered': { status: 409, title: 'A CA elsewhere is yet to issue the certificate' },
  'certificate-replaced': { status: 409, title: 'Another certificate has taken its place' },
  'certificate-uploaded': { status: 409, title: 'The certificate was issued elsewhere' },
  'certificate-in-use': { status: 409, title: 'The certificate is still used' },
  'certificate-expired': { status: 409, title: 'The certificate has ended' },
  'list-unknown': { status: 404, title: 'There is no such revocation list' },
  'key-withheld': { status: 403, title: 'The private key is not handed out' },
  'key-downloaded': { status: 409, title: 'The private key was handed out before' },
  'key-refused': { status: 422, title: 'The public key is not acceptable' },
  'blocked-key-unknown': { status: 404, title: 'There is no such blocked key' },
  'blocked-key-exists': { status: 409, title: 'The key is blocked already' },
  'key-absent': { status: 409, title: 'The private key is not held here' },
  'cluster-unknown': { status: 404, title: 'There is no such cluster' },
  'cluster-exists': { status: 409, title: 'A cluster of this name exists' },
  'cluster-in-use': { status: 409, title: 'Hosts are still placed on the cluster' },
  'cluster-unreachable': { status: 502, title: 'The cluster does not answer as it should' },
  'mesh-unknown': { status: 404, title: 'There is no such mesh configuration' },
  'mesh-owned': { status: 409, title: 'The mesh configuration is written by something else' },
  'mesh-changed': { status: 409, title: 'The mesh configuration has been changed meanwhile' },
  'mesh-refused': { status: 422, title: 'The mesh configuration cannot be set like this' },
  'kubeconfig-refused': { status: 422, title: 'The kubeconfig cannot be used' },
  'host-unknown': { status: 404, title: 'There is no such host' },
  'host-refused': { status: 422, title: 'The host cannot be served like this' },
  'host-conflict': { status: 409, title: 'Another host already answers for this name' },
  'delivery-unknown': { status: 404, title: 'There is no such delivery' },
  'delivery-refused': { status: 422, title: 'The certificate cannot be delivered like this' },
  'delivery-conflict': { status: 409, title: 'Another delivery has this Secret' },
  'receiver-unknown': { status: 404, title: 'There is no such receiver of notices' },
  'receiver-refused': { status: 422, title: 'Notices cannot be sent like this' },
  'notice-unknown': { status: 404, title: 'There is no such notice' },
  'checkpoint-unknown': { status: 404, title: 'The audit trail has no checkpoint yet' },
  'idempotency-mismatch': {
    status: 422,
    title: 'The Idempotency-Key was used for another request',
  },
  'idempotency-busy': {
    status: 409,
    title: 'The first request with this Idempotency-Key is under way',
  },
  'cursor-refused': { status: 422, title: 'The cursor is not one of this list' },
  'quota-exceeded': { status: 429, title: 'The tenant has used up its quota' },
  'rate-limited': { status: 429, title: 'Too many requests' },
  busy: { status: 503, title: 'Too much of this is under way already' },
  unavailable: { status: 503, title: 'The service cannot answer just now' },
  internal: { status: 500, title: 'Something went wrong in the service' },
} as const

export type ProblemType = keyof typeof problems

/** One broken rule: `field` is a JSON Pointer into the request (RFC 6901), `message` says what to do. */
export type Violation = { readonly field: string; readonly message: string }

/** A name as a part of a JSON Pointer (RFC 6901 3). */
export function pointerPart(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** What `type` URIs begin with; each is described in docs/problems.md. */
export const problemBase = 'https://gatesmith.dev/problems/'

/** A refusal that the caller can act on. `detail` is about this occurrence and says what to do; it
 *  must hold no secret. `extra` becomes further members of the problem document. */
export class Problem extends Error {
  readonly type: ProblemType
  readonly extra: Readonly<Record<string, unknown>>

  constructor(type: ProblemType, detail: string, extra: Readonly<Record<string, unknown>> = {}) {
    super(detail)
    this.name = 'Problem'
    this.type = type
    this.extra = extra
  }

  get status(): number {
    return problems[this.type].status
  }
}

/** How many violations an answer holds; who has more is not helped by reading them all. */
export const mostViolations = 100

/** Throws `type` with all violations at once, if there are any; one alone is also the detail. */
export function refuse(type: ProblemType, violations: readonly Violation[]): void {
  const [first] = violations
  if (!first) return
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more, see violations)` : ''
  throw new Problem(type, `${first.message}${more}`, {
    violations: violations.slice(0, mostViolations),
  })
}

/** What came of one item of a batch: the answer, or the problem why there is none. Throws what concerns all items
 *  (tenant-unknown, forbidden), and what is no Problem. */
export async function outcomeOf<Answer>(work: () => Promise<Answer>): Promise<Answer | Problem> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Problem) || concernsAll.has(error.type)) throw error
    return error
  }
}

const concernsAll: ReadonlySet<string> = new Set(['tenant-unknown', 'forbidden'])

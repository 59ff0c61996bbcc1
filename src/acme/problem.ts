/** The errors of ACME that are answered here, by the part of their URN behind {@link acmeErrorBase} (RFC 8555 6.7, RFC
 *  9773 7.4, draft-aaron-acme-profiles 6.3), each with its status. */
const acmeErrors = {
  accountDoesNotExist: 400,
  alreadyReplaced: 409,
  alreadyRevoked: 400,
  badCSR: 400,
  badNonce: 400,
  badPublicKey: 400,
  badRevocationReason: 400,
  badSignatureAlgorithm: 400,
  connection: 400,
  dns: 400,
  externalAccountRequired: 403,
  incorrectResponse: 403,
  invalidContact: 400,
  invalidProfile: 400,
  malformed: 400,
  orderNotReady: 403,
  rateLimited: 429,
  rejectedIdentifier: 400,
  serverInternal: 500,
  tls: 400,
  unauthorized: 403,
  unsupportedContact: 400,
  unsupportedIdentifier: 400,
} as const

export type AcmeErrorType = keyof typeof acmeErrors

/** What the types of these errors begin with. */
export const acmeErrorBase = 'urn:ietf:params:acme:error:'

/** What is said of one identifier of several (RFC 8555 6.7.1). */
export type Subproblem = {
  readonly type: string
  readonly detail: string
  readonly identifier: { readonly type: string; readonly value: string }
}

/** Further members of the document, and what its answer bears. */
type AcmeExtra = {
  readonly status?: number
  readonly subproblems?: readonly Subproblem[]
  /** Which algorithms would do, for badSignatureAlgorithm. */
  readonly algorithms?: readonly string[]
  readonly retryAfterSeconds?: number
  /** The URL of the account that has the key, for a change of key that is refused (RFC 8555 7.3.5). */
  readonly location?: string
}

/** A refusal that an ACME client can act on; its message holds no secret. */
export class AcmeProblem extends Error {
  readonly type: AcmeErrorType
  readonly extra: AcmeExtra

  constructor(type: AcmeErrorType, detail: string, extra: AcmeExtra = {}) {
    super(detail)
    this.name = 'AcmeProblem'
    this.type = type
    this.extra = extra
  }

  get status(): number {
    return this.extra.status ?? acmeErrors[this.type]
  }
}

/** An error as it is kept with an order or a challenge, and shown with it. */
export type KeptProblem = {
  readonly type: string
  readonly detail: string
  readonly status: number
}

/** The same as it is kept. */
export function keptProblem({ type, message, status }: AcmeProblem): KeptProblem {
  return { type: `${acmeErrorBase}${type}`, detail: message, status }
}

/** What can be wrong with a thing this room was given; stable, for callers to branch on. */
export type X509ErrorCode =
  | 'der-malformed'
  | 'pem-malformed'
  | 'pem-too-large'
  | 'value-invalid'
  | 'name-invalid'
  | 'altname-invalid'
  | 'serial-invalid'
  | 'template-invalid'
  | 'key-unsupported'
  | 'request-refused'
  | 'store-refused'

/** The one error of this room: a stable `code` and a sentence that says what to do. */
export class X509Error extends Error {
  readonly code: X509ErrorCode

  constructor(code: X509ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'X509Error'
    this.code = code
  }
}

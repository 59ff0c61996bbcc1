/** Revocation reasons and their numbers (RFC 5280 5.3.1); 7 was never assigned. */
export const reasonNumbers = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  removeFromCRL: 8,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const

export type AnyReason = keyof typeof reasonNumbers

/** The reasons that may be given: no hold, since we do not unrevoke; removeFromCRL is for delta
 *  lists; aACompromise is about attribute certificates. */
export const settableReasons = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
] as const

export type RevocationReason = (typeof settableReasons)[number]

/** The reason of a number, or undefined. */
export function reasonOf(number: number): AnyReason | undefined {
  return byNumber.get(number)
}

const byNumber = new Map<number, AnyReason>([
  [0, 'unspecified'],
  [1, 'keyCompromise'],
  [2, 'cACompromise'],
  [3, 'affiliationChanged'],
  [4, 'superseded'],
  [5, 'cessationOfOperation'],
  [6, 'certificateHold'],
  [8, 'removeFromCRL'],
  [9, 'privilegeWithdrawn'],
  [10, 'aACompromise'],
])

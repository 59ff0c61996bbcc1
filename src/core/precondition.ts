/** What a write expects of the thing as it stands, asked in its transaction with the thing as it is shown, or null
 *  where there is none. Throws precondition-failed. */
export type Precondition = (current: object | null) => void

import Type from 'typebox'
import { closed } from '../../shared/schema.ts'

/** What the thread is to open: a PKCS#12 store in base64, or an encrypted private key in PEM. */
export const Sealed = Type.Union([
  closed({ store: Type.String(), passphrase: Type.String() }),
  closed({
    block: closed({ label: Type.String(), headers: Type.String(), base64: Type.String() }),
    passphrase: Type.String(),
  }),
])
export type Sealed = Type.Static<typeof Sealed>

/** What it found, in base64, or why it opened nothing. */
export const Opened = Type.Union([
  closed({
    certificates: Type.Array(Type.String()),
    keys: Type.Array(closed({ label: Type.String(), der: Type.String() })),
  }),
  closed({ refused: Type.String() }),
])
export type Opened = Type.Static<typeof Opened>

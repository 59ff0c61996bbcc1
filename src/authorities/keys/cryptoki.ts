import { type Context, lasting } from '../../core/context.ts'
import { oncePer } from '../../core/onceper.ts'
import { Problem } from '../../shared/problem.ts'
import type { KeyUri } from './uri.ts'

/** The numbers of PKCS#11 2.40 (pkcs11t.h) that are used here. */
export const ck = {
  serialSession: 4,
  readWriteSession: 2,
  user: 1,
  publicKey: 2,
  privateKey: 3,
  rsa: 0,
  ec: 3,
  attribute: {
    class: 0x0,
    token: 0x1,
    private: 0x2,
    label: 0x3,
    keyType: 0x100,
    id: 0x102,
    sensitive: 0x103,
    sign: 0x108,
    verify: 0x10a,
    modulus: 0x120,
    modulusBits: 0x121,
    publicExponent: 0x122,
    extractable: 0x162,
    ecParams: 0x180,
    ecPoint: 0x181,
  },
  mechanism: { rsaKeys: 0x0, rsaSha256: 0x40, ecKeys: 0x1040, ecdsa: 0x1041 },
} as const

type Library = InstanceType<typeof import('pkcs11js')['default']['PKCS11']>
/** A session with a token, logged in as its user. */
export type Session = { readonly library: Library; readonly handle: Buffer; readonly token: string }

/** The module of a process, loaded and initialised once; `undefined` after a failure, to try again. */
const modules = oncePer((): { library?: Library } => ({}))

/** Opens a session with the token of this label, or else with the one in the settings. Throws
 *  authority-refused when no token is set up, unavailable when it does not open. */
export async function openTokenSession(ctx: Context, token: string | undefined): Promise<Session> {
  const settings = ctx.config.pkcs11
  if (!settings) {
    throw refused('No token is set up here: set GATESMITH_PKCS11_MODULE and the PIN')
  }
  const wanted = token ?? settings.token
  try {
    const library = await loaded(ctx, settings.module)
    const tokens = library
      .C_GetSlotList(true)
      .map((slot) => ({ slot, label: library.C_GetTokenInfo(slot).label.trim() }))
    const found = tokens.filter(({ label }) => wanted === undefined || label === wanted)
    const [only] = found
    if (!only || found.length > 1) {
      throw unavailable(
        wanted === undefined
          ? `There are ${found.length} tokens: name one by GATESMITH_PKCS11_TOKEN`
          : `There are ${found.length} tokens "${wanted}"`,
      )
    }
    const handle = library.C_OpenSession(only.slot, ck.serialSession | ck.readWriteSession)
    logIn(library, handle, settings.pin)
    return { library, handle, token: only.label }
  } catch (error) {
    if (error instanceof Problem) throw error
    // The message names the function of the module and its code; the PIN is in neither.
    const reason = error instanceof Error ? error.message.split('\n')[0] : 'it failed'
    throw unavailable(`The token does not open: ${reason}`)
  }
}

async function loaded(ctx: Context, path: string): Promise<Library> {
  const own = modules(lasting(ctx))
  if (own.library) return own.library
  const { default: pkcs11js } = await import('pkcs11js').catch(() => {
    throw unavailable(
      'The optional library pkcs11js is not installed: install a C++ compiler, then npm rebuild pkcs11js',
    )
  })
  const library = new pkcs11js.PKCS11()
  library.load(path)
  tolerating('CKR_CRYPTOKI_ALREADY_INITIALIZED', () => library.C_Initialize())
  own.library = library
  return library
}

/** All sessions of a process are logged in by the first one (PKCS#11 2.40 5.6). */
function logIn(library: Library, handle: Buffer, pin: string): void {
  tolerating('CKR_USER_ALREADY_LOGGED_IN', () => library.C_Login(handle, ck.user, pin))
}

function tolerating(code: string, work: () => void): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes(code)) throw error
  }
}

/** The object of a kind that `named` names; undefined: there is none. Throws authority-refused when there
 *  are more. */
export function find(
  { library, handle }: Session,
  kind: number,
  { object, id }: KeyUri,
): Buffer | undefined {
  library.C_FindObjectsInit(handle, [
    { type: ck.attribute.class, value: kind },
    ...(object === undefined ? [] : [{ type: ck.attribute.label, value: object }]),
    ...(id ? [{ type: ck.attribute.id, value: id }] : []),
  ])
  const found = library.C_FindObjects(handle, 2)
  library.C_FindObjectsFinal(handle)
  if (found.length > 1) throw refused('The token has more than one key of that name; give its id')
  return found[0]
}

/** What was asked of the token cannot be. */
export function refused(detail: string): Problem {
  const violations = [{ field: '/key/pkcs11', message: detail }]
  return new Problem('authority-refused', detail, { violations })
}

/** The token does not do what it should. */
export function unavailable(detail: string): Problem {
  return new Problem('unavailable', detail)
}

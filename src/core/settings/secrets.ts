import { readFileSync } from 'node:fs'
import { type Env, SettingError } from './environment.ts'
import { printedBy } from './program.ts'

/** How a token is reached (PKCS#11). The PIN is never printed. */
export type Pkcs11 = {
  readonly module: string
  readonly token?: string | undefined
  readonly pin: string
}

/** The key that seals: said, or printed by a program that has it unwrapped elsewhere. Throws SettingError. */
export function sealingKey(env: Env, environment: NodeJS.ProcessEnv): Buffer {
  const { GATESMITH_SEALING_KEY: said, GATESMITH_SEALING_KEY_FILE: file } = env
  const { GATESMITH_SEALING_KEY_COMMAND: command } = env
  if (command !== undefined && (said ?? file) !== undefined) {
    const other = said === undefined ? '_FILE' : ''
    throw new SettingError(
      `Set GATESMITH_SEALING_KEY_COMMAND or GATESMITH_SEALING_KEY${other}, not both`,
    )
  }
  if (command !== undefined) {
    const [key, ...more] = printedKeys('GATESMITH_SEALING_KEY_COMMAND', command, environment)
    if (key && more.length === 0) return key
    throw new SettingError('GATESMITH_SEALING_KEY_COMMAND prints more than one key')
  }
  const text = secretOf(env, 'GATESMITH_SEALING_KEY')
  if (text !== undefined) return keyOf(text)
  throw new SettingError(
    'GATESMITH_SEALING_KEY is not set: make one with `openssl rand -base64 32` and keep it safe, or have a KMS keep it (GATESMITH_SEALING_KEY_COMMAND)',
  )
}

/** The keys that only open, from wherever they are. Throws SettingError. */
export function formerKeys(env: Env, environment: NodeJS.ProcessEnv): readonly Buffer[] {
  const from = secretOf(env, 'GATESMITH_SEALING_KEYS_FORMER') ?? ''
  const said = from.split(/[\s,]+/).flatMap((each) => (each === '' ? [] : [keyOf(each)]))
  const command = env.GATESMITH_SEALING_KEYS_FORMER_COMMAND
  if (command === undefined) return said
  return [...said, ...printedKeys('GATESMITH_SEALING_KEYS_FORMER_COMMAND', command, environment)]
}

/** The token, if there is one. Throws SettingError. */
export function pkcs11Of(env: Env): Pkcs11 | undefined {
  const { GATESMITH_PKCS11_MODULE: module } = env
  if (module === undefined) return undefined
  const pin = secretOf(env, 'GATESMITH_PKCS11_PIN')
  if (pin === undefined) {
    throw new SettingError('Set either GATESMITH_PKCS11_PIN or GATESMITH_PKCS11_PIN_FILE')
  }
  return { module, token: env.GATESMITH_PKCS11_TOKEN, pin }
}

/** The keys that a program prints: one as its 32 octets, or each in base64, by white space. */
function printedKeys(
  setting: string,
  command: string,
  environment: NodeJS.ProcessEnv,
): readonly Buffer[] {
  const { printed, said } = printedBy(setting, command, { environment })
  const keys = keysIn(printed)
  const { length } = printed
  printed.fill(0)
  if (keys) return keys
  throw new SettingError(
    `${setting} prints what is no key: it must be 32 random octets, as they are or in base64, and ${length} octets were printed${said}`,
  )
}

/** Undefined where anything else is in it: 32 octets that are all text are a message and no key. */
function keysIn(printed: Buffer): readonly Buffer[] | undefined {
  const isText = printed.every((octet) => octet < 0x7f)
  if (!isText) return printed.length === 32 ? [Buffer.from(printed)] : undefined
  const words = printed.toString('latin1').trim().split(/\s+/)
  if (!words.every((word) => /^[A-Za-z0-9+/]{43}=$/.test(word))) return undefined
  return words.map((word) => Buffer.from(word, 'base64'))
}

function keyOf(text: string): Buffer {
  const key = Buffer.from(text, 'base64')
  if (key.length !== 32) {
    throw new SettingError('A sealing key must be 32 octets in base64 (openssl rand -base64 32)')
  }
  return key
}

/** A secret: the variable, or the text of the file that another variable names. Throws SettingError. */
export function secretOf(env: Env, name: Secret): string | undefined {
  const file = `${name}_FILE` as const
  const { [name]: text, [file]: path } = env
  if (text !== undefined && path !== undefined) {
    throw new SettingError(`Set ${name} or ${file}, not both`)
  }
  return path === undefined ? text : readSecretFile(file, path)
}

type Secret =
  | 'GATESMITH_SEALING_KEY'
  | 'GATESMITH_SEALING_KEYS_FORMER'
  | 'GATESMITH_PKCS11_PIN'
  | 'GATESMITH_SIEM_WEBHOOK_SECRET'
  | 'GATESMITH_OIDC_CONSOLE_CLIENT_SECRET'

/** The text of a file that a setting names. Throws SettingError. */
export function readSecretFile(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (cause) {
    throw new SettingError(`${setting}: cannot read ${path}`, { cause })
  }
}

import { readFileSync } from 'node:fs'
import { type Env, SettingError } from './environment.ts'

/** How a token is reached (PKCS#11). The PIN is never printed. */
export type Pkcs11 = {
  readonly module: string
  readonly token?: string | undefined
  readonly pin: string
}

/** The key that seals. Throws SettingError. */
export function sealingKey(env: Env): Buffer {
  const text = secretOf(env, 'GATESMITH_SEALING_KEY')
  if (text !== undefined) return keyOf(text)
  throw new SettingError(
    'GATESMITH_SEALING_KEY is not set: make one with `openssl rand -base64 32` and keep it safe',
  )
}

/** The keys that only open. Throws SettingError. */
export function formerKeys(env: Env): readonly Buffer[] {
  const from = secretOf(env, 'GATESMITH_SEALING_KEYS_FORMER') ?? ''
  return from.split(/[\s,]+/).flatMap((each) => (each === '' ? [] : [keyOf(each)]))
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

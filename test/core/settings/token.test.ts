import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { readConfig } from '../../../src/core/config.ts'
import { openFolder } from '../../support/process.ts'

// The sealing key wrapped by a key that never leaves a PKCS#11 token, by the lines of docs/sealing.md.

const softhsm = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
].find((path) => spawnSync('test', ['-e', path]).status === 0)
const tool = spawnSync('pkcs11-tool', ['--help']).error === undefined
const absent = softhsm ? 'pkcs11-tool is not on PATH' : 'SoftHSM is not on this machine'
const skip = softhsm && tool ? false : absent
const note = skip ? ` (skipped: ${skip})` : ''

test(`a token of SoftHSM unwraps it, and nothing else does${note}`, { skip }, async () => {
  const folder = await openFolder()
  await mkdir(join(folder, 'tokens'))
  const conf = join(folder, 'softhsm2.conf')
  await writeFile(conf, `directories.tokendir = ${join(folder, 'tokens')}\n`)
  const environment = { PATH: process.env.PATH, SOFTHSM2_CONF: conf, SEALING_PIN: '98765432' }
  const run = (program: string, args: readonly string[]) =>
    execFileSync(program, args, { cwd: folder, env: environment, stdio: 'pipe' })
  const pins = ['--so-pin', '1234', '--pin', environment.SEALING_PIN]
  run('softhsm2-util', ['--init-token', '--free', '--label', 'gatesmith', ...pins])
  const token = ['--module', softhsm ?? '', '--token-label', 'gatesmith']
  const login = ['--login', '--pin', 'env:SEALING_PIN']
  const made = ['--keypairgen', '--key-type', 'rsa:3072', '--id', '01', '--usage-decrypt']
  run('pkcs11-tool', [...token, ...login, ...made])
  const public_ = ['--read-object', '--type', 'pubkey', '--id', '01', '--output-file', 'kek.der']
  run('pkcs11-tool', [...token, ...public_])
  const key = randomBytes(32)
  await writeFile(join(folder, 'sealing.key'), key)
  const oaep = ['-keyform', 'DER', '-pkeyopt', 'rsa_padding_mode:oaep']
  const files = ['-in', 'sealing.key', '-out', 'sealing.wrapped']
  run('openssl', ['pkeyutl', '-encrypt', '-pubin', '-inkey', 'kek.der', ...oaep, ...files])

  const command = (input: string) =>
    JSON.stringify([
      ...['pkcs11-tool', ...token, ...login, '--decrypt', '--id', '01'],
      ...['--mechanism', 'RSA-PKCS-OAEP', '--hash-algorithm', 'SHA-1', '--input-file', input],
    ])
  const wrapped = join(folder, 'sealing.wrapped')
  const config = (more: NodeJS.ProcessEnv = {}, input = wrapped) =>
    readConfig({
      DATABASE_URL: 'postgres://u:p@127.0.0.1/x',
      GATESMITH_SEALING_KEY_COMMAND: command(input),
      ...environment,
      ...more,
    })
  assert.deepEqual(config().sealingKey, key)

  const refused = /^GATESMITH_SEALING_KEY_COMMAND: "pkcs11-tool" ended with 1, and said: /
  for (const [settings, input, words] of [
    [{ SEALING_PIN: '1' }, wrapped, /CKR_PIN_INCORRECT/],
    [{ SEALING_PIN: undefined }, wrapped, /PIN|getpass/],
    [{ SOFTHSM2_CONF: join(folder, 'nowhere') }, wrapped, /./],
    [{}, join(folder, 'kek.der'), /C_Decrypt/],
    [{}, join(folder, 'nowhere'), /nowhere/],
  ] as const) {
    assert.throws(
      () => config(settings, input),
      ({ message }: Error) => refused.test(message) && words.test(message) && !/\n/.test(message),
    )
  }
})

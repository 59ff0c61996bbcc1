import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { readConfig } from '../../../src/core/config.ts'
import { SettingError } from '../../../src/core/settings/environment.ts'
import { printedBy } from '../../../src/core/settings/program.ts'
import { openFolder, until } from '../../support/process.ts'

// The sealing key out of a program that has it unwrapped by a KMS or a token: here a script of a line.

const folder = await openFolder()
const key = randomBytes(32)
/** A key that is surely not all text. */
key[0] = 0xff

const setting = 'GATESMITH_SEALING_KEY_COMMAND'

/** A program of Node's own, as a command. */
const script = (text: string, ...args: readonly string[]) =>
  JSON.stringify([process.execPath, '-e', text, ...args])

/** Prints these octets. */
const prints = (octets: Buffer) =>
  script('process.stdout.write(Buffer.from(process.argv[1], "hex"))', octets.toString('hex'))

const base = { PATH: process.env.PATH, DATABASE_URL: 'postgres://u:p@127.0.0.1/x' }

/** The keys of a process with these settings: the one that seals, and the former ones. */
function keysWith(settings: NodeJS.ProcessEnv): readonly (Buffer | undefined)[] {
  const { sealingKey, formerSealingKeys = [] } = readConfig({ ...base, ...settings })
  return [sealingKey, ...formerSealingKeys]
}

/** What is said of settings that are refused. */
function refusal(settings: NodeJS.ProcessEnv): string {
  try {
    keysWith(settings)
  } catch (error) {
    assert.ok(error instanceof SettingError, String(error))
    assert.doesNotMatch(error.message, /\n/)
    return error.message
  }
  throw new Error(`taken: ${JSON.stringify(settings)}`)
}

test('a key is taken as 32 octets, or in base64 with an end of line', () => {
  const text = key.toString('base64')
  for (const printed of [
    key,
    Buffer.from(text),
    Buffer.from(`${text}\n`),
    Buffer.from(`${text}\r\n`),
  ]) {
    assert.deepEqual(keysWith({ [setting]: prints(printed) }), [key])
  }
})

test('former keys are added up, wherever they are from', async () => {
  const [a, b, c, d] = Array.from({ length: 4 }, () => randomBytes(32))
  assert.ok(a && b && c && d)
  const lines = `${c.toString('base64')}\n${d.toString('base64')}\n`
  assert.deepEqual(
    keysWith({
      GATESMITH_SEALING_KEY: a.toString('base64'),
      GATESMITH_SEALING_KEYS_FORMER: b.toString('base64'),
      GATESMITH_SEALING_KEYS_FORMER_COMMAND: prints(Buffer.from(lines)),
    }),
    [a, b, c, d],
  )
})

test('whatever is no key is refused, with its size and what the program says, never what it prints', () => {
  const text = key.toString('base64')
  for (const [printed, octets] of [
    ['', 0],
    ['\n', 1],
    ['Enter passphrase: not-to-be-told', 32],
    [text.slice(0, -2), 42],
    [`${text}${text}`, 88],
    [`${text} not-to-be-told`, 59],
    [key.toString('hex'), 64],
    [Buffer.from(text).toString('base64'), 60],
    [key.subarray(1), 31],
    [Buffer.concat([key, Buffer.from('\n')]), 33],
  ] as const) {
    const said = refusal({ [setting]: prints(Buffer.from(printed)) })
    assert.ok(said.endsWith(`in base64, and ${octets} octets were printed`), said)
    assert.doesNotMatch(said, /not-to-be-told/)
  }
  const two = `${text}\n${randomBytes(32).toString('base64')}`
  assert.match(refusal({ [setting]: prints(Buffer.from(two)) }), /prints more than one key/)
  const noisy = script('console.log("not-to-be-told"); console.error("region is not set")')
  const said = refusal({ [setting]: noisy })
  assert.match(said, /15 octets were printed, and said: region is not set$/)
  assert.doesNotMatch(said, /not-to-be-told/)
})

test('what is no program with arguments is refused', () => {
  const meant = /^GATESMITH_SEALING_KEY_COMMAND is not valid: it must be a program that prints/
  for (const wrong of [
    'vault read x',
    '[]',
    '[""]',
    '["a",1]',
    '["a","\\u0000"]',
    '[',
    '{"a":1}',
  ]) {
    assert.match(refusal({ [setting]: wrong }), meant, wrong)
  }
  assert.match(refusal({ [setting]: '["a"]', GATESMITH_SEALING_KEY: '' }), /GATESMITH_SEALING_KEY/)
  const text = key.toString('base64')
  for (const other of ['GATESMITH_SEALING_KEY', 'GATESMITH_SEALING_KEY_FILE']) {
    const said = refusal({ [setting]: prints(key), [other]: text })
    assert.equal(said, `Set GATESMITH_SEALING_KEY_COMMAND or ${other}, not both`)
  }
})

test('no shell reads the arguments', () => {
  const told = script('process.stderr.write(process.argv[1]); process.exit(3)', '$(id) `id` ; "x"')
  assert.match(refusal({ [setting]: told }), / ended with 3, and said: \$\(id\) `id` ; "x"$/)
})

test('a program that is not there, may not be run, fails or is killed is told in one sentence', async () => {
  const mute = join(folder, 'mute')
  await writeFile(mute, '')
  await chmod(mute, 0o600)
  for (const [command, words] of [
    ['["gatesmith-no-such-program"]', /"gatesmith-no-such-program" is no program that is there/],
    [JSON.stringify([mute]), /"[^"]+mute" cannot be run \(EACCES\)$/],
    [script('process.exit(7)'), / ended with 7$/],
    [script('process.kill(process.pid, "SIGTERM")'), / was ended by SIGTERM$/],
    [script('for (;;) process.stdout.write("x".repeat(65536))'), / printed more than 65536 octets/],
  ] as const) {
    assert.match(refusal({ [setting]: command }), words)
  }
})

test('of what it says the end is told, in one line, and no key', () => {
  const text = key.toString('base64')
  const long = script(
    'console.error("x".repeat(5000), "\\u001b[31m\\n", process.argv[1], process.argv[2], "denied"); process.exit(1)',
    text,
    key.toString('hex'),
  )
  const said = refusal({ [setting]: long })
  assert.match(said, /said: …x+ \[31m withheld withheld denied$/)
  assert.ok(said.length < 700)
})

test('it is given the environment, but no setting of ours, and no input', () => {
  const shows = script(
    'process.stdin.on("data", () => {}).on("end", () => { console.error(Object.keys(process.env).sort().join()); process.exit(1) })',
  )
  const said = refusal({
    [setting]: shows,
    AWS_REGION: 'eu-central-1',
    NODE_OPTIONS: '--no-warnings',
    GATESMITH_PKCS11_PIN: '1234',
  })
  assert.match(said, /and said: AWS_REGION,PATH$/)
})

test('one that hangs is stopped in time, with what it has started', async () => {
  const started = join(folder, 'started')
  // What it has started holds its output open.
  const hangs = ['sh', '-c', 'sleep 1000 & echo $! > "$0"; echo waiting >&2; wait', started]
  assert.throws(
    () => printedBy(setting, JSON.stringify(hangs), { environment: base, milliseconds: 3_000 }),
    { message: `${setting}: "sh" did not end within 3 s and was stopped, and said: waiting` },
  )
  const child = Number(await readFile(started, 'utf8'))
  assert.ok(child > 1)
  await until('what it has started is gone', () => isGone(child))
})

/** Ended, if nobody has yet asked how (proc(5)). */
async function isGone(id: number): Promise<true | undefined> {
  const state = await readFile(`/proc/${id}/stat`, 'utf8').catch(() => ') Z')
  return / [ZX]/.test(state.slice(state.lastIndexOf(')') + 1)) || undefined
}

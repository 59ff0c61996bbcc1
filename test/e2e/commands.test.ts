import assert from 'node:assert/strict'
import { test } from 'node:test'
import { developmentEntry, startProcess } from '../support/process.ts'

// What the command line says before anything runs.

/** Runs to the end. */
async function said(args: readonly string[], settings: Readonly<Record<string, string>> = {}) {
  const running = startProcess(args, settings)
  const code = await running.ended
  return { code, ...running.said }
}

const commands = ['serve', 'worker', 'migrate', 'admin-key', 'rewrap'] as const
const DATABASE_URL = 'postgresql://nobody@127.0.0.1:1/nothing'
const GATESMITH_SEALING_KEY = Buffer.alloc(32, 1).toString('base64')

test('--help tells every command, and each command its options and settings', async () => {
  const help = await said(['--help'])
  assert.equal(help.code, 0)
  for (const command of commands) assert.match(help.out, new RegExp(`  ${command}\\b`))
  const each = await Promise.all(commands.map((command) => said([command, '--help'])))
  for (const { code, out } of each) {
    assert.equal(code, 0)
    assert.match(out, /DATABASE_URL[\s\S]+GATESMITH_SEALING_KEY/)
  }
  const dev = startProcess(['--help'], {}, developmentEntry)
  assert.equal(await dev.ended, 0)
  assert.match(dev.said.out, /--state[\s\S]+--port[\s\S]+--tls-port[\s\S]+--plain-port/)
})

test('without its settings a command says in one sentence which one is missing', async () => {
  const wrong = [
    [{ DATABASE_URL: 'mysql://elsewhere' }, /DATABASE_URL/],
    [{ DATABASE_URL }, /GATESMITH_SEALING_KEY/],
    [{ DATABASE_URL, GATESMITH_SEALING_KEY: 'short' }, /GATESMITH_SEALING_KEY/],
    [{ DATABASE_URL, GATESMITH_SEALING_KEY, GATESMITH_PORT: 'x' }, /GATESMITH_PORT/],
  ] as const
  const rows = [
    ...commands.map((command) => [command, {}, /DATABASE_URL/] as const),
    ...wrong.map((row) => ['serve', ...row] as const),
  ]
  await Promise.all(
    rows.map(async ([command, settings, names]) => {
      const { code, out, err } = await said([command], settings)
      assert.equal(code, 1)
      assert.equal(out, '')
      assert.match(err, /^gatesmith: .+\n$/)
      assert.match(err, names)
    }),
  )
})

test('a database that does not answer is one sentence', async () => {
  for (const command of ['migrate', 'serve'] as const) {
    const { code, err } = await said([command], { DATABASE_URL, GATESMITH_SEALING_KEY })
    assert.equal(code, 1)
    assert.match(err, /^gatesmith: .+\n$/)
  }
})

test('an unknown command, option or port is refused with the help', async () => {
  for (const args of [['fly'], ['worker', '--concurency', '1'], ['worker', '--concurrency', '0']]) {
    const { code, err } = await said(args)
    assert.equal(code, 2)
    assert.match(err, /^error: /)
  }
  for (const args of [
    ['--prot', '1'],
    ['--port', '70000'],
  ]) {
    const { ended, said: told } = startProcess(args, {}, developmentEntry)
    assert.equal(await ended, 1)
    assert.match(told.err, /^error: /)
  }
})

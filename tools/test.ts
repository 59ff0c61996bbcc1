import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import Type from 'typebox'
import Value from 'typebox/value'
import { globalSetup, globalTeardown } from '../test/support/global.ts'
import { realCluster } from '../test/support/real.ts'

// npm test [-- part of a path …], npm run test:unit: runs the test files in a few processes, each of which takes one file after
// the other. Most of what a file costs in a process of its own is loading the same modules again. Each file
// has its own root of tests and its own hooks, and opens what it needs for itself. A single one can be run
// by node --test as well.

/** What the reporter of node's runner writes of a file, as it goes on. */
const Told = Type.Object({ told: Type.String() })

/** What came of a file. */
const Outcome = Type.Object({
  file: Type.String(),
  passed: Type.Integer(),
  skipped: Type.Integer(),
  /** The names of the tests that failed. */
  failed: Type.Array(Type.String()),
  seconds: Type.Number(),
})
type Outcome = Type.Static<typeof Outcome>

/** What waits most goes first, so that nothing waits for it at the end. */
const first = [
  'console/console',
  'e2e',
  'jobs',
  'acme/client/killed',
  'api/edge',
  'api/isolation',
  'certificates/issuance',
  'delivery',
  'authorities/crl',
]

/** More than there are cores: most files wait for a database, a cluster or a time to pass, more than half of the time. A
 *  real cluster has one ingress, and files that change what is before it. */
const lanes = () => (realCluster() === undefined ? 2 * availableParallelism() + 4 : 1)
/** What tests make is soon forgotten: with room for it, it is seldom looked through. */
const execArgv = ['--max-semi-space-size=64']
/** For what hangs, and no measure of anything: a busy machine is many times as slow. */
const timeoutMilliseconds = { test: 600_000, silence: 660_000 } as const

/** What opens a database, knows a cluster or starts a program. */
const worlds =
  /^(src\/core\/database\/db|src\/clusters\/kubernetes\/connect|sandbox\/(cluster|postgres\/database)|test\/support\/(process|openssl))\.ts$/

const lane = '--lane'
if (process.argv[2] === lane) {
  process.on('message', async (file) => {
    // The runner ends a file when nothing is left to wait for.
    process.channel?.unref()
    const outcome = await outcomeOf(String(file))
    process.channel?.ref()
    process.send?.(outcome)
  })
} else {
  process.exitCode = await runAll(process.argv.slice(2))
}

async function runAll(parts: readonly string[]): Promise<number> {
  const unit = parts.includes('--unit')
  const named = parts.filter((part) => part !== '--unit')
  const files = globSync('test/**/*.test.ts')
    .toSorted()
    .filter((file) => named.length === 0 || named.some((part) => file.includes(part)))
    .filter((file) => !unit || isOfRules(file))
  const rank = (file: string) =>
    (first.findIndex((folder) => file.startsWith(`test/${folder}`)) + 1 || first.length + 1) - 1
  const queue = files.toSorted((a, b) => rank(a) - rank(b))
  const begun = performance.now()
  if (!unit) await globalSetup()
  const outcomes: Outcome[] = []
  // Ctrl-C reaches the processes too: what they had fails, the rest is left.
  process.once('SIGINT', () => queue.splice(0))
  try {
    const work = Array.from({ length: Math.min(lanes(), queue.length) }, () =>
      takeAll(queue, outcomes),
    )
    await Promise.all(work)
  } finally {
    await globalTeardown()
  }
  return conclude(outcomes, performance.now() - begun)
}

/** Whether a test file is of rules alone: nothing that it imports, by whatever way, opens a database, knows a
 *  cluster or starts a program. */
function isOfRules(file: string): boolean {
  const seen = new Set<string>()
  const reaches = (path: string): boolean => {
    if (worlds.test(path)) return true
    if (seen.has(path) || !existsSync(path)) return false
    seen.add(path)
    const text = readFileSync(path, 'utf8').replace(/^import type [^']+'[^']+'$/gm, '')
    const targets = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)]
    return targets.some(([, target = '']) => reaches(join(dirname(path), target)))
  }
  return !reaches(file)
}

/** One process at a time, which takes files until there are no more. */
async function takeAll(queue: string[], outcomes: Outcome[]): Promise<void> {
  let child: ChildProcess | undefined
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    // What a test prints while it runs shows that it goes on.
    child ??= fork(import.meta.filename, [lane], {
      execArgv,
      stdio: ['inherit', 'pipe', 'inherit', 'ipc'],
    })
    const outcome = await runIn(child, file)
    outcomes.push(outcome)
    if (child.exitCode !== null || child.signalCode !== null) child = undefined
  }
  if (!child) return
  const ended = once(child, 'exit')
  child.disconnect()
  await ended
}

/** Runs a file and prints what came of it. One whose process ends, or does not end, has failed: what its tests told
 *  until then is printed, too. */
function runIn(child: ChildProcess, file: string): Promise<Outcome> {
  const begun = performance.now()
  let told = ''
  return new Promise((resolve) => {
    const watchdog = setTimeout(() => child.kill('SIGKILL'), timeoutMilliseconds.silence)
    const pass = (chunk: Buffer) => {
      watchdog.refresh()
      process.stdout.write(chunk)
    }
    const finish = (outcome: Outcome) => {
      clearTimeout(watchdog)
      child.removeAllListeners()
      child.stdout?.off('data', pass)
      process.stdout.write(`${file} (${outcome.seconds.toFixed(1)} s)\n${told}`)
      resolve(outcome)
    }
    child.stdout?.on('data', pass)
    child.on('message', (message) => {
      watchdog.refresh()
      if (Value.Check(Told, message)) told += message.told
      else finish(Value.Parse(Outcome, message))
    })
    child.once('exit', (code, signal) => {
      told += `✖ ${file}: its process ended (${signal ?? code})\n`
      const seconds = (performance.now() - begun) / 1000
      finish({ file, passed: 0, skipped: 0, failed: [file], seconds })
    })
    child.send(file)
  })
}

async function outcomeOf(file: string): Promise<Outcome> {
  const begun = performance.now()
  const failed: string[] = []
  const outcome = { passed: 0, skipped: 0, failed: failed }
  const stream = run({ files: [file], isolation: 'none', timeout: timeoutMilliseconds.test })
  stream.on('test:pass', ({ details, skip }) => {
    if (details.type === 'suite') return
    if (skip === undefined || skip === false) outcome.passed++
    else outcome.skipped++
  })
  stream.on('test:fail', ({ name }) => failed.push(name))
  const lines = Readable.from(eventsOf(stream)).compose(new spec()).setEncoding('utf8')
  for await (const told of lines) process.send?.({ told: String(told) })
  if (process.exitCode !== undefined && failed.length === 0)
    failed.push(`${file}: an error outside its tests`)
  process.exitCode = undefined
  if (outcome.passed + outcome.skipped + failed.length === 0) {
    failed.push(`${file}: there are no tests in it`)
  }
  return { file, ...outcome, seconds: (performance.now() - begun) / 1000 }
}

/** All but the sums of a file: those of all files are what counts. */
async function* eventsOf(stream: ReturnType<typeof run>) {
  for await (const event of stream) {
    const sum = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/
    const { type, data } = event
    if (type === 'test:diagnostic' && data.nesting === 0 && sum.test(data.message)) continue
    yield event
  }
}

/** Tells what came of all; answers the exit code. */
function conclude(outcomes: readonly Outcome[], milliseconds: number): number {
  const sum = (count: (outcome: Outcome) => number) =>
    outcomes.reduce((all, outcome) => all + count(outcome), 0)
  const failed = outcomes.flatMap(({ file, failed }) => failed.map((name) => `${file}: ${name}`))
  for (const each of failed) process.stdout.write(`✖ ${each}\n`)
  const [passed, skipped] = [sum((each) => each.passed), sum((each) => each.skipped)]
  // As node's runner sums up.
  const sums = {
    tests: passed + skipped + failed.length,
    pass: passed,
    fail: failed.length,
    skipped,
    duration_ms: Math.round(milliseconds),
  }
  for (const [what, count] of Object.entries(sums)) process.stdout.write(`ℹ ${what} ${count}\n`)
  return failed.length > 0 || outcomes.length === 0 ? 1 : 0
}

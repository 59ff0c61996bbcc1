import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { installation } from '../../src/core/installation.ts'
import { openFolder } from '../support/process.ts'
import { devPorts, startDev, untilUp } from './dev.ts'

// The lines of README.md, in their order, against what `npm start` brings up: every one of them does what it says.

const folder = await openFolder()
const ports = await devPorts()
const state = join(folder, '.gatesmith')
const running = startDev(state, ports)
await untilUp(running, state, ports)
await symlink(join(installation, 'examples'), join(folder, 'examples'))
await symlink(join(installation, 'bin'), join(folder, 'bin'))

const run = promisify(execFile)
const path = `${dirname(process.execPath)}:${process.env.PATH}`
const kubectl = await run('kubectl', ['version', '--client']).then(
  () => true,
  () => false,
)

/** The indented lines between two others, as this test's folder and ports have them. */
async function linesBetween(from: string, to: string): Promise<string> {
  const readme = await readFile(join(installation, 'README.md'), 'utf8')
  const section = readme.slice(readme.indexOf(from), readme.indexOf(to))
  assert.ok(section.length > 100)
  return section
    .split('\n')
    .filter((line) => line.startsWith('    ') || line === '')
    .map((line) => line.slice(4))
    .filter((line) => kubectl || !line.startsWith('kubectl '))
    .join('\n')
    .replaceAll('127.0.0.1:4000', `127.0.0.1:${ports.api}`)
    .replaceAll(':8443', `:${ports.tls}`)
}

/** Runs them in one shell that ends at the first that fails; answers what they print. */
async function shell(lines: string) {
  return run('bash', ['-eo', 'pipefail', '-c', lines], {
    cwd: folder,
    env: { PATH: path, HOME: folder },
  })
}

test('the link to the console signs a browser in, once', async () => {
  const [, link = ''] = /^Console +(http\S+)$/m.exec(running.said.out) ?? []
  const { origin, pathname, hash } = new URL(link)
  assert.deepEqual([origin, pathname], [`http://127.0.0.1:${ports.api}`, '/console/'])
  const code = new URLSearchParams(hash.slice(1)).get('signin')
  const signIn = () =>
    fetch(`${origin}/console/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code }),
    })
  const signed = await signIn()
  assert.equal(signed.status, 200)
  const [cookie = ''] = (signed.headers.get('set-cookie') ?? '').split(';')
  const who = await fetch(`${origin}/v1/whoami`, { headers: { cookie } })
  const { name, role } = (await who.json()) as { name: string; role: string }
  assert.deepEqual([name, role], ['development', 'admin'])
  assert.equal((await signIn()).status, 401)
})

test('by command line', async () => {
  const { stdout } = await shell(await linesBetween('### By command line', '### What to try next'))
  assert.match(stdout, /Logged in to http/)
  assert.match(stdout, /httpbin\.example\.com/)
})

/** A line that takes the stream of another, `$1`, for so many seconds, and fails where that has not begun. */
function begins(seconds: number): string {
  return `(api -i -N -m ${seconds} $1 || test $? = 28) | grep ' 200 '`
}

test('what to try next', async () => {
  const lines = await linesBetween('### What to try next', 'Other ports:')
  // What each request was answered, beside what it prints; the stream of events would go on for ever.
  const told = lines
    .replace('curl -sS', `curl -sS -w '%{stderr}%{http_code} %{url}\\n'`)
    .replace(/^api -N (.*)$/m, `${begins(2)} || ${begins(60)}`)
  assert.notEqual(told, lines)
  const { stdout, stderr } = await shell(told)
  const answers = stderr.split('\n').flatMap((line) => /^(\d{3}) (http.*)$/.exec(line) ?? [])
  const statuses = answers
    .filter((_, at) => at % 3 === 1)
    // The stream of events had not begun when it was looked at first.
    .filter((status, at) => status !== '000' || !answers[3 * at + 2]?.endsWith('/events'))
  assert.ok(statuses.length > 12, stderr)
  assert.equal(statuses.at(-1), '404')
  assert.deepEqual(
    statuses.slice(0, -1).filter((status) => !/^20[0-4]$/.test(status)),
    [],
    `${stderr}${stdout}`,
  )
  for (const seen of [
    '"Synced"',
    'BEGIN:VCALENDAR',
    '"url"',
    '"meshMTLS"',
    '"expiringCertificates"',
  ])
    assert.ok(stdout.includes(seen), `${seen} in ${stdout}`)
})

if (!kubectl) test('kubectl get, where it is', { skip: 'kubectl is not on this machine' }, () => {})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { ask, asker } from '../support/clients.ts'
import { interrupt, openFolder, until } from '../support/process.ts'
import { devPorts, startDev, tokenIn, untilUp } from './dev.ts'
import type { Http } from './stage.ts'

// Development mode begins, ends and begins again.

const state = join(await openFolder(), 'state')
const ports = await devPorts()
const running = startDev(state, ports)
const http = await untilUp(running, state, ports)

async function certificates(of: Http) {
  const { body } = await of.get('/v1/certificates?limit=500').expect(200)
  const items: readonly { id: string; serial: string; fingerprintSha256: string }[] = body.items
  return items.map(({ id, serial, fingerprintSha256 }) => [id, serial, fingerprintSha256])
}

/** Processes that work in the folder: the server of PostgreSQL, its backends, and who watches it. */
async function atWork(folder: string): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '')
      return cwd.startsWith(folder) ? [pid] : []
    }),
  )
  return found.flat()
}

const linux = process.platform === 'linux' ? false : 'finds processes in /proc'

test('a busy port is one clear sentence, for each of the four', async () => {
  const server = createServer()
  const [port] = Object.values(await devPorts())
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const flags = {
    api: '--port',
    cluster: '--cluster-port',
    tls: '--tls-port',
    plain: '--plain-port',
  }
  await Promise.all(
    Object.entries(flags).map(async ([which, flag]) => {
      const taken = { ...(await devPorts()), [which]: port }
      const second = startDev(join(state, '..', which), taken)
      assert.equal(await second.ended, 1)
      assert.equal(second.said.out, '')
      assert.match(second.said.err, new RegExp(`^gatesmith: Port ${port} .+ ${flag}\\n$`))
    }),
  )
  server.close()
})

test('a second start in the same place is one clear sentence, and the first goes on', async () => {
  const same = startDev(state, ports)
  assert.equal(await same.ended, 1)
  assert.match(same.said.err, /^gatesmith: Port \d+ .+\n$/)
  const elsewhere = startDev(state, await devPorts())
  assert.equal(await elsewhere.ended, 1)
  assert.match(elsewhere.said.err, /^gatesmith: .+in use by another running instance.*\n$/)
  await http.get('/v1/tenants').expect(200)
})

test('Ctrl-C ends everything that was started; started again, elsewhere too, it has it all', {
  skip: linux,
}, async () => {
  const before = await certificates(http)
  const token = await tokenIn(state)
  const client = await readFile(join(state, 'client.crt'), 'utf8')
  assert.ok((await atWork(state)).length > 1)
  // Whoever connects and says nothing keeps nobody.
  const silent = Object.values(ports).map((port) => connect(port, '127.0.0.1'))
  await Promise.all(silent.map((socket) => once(socket, 'connect')))
  for (const socket of silent) socket.on('error', () => undefined)
  assert.equal(await interrupt(running), 0)
  await until('nothing is left running', async () =>
    (await atWork(state)).length === 0 ? true : undefined,
  )
  // The cluster is told that its sandbox moved.
  const moved = await devPorts()
  const again = await untilUp(startDev(state, moved), state, moved)
  assert.deepEqual(await certificates(again), before)
  assert.equal(await tokenIn(state), token)
  assert.equal(await readFile(join(state, 'client.crt'), 'utf8'), client)
  const told = await ask({
    ...{ name: 'mutual.example.com', address: '127.0.0.1', port: moved.tls, path: '/status/418' },
    ca: join(state, 'ca.crt'),
    cert: join(state, 'client.crt'),
    key: join(state, 'client.key'),
  })
  assert.deepEqual([told.refused, told.status], [null, 418], asker)
})

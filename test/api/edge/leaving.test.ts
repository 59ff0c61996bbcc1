import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import { buildServer } from '../../../src/api/server.ts'
import { openTestContext } from '../../support/context.ts'

// What keeps a server from stopping, and what does not.

const ctx = await openTestContext()

for (const [what, sent] of [
  ['was never asked for anything', ''],
  ['was asked for half of something', 'GET /livez HTTP/1.1\r\nhost: '],
]) {
  test(`a connection on which a server ${what} keeps it from nothing`, async () => {
    const api = await buildServer(ctx)
    const { port } = new URL(await api.listen({ host: '127.0.0.1', port: 0 }))
    const socket = connect(Number(port), '127.0.0.1')
    socket.on('error', () => undefined)
    after(() => socket.destroy())
    await once(socket, 'connect')
    socket.write(sent ?? '')
    const ended = once(socket, 'close')
    // Node would wait for as long as a request may take to come, a minute and more.
    const late = AbortSignal.timeout(30_000)
    await Promise.race([api.close(), once(late, 'abort').then(() => assert.fail('it waits'))])
    await ended
  })
}

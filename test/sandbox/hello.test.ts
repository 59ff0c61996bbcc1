import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, test } from 'node:test'
import { connect, type SecureVersion } from 'node:tls'
import { readHello } from '../../sandbox/ingress/tls/hello.ts'

const ALPNProtocols = ['h2', 'http/1.1']

/** The ClientHello that node's own TLS sends. */
async function helloOf(servername: string, maxVersion: SecureVersion): Promise<Buffer> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  assert.ok(address && typeof address === 'object')
  const name = servername ? { servername } : {}
  const client = connect({
    host: '127.0.0.1',
    port: address.port,
    maxVersion,
    ALPNProtocols,
    ...name,
  })
  client.on('error', () => {})
  const [socket] = await once(server, 'connection')
  const [bytes] = await once(socket, 'data')
  client.destroy()
  socket.destroy()
  server.close()
  assert.ok(Buffer.isBuffer(bytes))
  return bytes
}

/** The same message over records of `size` bytes each. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5)
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size)
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 0xff]), part)
  }
  return Buffer.concat(records)
}

function nameIn(hello: Buffer): string {
  const found = readHello(hello)
  return typeof found === 'string' ? found : found.serverName
}

describe('the ClientHello', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`of ${version} gives its server name in lower case, or none`, async () => {
      const tls13 = version === 'TLSv1.3'
      const said = { protocols: ['h2', 'http/1.1'], tls13, tickets: tls13 }
      assert.deepEqual(readHello(await helloOf('Httpbin.Example.com', version)), {
        serverName: 'httpbin.example.com',
        ...said,
      })
      assert.deepEqual(readHello(await helloOf('', version)), { serverName: '', ...said })
    })
  }

  test('is waited for byte by byte', async () => {
    const hello = await helloOf('a.example.com', 'TLSv1.3')
    for (let length = 0; length < hello.length; length++) {
      assert.equal(readHello(hello.subarray(0, length)), 'more', `${length}`)
    }
    assert.equal(nameIn(Buffer.concat([hello, Buffer.from('more')])), 'a.example.com')
  })

  test('may be cut into several records', async () => {
    const hello = await helloOf('a.example.com', 'TLSv1.3')
    for (const size of [1, 3, 50, 200]) {
      const cut = inRecords(hello, size)
      assert.equal(nameIn(cut), 'a.example.com')
      assert.equal(readHello(cut.subarray(0, -1)), 'more')
    }
  })

  test('is not found in what is no TLS, nor in one whose lengths lie', async () => {
    assert.equal(readHello(Buffer.from('GET / HTTP/1.1\r\n')), 'none')
    assert.equal(readHello(Buffer.from([22, 3, 1, 0, 5, 2, 0, 0, 1, 0])), 'none')
    const hello = await helloOf('a.example.com', 'TLSv1.3')
    const lying = Buffer.from(hello)
    lying.writeUInt8(255, 43)
    assert.equal(readHello(lying), 'none')
  })
})

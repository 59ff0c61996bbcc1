import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { createServer } from 'node:tls'
import { awaitAllServed } from '../../../src/delivery/proof/verify.ts'
import { encodeName } from '../../../src/x509/names/distinguished.ts'
import { leafFor, openElsewhere } from '../../certificates/uploads/elsewhere.ts'

test('an ingress that serves another certificate is told by it, also where its subject names nobody', async () => {
  const { between } = await openElsewhere()
  const subject = encodeName({})
  const { pem: cert, key } = await leafFor(between, ['old.shop.test'], { subject })
  const server = createServer({ cert, key }).listen(0, '127.0.0.1')
  after(() => server.close())
  await once(server, 'listening')
  const place = server.address()
  const address = `127.0.0.1:${typeof place === 'object' ? place?.port : 0}`
  const expected = { address, der: Buffer.from('another') }
  const { fault } = await awaitAllServed(expected, ['www.shop.test'], 0)
  assert.match(fault ?? '', /another certificate for www.shop.test: serial .*, DNS:old.shop.test$/)
})

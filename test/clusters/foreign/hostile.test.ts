import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { listForeign, listGateways } from '../../../src/clusters/foreign/find.ts'
import { readForeign } from '../../../src/clusters/foreign/read.ts'
import { createCluster } from '../../../src/clusters/register.ts'
import { sequence, setOf, tlv } from '../../../src/x509/der/encoding.ts'
import { oid } from '../../../src/x509/der/oids.ts'
import { foreign } from '../../authorities/foreign.ts'
import { leafFor, openElsewhere } from '../../certificates/uploads/elsewhere.ts'
import { admin, openTestContext } from '../../support/context.ts'

// A gateway that somebody else has: it answers whatever it wants to.

const ctx = await openTestContext()
const { between } = await openElsewhere()
let answer: (path: string) => string | Buffer | null = () => '{}'
const envoy = createServer((request, response) => {
  const said = answer(request.url ?? '')
  // null: it begins, and goes on for ever.
  if (said === null) response.write('{"configs": [')
  else response.end(said)
})
await new Promise<void>((done) => envoy.listen(0, '127.0.0.1', done))
after(() => {
  envoy.closeAllConnections()
  envoy.close()
})
const { port } = envoy.address() as AddressInfo
const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{ name: a, cluster: { server: "https://127.0.0.1:1" } }]
users: [{ name: a, user: { token: a } }]
contexts: [{ name: a, context: { cluster: a, user: a } }]
current-context: a`
await createCluster(ctx, admin, {
  ...{ name: 'theirs', kubeconfig },
  ingress: { address: '127.0.0.1:1', adminAddress: `127.0.0.1:${port}` },
})
const { id: clusterId } = await ctx.db.read.cluster.findUniqueOrThrow({ where: { name: 'theirs' } })

const secret = (name: string, pem: string) => ({
  name,
  secret: {
    tls_certificate: { certificate_chain: { inline_bytes: Buffer.from(pem).toString('base64') } },
  },
})
/** What is found when the gateway answers so. */
async function found(secrets: readonly object[], listeners: readonly object[] = []) {
  answer = (path) => JSON.stringify({ configs: path.includes('secrets') ? secrets : listeners })
  await readForeign(ctx, { clusterId })
  const [gateway] = (await listGateways(ctx, admin, 'theirs')).items
  return { items: (await listForeign(ctx, admin, {})).items, gateway }
}

const good = await leafFor(between, ['good.old.test'])

for (const [what, make] of Object.entries({
  'a credential with a NUL in its name': async () => [secret('a\u0000b', good.pem)],
  'a credential whose name is half a character': async () => [secret('a\ud800', good.pem)],
  'a name that is cut within a character': async () => [secret(`${'a'.repeat(999)}😀`, good.pem)],
  'a subject with a NUL': async () => [
    secret(
      'nul',
      (
        await foreign({
          name: 'x',
          subject: sequence(setOf(sequence(oid('2.5.4.3'), tlv(0x0c, Buffer.from('a\u0000b'))))),
        })
      ).pem,
    ),
  ],
  'a key that OpenSSL does not know': async () => [secret('odd', strangeKey(good.pem))],
  'what is no certificate': async () => [
    secret(
      'x',
      changed(good.pem, (der) => der.fill(7)),
    ),
  ],
  'dates that are none': async () => [secret('dates', strangeDate(good.pem))],
  'the first year': async () => [secret('early', strangeDate(good.pem, '000001010000Z'))],
})) {
  test(`${what} costs a gateway its own place in the list, and no other`, async () => {
    const { items, gateway } = await found([...(await make()), secret('good', good.pem)])
    assert.equal(gateway?.reason, null)
    assert.ok(
      items.some(({ credential }) => credential === 'good'),
      JSON.stringify(items),
    )
  })
}

/** The same certificate with an OID of a key that nobody has. */
function strangeKey(pem: string): string {
  return changed(pem, (der) => {
    const at = der.indexOf(Buffer.from('06072a8648ce3d0201', 'hex'))
    assert.ok(at > 0)
    der.write('06072a8648ce3d7f7f', at, 'hex')
  })
}

/** The same with another notAfter. */
function strangeDate(pem: string, text = '99zz99999999Z'): string {
  return changed(pem, (der) => {
    const first = der.indexOf(Buffer.from([0x17, 13]))
    const at = der.indexOf(Buffer.from([0x17, 13]), first + 1)
    assert.ok(at > 0)
    der.write(text.padEnd(13, '0').slice(0, 13), at + 2, 'latin1')
  })
}

function changed(pem: string, change: (der: Buffer) => void): string {
  const der = Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64')
  change(der)
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`
}

for (const [what, said] of Object.entries({
  nothing: '',
  'no JSON': 'hello',
  'another shape': '{"configs": {"a": 1}}',
  null: 'null',
  'a list': '[1, 2]',
  'a number for a name': '{"configs": [{"name": 7}]}',
})) {
  test(`a gateway that answers ${what} is told of as unread, and what was seen stays`, async () => {
    assert.equal((await found([secret('good', good.pem)])).items.length, 1)
    answer = () => said
    await readForeign(ctx, { clusterId })
    const [gateway] = (await listGateways(ctx, admin, 'theirs')).items
    assert.notEqual(gateway?.reason, null)
    assert.equal((await listForeign(ctx, admin, {})).items.length, 1)
  })
}

test('of twelve thousand credentials on as many chains ten thousand are kept', async (t) => {
  const secrets = Array.from({ length: 12_000 }, (_, at) => secret(`kubernetes://s${at}`, good.pem))
  const chain = (at: number) => ({
    filter_chain_match: { server_names: [`h${at}.old.test`] },
    transport_socket: {
      typed_config: {
        common_tls_context: {
          tls_certificate_sds_secret_configs: [{ name: `kubernetes://s${at}` }],
        },
      },
    },
  })
  const listener = {
    name: 'l',
    address: { socket_address: { address: '0.0.0.0', port_value: 443 } },
    filter_chains: Array.from({ length: 12_000 }, (_, at) => chain(at)),
  }
  let longest = 0
  let last = performance.now()
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 5)
  const begun = performance.now()
  const { gateway } = await found(secrets, [{ name: 'l', active_state: { listener } }])
  clearInterval(timer)
  t.diagnostic(
    `the longest pause was ${Math.round(longest)} ms of ${Math.round(performance.now() - begun)} ms`,
  )
  assert.deepEqual([gateway?.reason, gateway?.certificates], [null, 10_000])
  assert.equal(await ctx.db.read.foreignCertificate.count(), 10_000)
})

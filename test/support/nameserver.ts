import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after } from 'node:test'
import { freePorts, until, watched } from './process.ts'

/** BIND's server; undefined: it is not installed. */
export const named = ['named', '/usr/sbin/named'].find((path) =>
  path.startsWith('/') ? existsSync(path) : spawnSync(path, ['-v']).error === undefined,
)

type Algorithm = 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512'

/** A name server (BIND) for shop.test, whose records whoever has its key may change (RFC 2136). Its zone has `records`, in the
 *  words of zone files; its name server is one that nobody finds, so that it is asked itself. `grants`: an update-policy in
 *  place of that. */
export async function openNameServer({
  keyName = 'gatesmith',
  algorithm = 'hmac-sha256' as Algorithm,
  secret = randomBytes(32).toString('base64'),
  records = '',
  grants = '',
} = {}) {
  // It gives up root's right to look into the folders of others, in which those of tests may lie.
  const folder = await mkdtemp('/tmp/gatesmith-named-')
  after(() => rm(folder, { recursive: true, force: true }))
  const [port = 0] = await freePorts(1)
  const zone = `$TTL 0\n@ SOA ns.nowhere.test. ops.shop.test. 1 60 60 60 0\n@ NS ns.nowhere.test.\n${records}\n`
  const may = grants === '' ? `allow-update { key "${keyName}"; };` : `update-policy { ${grants} };`
  await writeFile(join(folder, 'shop.zone'), zone)
  await writeFile(
    join(folder, 'named.conf'),
    `options { directory "${folder}"; pid-file none; session-keyfile none; recursion no;
       listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; dnssec-validation no; };
     controls { };
     key "${keyName}" { algorithm ${algorithm}; secret "${secret}"; };
     zone "shop.test" { type primary; file "shop.zone"; ${may} };`,
  )
  const running = watched(
    spawn(named ?? 'named', ['-g', '-c', join(folder, 'named.conf'), '-n', '1']),
  )
  await until('the name server answers', () => {
    assert.equal(running.child.exitCode, null, running.said.err)
    return running.said.err.includes('all zones loaded') || undefined
  })
  return { address: `127.0.0.1:${port}`, port, secret, keyName, algorithm, running }
}

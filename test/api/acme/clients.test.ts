import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import acme from 'acme-client'
import { openAcme } from '../../support/acme.ts'
import { freePorts, openFolder, watched } from '../../support/process.ts'

// What others use, as they use it: each opens an account, proves a name by http-01 through a folder that is served,
// gets a certificate, renews it where it can, and has it revoked. Those that are not on PATH, nor in the folder
// GATESMITH_TEST_ACME_CLIENTS, are skipped by name.

const { ctx, api, challenges, keyFor, directoryUrl, http } = await openAcme()
const { webroot } = challenges
await mkdir(join(webroot, '.well-known/acme-challenge'), { recursive: true })

/** The same by https, which some clients insist on. */
async function secureDirectory(): Promise<string> {
  const identifier = { type: 'dns', value: 'localhost' }
  const [key, cert] = await acme.crypto.createAlpnCertificate(
    { identifier } as acme.Authorization,
    'x',
  )
  const server = createServer({ key, cert }, (request, response) => api.routing(request, response))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  after(() => server.close())
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/acme/issuing/directory`
}

const folders = [process.env.GATESMITH_TEST_ACME_CLIENTS ?? '', process.env.PATH ?? '']
const places = folders.join(delimiter).split(delimiter).filter(Boolean)

type Client = {
  readonly program: string
  readonly run: (...args: readonly string[]) => Promise<string>
  readonly folder: string
  readonly kid: string
  readonly hmacKey: string
}

/** A test of a program, skipped by name where there is none. */
function testClient(
  program: string,
  promise: string,
  work: (client: Client) => Promise<void>,
): void {
  const path = places.map((place) => join(place, program)).find((each) => existsSync(each))
  const skip = path === undefined ? `${program} is not on PATH` : false
  const note = skip ? ` (skipped: ${skip})` : ''
  test(`${program} ${promise}${note}`, { skip, timeout: 240_000 }, async (t: TestContext) => {
    const folder = await openFolder()
    const run = async (...args: readonly string[]) => {
      const env = { ...process.env, HOME: folder, LEGO_PATH: folder }
      const asked = { cwd: folder, env, timeout: 120_000 }
      const { stdout, stderr } = await promisify(execFile)(path ?? '', [...args], asked).catch(
        ({ stdout: out, stderr: err }) => assert.fail(`${program} ${args[0]}: ${out}${err}`),
      )
      for (const line of `${stdout}${stderr}`.split('\n').filter(Boolean).slice(-6)) {
        t.diagnostic(`${program}: ${line.slice(0, 200)}`)
      }
      return `${stdout}${stderr}`
    }
    await work({ program: path ?? '', run, folder, ...(await keyFor({ preauthorized: false })) })
  })
}

/** The certificates that were issued for a name, oldest first. */
function issuedFor(name: string) {
  const where = { dnsNames: { has: name } }
  return ctx.db.read.certificate.findMany({ where, orderBy: { createdAt: 'asc' } })
}

async function pemIn(folder: string, pattern: RegExp): Promise<string> {
  const names = await readdir(folder, { recursive: true })
  const found = names.find((name) => pattern.test(name))
  assert.ok(found, `${pattern} is not among ${names.join(', ')}`)
  return readFile(join(folder, found), 'utf8')
}

async function holds(name: string, pem: string): Promise<void> {
  const leaf = new X509Certificate(pem)
  assert.equal(leaf.subjectAltName, `DNS:${name}`)
  const [row] = (await issuedFor(name)).toReversed()
  assert.equal(row?.serial, leaf.serialNumber.toLowerCase())
}

async function isRevoked(name: string, reason: string): Promise<void> {
  const { body } = await http.get(`/v1/tenants/shop/certificates?name=${name}`).expect(200)
  const revoked = body.items.filter(({ status }: { status: string }) => status === 'revoked')
  assert.deepEqual(
    revoked.map((each: { revocationReason: string }) => each.revocationReason),
    [reason],
  )
}

testClient('certbot', 'issues, renews and revokes', async ({ run, folder, kid, hmacKey }) => {
  const name = 'certbot.shop.test'
  const own = ['config', 'work', 'logs'].flatMap((each) => [`--${each}-dir`, join(folder, each)])
  const always = [...own, '--server', directoryUrl, '--non-interactive']
  await run(
    ...['certonly', ...always, '--eab-kid', kid, '--eab-hmac-key', hmacKey, '--agree-tos'],
    ...['-m', 'ops@shop.test', '--webroot', '-w', webroot, '-d', name],
  )
  const place = join(folder, 'config/live', name, 'fullchain.pem')
  await holds(name, await readFile(place, 'utf8'))
  await run('renew', ...own, '--force-renewal', '--no-random-sleep-on-renew')
  await holds(name, await readFile(place, 'utf8'))
  assert.equal((await issuedFor(name)).length, 2)
  const gone = ['--cert-path', place, '--reason', 'superseded', '--no-delete-after-revoke']
  await run('revoke', ...always, ...gone)
  await isRevoked(name, 'superseded')
})

testClient('lego', 'issues by a profile and revokes', async ({ run, folder, kid, hmacKey }) => {
  const name = 'lego.shop.test'
  const always = ['--server', await secureDirectory(), '--tls-skip-verify']
  await run(
    ...['run', ...always, '--eab', '--eab.kid', kid, '--eab.hmac', hmacKey],
    ...['--accept-tos', '--email', 'ops@shop.test', '--http', '--http.webroot', webroot],
    ...['--domains', name, '--profile', 'shortlived'],
  )
  const pem = await pemIn(folder, /certificates\/lego\.shop\.test\.crt$/)
  await holds(name, pem)
  const { validFrom, validTo } = new X509Certificate(pem)
  assert.ok(Date.parse(validTo) - Date.parse(validFrom) < 6.1 * 86_400_000)
  await run(
    ...['certificates', 'revoke', ...always, '--email', 'ops@shop.test'],
    ...['--cert.name', name, '--reason', '4'],
  )
  await isRevoked(name, 'superseded')
})

testClient('dehydrated', 'issues and revokes', async ({ run, folder, kid, hmacKey }) => {
  const name = 'dehydrated.shop.test'
  const config = join(folder, 'config')
  const settings = {
    ...{ CA: directoryUrl, EAB_KID: kid, EAB_HMAC_KEY: hmacKey, BASEDIR: folder },
    ...{ CONTACT_EMAIL: 'ops@shop.test', CHALLENGETYPE: 'http-01' },
    WELLKNOWN: join(webroot, '.well-known/acme-challenge'),
  }
  const lines = Object.entries(settings).map(([key, value]) => `${key}="${value}"\n`)
  await writeFile(config, lines.join(''))
  await run('--config', config, '--register', '--accept-terms')
  await run('--config', config, '--cron', '--domain', name)
  const place = join(folder, 'certs', name, 'fullchain.pem')
  await holds(name, await readFile(place, 'utf8'))
  await run('--config', config, '--revoke', join(folder, 'certs', name, 'cert.pem'))
  await isRevoked(name, 'unspecified')
})

testClient('acme.sh', 'issues and revokes', async ({ run, folder, kid, hmacKey }) => {
  const name = 'acme-sh.shop.test'
  const always = ['--home', folder, '--server', directoryUrl]
  const eab = ['--eab-kid', kid, '--eab-hmac-key', hmacKey, '-m', 'ops@shop.test']
  await run('--register-account', ...always, ...eab)
  await run('--issue', ...always, '-d', name, '-w', webroot, '--keylength', 'ec-256')
  await holds(name, await pemIn(folder, /fullchain\.cer$/))
  await run('--revoke', ...always, '-d', name, '--ecc', '--revoke-reason', '4')
  await isRevoked(name, 'superseded')
})

/** The certificate that a server shows for a name, once it shows one. */
async function shownAt(port: number, servername: string): Promise<X509Certificate> {
  for (let tries = 0; ; tries++) {
    const found = await new Promise<X509Certificate | undefined>((resolve) => {
      const asked = { host: '127.0.0.1', port, servername, rejectUnauthorized: false }
      const socket = connect(asked, () => {
        resolve(socket.getPeerX509Certificate())
        socket.destroy()
      })
      socket.on('error', () => resolve(undefined))
    })
    if (found) return found
    assert.ok(tries < 400, `nothing is shown for ${servername}`)
    await delay(250)
  }
}

testClient('caddy', 'serves a name by a certificate that it got itself', async (client) => {
  const { program, folder } = client
  const name = 'caddy.shop.test'
  const { kid, hmacKey } = await keyFor()
  const [plain = 0, secure = 0, admin = 0] = await freePorts(3)
  await writeFile(
    join(folder, 'Caddyfile'),
    `{
  admin 127.0.0.1:${admin}
  storage file_system ${folder}
  http_port ${plain}
  https_port ${secure}
  acme_ca ${directoryUrl}
  acme_eab {
    key_id ${kid}
    mac_key ${hmacKey}
  }
}
${name} {
  respond "served"
}
`,
  )
  const args = ['run', '--config', join(folder, 'Caddyfile')]
  watched(spawn(program, args, { env: { ...process.env, HOME: folder } }))
  const leaf = await shownAt(secure, name)
  await holds(name, leaf.toString())
})

for (const { challenge, other } of [
  { challenge: 'http-01', other: 'tlsalpn' },
  { challenge: 'tls-alpn-01', other: 'http' },
] as const) {
  testClient('caddy', `proves a name by its own ${challenge}`, async ({ program, folder }) => {
    const name = `${other}.shop.test`
    const [plain = 0, secure = 0, admin = 0] = await freePorts(3)
    // A service that looks for challenges where Caddy listens.
    const world = await openAcme({ httpPort: plain, tlsPort: secure })
    const { kid, hmacKey } = await world.keyFor({ preauthorized: false })
    await writeFile(
      join(folder, 'Caddyfile'),
      `{
  admin 127.0.0.1:${admin}
  storage file_system ${folder}
  http_port ${plain}
  https_port ${secure}
}
${name} {
  tls {
    issuer acme {
      dir ${world.directoryUrl}
      eab ${kid} ${hmacKey}
      disable_${other}_challenge
    }
  }
  respond "served"
}
`,
    )
    const args = ['run', '--config', join(folder, 'Caddyfile')]
    watched(spawn(program, args, { env: { ...process.env, HOME: folder } }))
    const leaf = await shownAt(secure, name)
    const [row] = await world.ctx.db.read.certificate.findMany({
      where: { dnsNames: { has: name } },
    })
    assert.equal(row?.serial, leaf.serialNumber.toLowerCase())
    const proved = await world.ctx.db.read.acmeChallenge.findMany({ where: { status: 'valid' } })
    assert.deepEqual(
      proved.map(({ type }) => type),
      [challenge],
    )
  })
}

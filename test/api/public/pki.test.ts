import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { publishLists } from '../../../src/authorities/crl/publish.ts'
import { getAuthority } from '../../../src/authorities/find.ts'
import { readCertificate } from '../../../src/x509/certificates/read.ts'
import { readCrl } from '../../../src/x509/crl/list.ts'
import { readPem } from '../../../src/x509/der/pem.ts'
import { ocspError } from '../../../src/x509/ocsp.ts'
import { issueOne, keyOf, openTestAuthority, revoke } from '../../authorities/support.ts'
import { openTestApi, tokenFor } from '../../support/api.ts'
import { admin } from '../../support/context.ts'

const { ctx, url: base, http, send } = await openTestApi()
await openTestAuthority(ctx, 2)
const issuing = await getAuthority(ctx, admin, 'issuing')
const keyId = await keyOf(ctx, 'issuing')
const folder = mkdtempSync(join(tmpdir(), 'gatesmith-pki-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const put = (name: string, content: string | Buffer) => writeFileSync(join(folder, name), content)
put('issuer.pem', issuing.pem)
put('root.pem', issuing.chainPem)
const ocspPath = '/pki/issuing/ocsp'

/** Another process, while this one serves: all that it said. */
async function run(program: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(program, [...args], { cwd: folder })
  return stdout + stderr
}

function openssl(leaf: { pem: string | null }, ...flags: readonly string[]): Promise<string> {
  put('leaf.pem', leaf.pem ?? '')
  return run('openssl', [
    'ocsp',
    ...flags,
    ...['-url', `${base}${ocspPath}`, '-issuer', 'issuer.pem', '-cert', 'leaf.pem'],
    ...['-CAfile', 'root.pem', '-verify_other', 'issuer.pem'],
  ])
}

async function requestFor(leaf: { pem: string | null }, ...flags: readonly string[]) {
  put('leaf.pem', leaf.pem ?? '')
  await run('openssl', [
    'ocsp',
    ...flags,
    ...['-issuer', 'issuer.pem', '-cert', 'leaf.pem', '-reqout', 'q.der'],
  ])
  return readFileSync(join(folder, 'q.der'))
}

const binary = (response: { body: unknown }) =>
  Buffer.isBuffer(response.body) ? response.body : Buffer.alloc(0)

test('openssl asks over HTTP, with and without a nonce, by SHA-1 and SHA-256', async () => {
  const good = await issueOne(ctx)
  const gone = await issueOne(ctx)
  await revoke(ctx, gone, 'superseded')
  for (const flags of [['-no_nonce'], ['-nonce'], ['-sha256', '-nonce'], ['-sha1']]) {
    const text = await openssl(good, ...flags)
    assert.match(text, /Response verify OK/)
    assert.match(text, /leaf\.pem: good/)
    assert.doesNotMatch(text, /WARNING|error/i)
    const revoked = await openssl(gone, ...flags)
    assert.match(revoked, /leaf\.pem: revoked/)
    assert.match(revoked, /Reason: superseded/)
  }
})

test('curl asks by GET, in every way that base64 goes into a URL', async () => {
  const leaf = await issueOne(ctx)
  // Until the base64 has what a URL makes trouble of.
  let base64 = ''
  for (let n = 0; n < 1000 && !/(?=.*\/)(?=.*\+)/.test(base64); n++) {
    base64 = (await requestFor(await issueOne(ctx), '-no_nonce')).toString('base64')
  }
  assert.match(base64, /(?=.*\/)(?=.*\+)/)
  const spellings = [encodeURIComponent(base64), base64, base64.replaceAll('+', '%2b')]
  for (const spelling of spellings) {
    await run('curl', ['-sSf', '-o', 'r.der', `${base}${ocspPath}/${spelling}`])
    const text = await run('openssl', ['ocsp', '-respin', 'r.der', '-noverify', '-resp_text'])
    assert.match(text, /Cert Status: good/)
  }
  const text = (await requestFor(leaf, '-no_nonce')).toString('base64')
  const { headers } = await http.get(`${ocspPath}/${encodeURIComponent(text)}`).expect(200)
  assert.equal(headers['content-type'], 'application/ocsp-response')
  assert.match(headers['cache-control'] ?? '', /^public, no-transform, max-age=300$/)
  assert.ok(Date.parse(headers.expires ?? '') > Date.now())
  assert.ok(Date.parse(headers['last-modified'] ?? '') <= Date.now())
  const nonce = encodeURIComponent((await requestFor(leaf, '-nonce')).toString('base64'))
  const own = await http.get(`${ocspPath}/${nonce}`).expect(200)
  assert.equal(own.headers['cache-control'], 'no-store')
})

test('what is no OCSP request is malformed, too large or of another type, and never an error of ours', async () => {
  const post = (body: Buffer, type = 'application/ocsp-request') =>
    send(null).post(ocspPath).set('content-type', type).responseType('blob').send(body)
  const malformed = ocspError('malformedRequest')
  for (const body of [Buffer.alloc(0), Buffer.from('rubbish'), Buffer.alloc(20_000, 0x30)]) {
    const answer = await post(body).expect(200)
    assert.equal(answer.headers['content-type'], 'application/ocsp-response')
    assert.ok(binary(answer).equals(malformed))
  }
  for (const path of ['rubbish!', '%00', 'AAAA', 'MA%3D%3D%3D', 'a/b/c']) {
    const answer = await send(null).get(`${ocspPath}/${path}`).responseType('blob').expect(200)
    assert.ok(binary(answer).equals(malformed))
  }
  await post(Buffer.from('x'), 'text/plain').expect(415)
  await post(Buffer.from('x'), 'application/json').expect(415)
  await send(null).get('/pki/nobody/ocsp/AAAA').expect(200)
  const request = await requestFor(await issueOne(ctx))
  const unknown = await send(null)
    .post('/pki/nobody/ocsp')
    .set('content-type', 'application/ocsp-request')
    .send(request)
    .expect(404)
  assert.equal(unknown.body.type, 'https://gatesmith.dev/problems/authority-unknown')
})

test('the list that a certificate names is served there, and kept as long as it is the one', async () => {
  const leaf = await issueOne(ctx)
  const [der = Buffer.alloc(0)] = readPem(leaf.pem ?? '')
  const [url = ''] = readCertificate(der).crlUrls
  assert.deepEqual(readCertificate(der).ocspUrls, ['http://pki.gatesmith.test/pki/issuing/ocsp'])
  const path = new URL(url).pathname
  const get = (headers: Readonly<Record<string, string>> = {}, at = path) =>
    send(null).get(at).set(headers).responseType('blob')
  const first = await get().expect(200)
  assert.equal(first.headers['content-type'], 'application/pkix-crl')
  assert.match(first.headers['cache-control'] ?? '', /^public, max-age=300$/)
  const crl = await readCrl(binary(first))
  assert.deepEqual(crl.urls, [url])
  const { etag = '', 'last-modified': modified = '' } = first.headers
  assert.equal(etag, `"${crl.number}"`)
  assert.equal(Date.parse(modified), crl.thisUpdate.getTime())
  await get({ 'if-none-match': etag }).expect(304)
  await get({ 'if-none-match': `"1", W/${etag}` }).expect(304)
  await get({ 'if-modified-since': modified }).expect(304)
  await get({ 'if-none-match': '"1"', 'if-modified-since': modified }).expect(200)
  await send(null).head(path).expect(200)
  await revoke(ctx, leaf)
  await publishLists(ctx, keyId)
  const next = await get({ 'if-none-match': etag }).expect(200)
  assert.ok((await readCrl(binary(next))).entries.some(({ serial }) => serial === leaf.serial))
  const whole = await readCrl(binary(await get({}, '/pki/issuing/crl').expect(200)))
  assert.ok(whole.entries.some(({ serial }) => serial === leaf.serial))
  await send(null).get(path.replace(/\d$/, '3')).expect(404)
  await send(null).get(path.replace(/\d$/, '99999999999')).expect(422)
  await send(null).get('/pki/nobody/crl').expect(404)
})

test('the CA certificate and the trust bundle are public', async () => {
  const ca = await send(null).get('/pki/issuing/ca.crt').responseType('blob').expect(200)
  assert.ok(binary(ca).equals(readPem(issuing.pem)[0] ?? Buffer.alloc(0)))
  const { text } = await send(null).get('/pki/issuing/ca.pem').buffer(true).expect(200)
  assert.equal(text, issuing.chainPem)
})

test('a certificate of an authority is revoked over REST, by who may, when it signs nothing new', async () => {
  const path = '/v1/authorities/issuing/issuers'
  const { body } = await http.get(path).expect(200)
  const at = `${path}/${body.items[0].id}/revoke`
  const refused = await http.post(at).send({ reason: 'superseded' }).expect(422)
  assert.match(refused.body.violations[0].message, /rotate the key first/)
  await http.post(`${path}/${randomUUID()}/revoke`).send({}).expect(404)
  const operator = send(await tokenFor(ctx, 'example', 'operator'))
  await operator.post(at).send({}).expect(403)
})

test('what to trust comes as a PKCS#12 store too', async () => {
  const viewer = send(await tokenFor(ctx, 'example', 'viewer'))
  const path = '/v1/authorities/issuing/trust-store'
  const missing = await viewer.get(path).expect(422)
  assert.equal(missing.body.violations[0].field, 'headers/x-bundle-password')
  await viewer.get(path).set('x-bundle-password', 'p\u00e4ss').expect(422)
  const store = await viewer
    .get(path)
    .set('x-bundle-password', 'changeit')
    .responseType('blob')
    .expect(200)
  assert.match(store.headers['content-disposition'] ?? '', /filename="issuing\.p12"/)
  put('trust.p12', binary(store))
  const args = ['pkcs12', '-in', 'trust.p12', '-nokeys', '-passin', 'pass:changeit']
  const text = await run('openssl', args)
  assert.deepEqual(readPem(text, 'CERTIFICATE'), readPem(issuing.chainPem, 'CERTIFICATE'))
  assert.match(text, /friendlyName: issuing-[0-9a-f]{8}/)
  await viewer
    .get('/v1/authorities/nobody/trust-store')
    .set('x-bundle-password', 'changeit')
    .expect(404)
  await send(null).get(path).expect(401)
})

test('a certificate is revoked and downloaded over REST', async () => {
  const operator = send(await tokenFor(ctx, 'example', 'operator'))
  const { id } = await issueOne(ctx, { subject: { commonName: 'a.example.com' } })
  const at = `/v1/tenants/example/certificates/${id}`
  const bundle = (query: string) => operator.get(`${at}/bundle?${query}`).responseType('blob')
  const missing = await operator.get(`${at}/bundle?format=p12`).expect(422)
  assert.equal(missing.body.violations[0].field, 'headers/x-bundle-password')
  const stored = await bundle('format=p12').set('x-bundle-password', 'open sesame').expect(200)
  assert.equal(stored.headers['content-type'], 'application/x-pkcs12')
  assert.equal(stored.headers['cache-control'], 'no-store')
  assert.match(stored.headers['content-disposition'] ?? '', /filename="a\.example\.com\.p12"/)
  put('s.p12', binary(stored))
  const text = await run('openssl', [
    'pkcs12',
    '-in',
    's.p12',
    '-passin',
    'pass:open sesame',
    '-noenc',
  ])
  assert.match(text, /BEGIN PRIVATE KEY/)
  const again = await operator.get(`${at}/bundle?privateKey=true`).expect(409)
  assert.equal(again.body.type, 'https://gatesmith.dev/problems/key-downloaded')
  await http.get(`${at}/bundle?privateKey=true`).expect(200)
  const der = await bundle('format=der').expect(200)
  assert.equal(der.headers['content-type'], 'application/pkix-cert')
  await operator.get(`${at}/bundle?format=jks`).expect(422)

  await operator.post(`${at}/revoke`).send({ reason: 'certificateHold' }).expect(422)
  await operator.post(`${at}/revoke`).send({ why: 'x' }).expect(422)
  const { body } = await operator.post(`${at}/revoke`).send({ reason: 'superseded' }).expect(200)
  assert.equal(body.status, 'revoked')
  assert.equal(body.revocationReason, 'superseded')
  assert.deepEqual((await operator.post(`${at}/revoke`).send({}).expect(200)).body, body)
  assert.deepEqual((await operator.get(at).expect(200)).body, body)
  const viewer = send(await tokenFor(ctx, 'example', 'viewer'))
  await viewer.post(`${at}/revoke`).send({}).expect(403)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import { leafFor, openElsewhere, sentOf } from '../../certificates/uploads/elsewhere.ts'
import { opensslBytes } from '../../support/openssl.ts'
import { type allLooks, assertAccessible, assertFits, picture, untilShown } from '../browser.ts'
import type { World } from '../world.ts'

const file = (name: string, text: string | Buffer) => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(text),
})

/** A certificate of a CA of its own with its key. */
async function leafOf(name: string) {
  const { root, between } = await openElsewhere('Other')
  return sentOf(await leafFor(between, [name]), between, root)
}

function storeOf(sent: ReturnType<typeof sentOf>, password: string): Buffer {
  const args = ['pkcs12', '-export', '-in', 'c.pem', '-inkey', 'k.pem', '-out', 's.p12']
  const files = { 'c.pem': sent.certificate, 'k.pem': sent.privateKey }
  return opensslBytes([...args, '-passout', `pass:${password}`], files, 's.p12')
}

/** Certificates of CAs elsewhere: uploaded, put on a host, given a successor, and removed. */
export function uploadStories(
  { url, http, shop }: World,
  signedIn: (look?: (typeof allLooks)[number]) => Promise<BrowserContext>,
): void {
  const hosts = '/v1/tenants/example/hosts'

  const opened = async (page: Page) => {
    await page.goto(`${url}/console/upload`)
    await untilShown(page, 'Upload a certificate')
    await page.getByLabel('Tenant').selectOption('example')
  }
  const check = (page: Page) => page.getByRole('button', { name: 'Check it' }).click()

  test('what is wrong with an upload is said beside its field, in the words of the service', async () => {
    const other = await leafOf('www.elsewhere.test')
    for (const look of ['light', 'dark', 'phone'] as const) {
      const context = await signedIn(look)
      const page = await context.newPage()
      await opened(page)
      await page.getByLabel(/^Files/).setInputFiles([file('shop.pem', shop.certificate)])
      await check(page)
      const key = page.getByLabel('Private key (PEM)')
      await page.getByText('Send its private key along: gateways serve with it').waitFor()
      assert.equal(await key.getAttribute('aria-invalid'), 'true')
      await page.getByLabel(/^Files/).setInputFiles([file('other.key', other.privateKey)])
      await check(page)
      await page
        .getByText(/The private key is of none of the certificates that were sent/)
        .waitFor()
      await picture(page, `upload-refused-${look}`)
      await assertAccessible(page, `a refused upload, ${look}`)
      await assertFits(page, `a refused upload, ${look}`)
      await page.getByLabel('Certificate and chain (PEM)').fill(other.certificate)
      await check(page)
      await page
        .getByText(/www\.elsewhere\.test/)
        .last()
        .waitFor()
      assert.equal(
        await page.getByLabel('Certificate and chain (PEM)').getAttribute('aria-invalid'),
        'true',
      )
      await context.close()
    }
  })

  test('a certificate is uploaded by files that are dragged there, and put on a host', async () => {
    const context = await signedIn()
    const page = await context.newPage()
    await opened(page)
    const dragged = JSON.stringify([
      ['shop.pem', shop.certificate],
      ['shop.key', shop.privateKey],
    ])
    const data = await page.evaluateHandle(`${dragged}.reduce((all, [name, text]) => {
      all.items.add(new File([text], name))
      return all
    }, new DataTransfer())`)
    await page.locator('.drop').dispatchEvent('drop', { dataTransfer: data })
    await page.getByText('Read: shop.pem, shop.key').waitFor()
    await check(page)
    await page.getByRole('heading', { name: 'What it is: nothing is stored yet' }).waitFor()
    await page.getByText('CN=Shop Root, which browsers do not know').waitFor()
    await assertAccessible(page, 'what was found in an upload')
    const before = await http.get('/v1/tenants/example/certificates?origin=uploaded').expect(200)
    assert.equal(before.body.items.length, 0)
    await page.getByRole('button', { name: 'Upload it' }).click()
    await untilShown(page, 'up.example.com')
    await page.getByText('its CA alone can: upload a successor').waitFor()
    await picture(page, 'uploaded-light')
    await assertAccessible(page, 'an uploaded certificate')
    await page.getByRole('button', { name: 'Put it on a host' }).click()
    await page.getByRole('dialog').getByLabel('Host').waitFor()
    await assertAccessible(page, 'the dialog of a host for it')
    await page.getByRole('dialog').getByRole('button', { name: 'Go on' }).click()
    await untilShown(page, 'Ask for a host')
    assert.equal(await page.getByLabel('Host name').inputValue(), 'up.example.com')
    await page.getByLabel('sandbox').check()
    await page.getByLabel('Service').fill('httpbin')
    await page.getByLabel('Namespace').fill('test')
    await page.getByRole('button', { name: 'Show the plan' }).click()
    await page.getByRole('button', { name: 'Ask for it' }).click()
    await untilShown(page, 'up.example.com')
    const served = page.getByRole('article', { name: 'Served on sandbox' })
    await served.getByText('Synced').waitFor()
    await context.close()
  })

  test('a successor of the certificate of a host is uploaded from there, as a store under a passphrase', async () => {
    const { body: host } = await http.get(`${hosts}/up.example.com`).expect(200)
    const first = host.certificate.uploaded
    const store = storeOf(await leafOf('up.example.com'), 'open sesame')
    const context = await signedIn()
    const page = await context.newPage()
    await page.goto(`${url}/console/hosts/example/up.example.com`)
    await page.getByRole('link', { name: 'Upload a successor' }).click()
    await untilShown(page, 'Upload a successor')
    await page.getByLabel(/^Files/).setInputFiles([file('next.p12', store)])
    await page.getByLabel('PKCS#12 store').waitFor()
    await check(page)
    await page
      .getByText(/[Pp]assphrase/)
      .last()
      .waitFor()
    await page.getByRole('alert').waitFor()
    await page.getByLabel('Passphrase').fill('open sesame')
    await check(page)
    await page.getByRole('button', { name: 'Upload it' }).click()
    await untilShown(page, 'up.example.com')
    await page.getByRole('row', { name: /in place of the one before/ }).waitFor()
    const { body } = await http.get(`/v1/tenants/example/certificates/${first}`).expect(200)
    assert.equal(page.url().endsWith(body.replacedBy), true)
    await page.goto(`${url}/console/certificates/example/${first}`)
    await page.getByRole('button', { name: 'Remove' }).click()
    const dialog = page.getByRole('dialog')
    await assertAccessible(page, 'the dialog of a removal')
    await dialog.getByRole('button', { name: 'Remove it for good' }).click()
    await dialog.getByText(/Hosts have it or name it: up\.example\.com/).waitFor()
    await context.close()
  })

  test('a CA elsewhere is registered: refused field by field, then it is there', async () => {
    const context = await signedIn()
    const page = await context.newPage()
    await page.goto(`${url}/console/elsewhere`)
    await page.getByLabel('Name', { exact: true }).fill('corporate')
    await page.getByLabel('Directory').fill('http://127.0.0.1:1/directory')
    await page.getByLabel('Names are proved by').selectOption('rfc2136')
    await page.getByLabel('Primary name server').fill('ns.example.com:70000')
    await page.getByLabel('Zone').fill('example.com')
    await page.getByLabel('Name of the TSIG key').fill('gatesmith')
    await page.getByLabel('Secret of the TSIG key').fill(Buffer.alloc(32, 7).toString('base64'))
    await page.getByRole('button', { name: 'Register it' }).click()
    await page.locator('.wrong', { hasText: '70000 is no port' }).waitFor()
    await page.locator('.wrong', { hasText: 'The terms of the CA have to be agreed to' }).waitFor()
    await picture(page, 'elsewhere-refused-light')
    await assertAccessible(page, 'a CA that was refused')
    await page.getByLabel('Primary name server').fill('ns.example.com')
    await page.getByLabel(/The terms of service/).check()
    await page.getByRole('button', { name: 'Register it' }).click()
    await untilShown(page, 'corporate')
    await page.getByText(/dns-01, by updates of example\.com at ns\.example\.com/).waitFor()
    await page.getByText('No host has ordered anything of it yet.').waitFor()
    await context.close()
  })

  test('a CA that is too much asked says until when no order is sent to it', async () => {
    const context = await signedIn()
    const page = await context.newPage()
    // As it answers for the ten minutes that a CA has said.
    await page.route(/\/v1\/authorities\/public$/, async (route) => {
      const authority = await (await route.fetch()).json()
      const pausedUntil = new Date(Date.now() + 590_000).toISOString()
      await route.fulfill({ json: { ...authority, acme: { ...authority.acme, pausedUntil } } })
    })
    await page.goto(`${url}/console/authorities/public`)
    await page.getByText(/they go on in 9 minutes/).waitFor()
    await context.close()
  })
}

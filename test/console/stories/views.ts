import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import { allLooks, assertAccessible, assertFits, picture, untilShown } from '../browser.ts'
import type { World } from '../world.ts'

/** What is to be read in each view, by whoever comes to it. */
const views: readonly (readonly [
  name: string,
  path: string,
  title: string | RegExp,
  reads: (page: Page, world: World) => Promise<void>,
])[] = [
  [
    'attention',
    '/',
    'Needs attention',
    async (page) => {
      for (const [kind, count] of [
        [/Failed renewals/, /^1/],
        [/Hosts failed or in conflict/, /^3/],
        [/Ending without renewal/, /^2/],
        [/Authorities ending/, /^1/],
        [/CA accounts failing/, /^1/],
        [/Clusters not answering/, /^1/],
      ] as const) {
        const button = page.getByRole('button', { name: kind })
        assert.match((await button.textContent()) ?? '', count)
      }
      const row = page.getByRole('row', { name: /laptop\.example\.com/ })
      assert.match((await row.textContent()) ?? '', /in 8 days/)
      await row.getByRole('button', { name: /Renew now/ }).waitFor()
      await page
        .getByRole('row', { name: /taken\.example\.com/ })
        .getByText('Conflict')
        .waitFor()
    },
  ],
  [
    'expiry',
    '/expiry',
    'Expiry',
    async (page) => {
      await page.getByText(/certificates renewed without being asked/).waitFor()
      const bar = page.getByRole('link', {
        name: /1 certificate — 0 renew by themselves, 1 does not/,
      })
      assert.ok((await bar.count()) >= 2)
      for (const by of ['tenant', 'authority', 'cluster']) {
        await page.getByRole('heading', { name: `By ${by}` }).waitFor()
      }
    },
  ],
  [
    'hosts',
    '/hosts',
    'Hosts',
    async (page) => {
      for (const head of ['sandbox', 'west']) {
        await page.getByRole('columnheader', { name: head }).waitFor()
      }
      const row = page.getByRole('row', { name: /shop\.example\.com/ })
      await row.getByText('Synced').waitFor()
      await page.getByRole('row', { name: /taken/ }).getByText('Conflict').waitFor()
    },
  ],
  [
    'host',
    '/hosts/example/httpbin.example.com',
    'httpbin.example.com',
    async (page) => {
      const served = page.getByRole('article', { name: 'Served on sandbox' })
      await served
        .getByText(/TLSv1\.3/)
        .first()
        .waitFor()
      await served.getByText('It serves the certificate that was issued').waitFor()
      await served
        .getByText(/CN=example\.com issuing CA, ends|signed by O=example Inc\./)
        .first()
        .waitFor()
    },
  ],
  [
    'plan',
    '/hosts/example/taken.example.com#plan',
    'taken.example.com',
    async (page) => {
      await page
        .getByText(/In the way:/)
        .first()
        .waitFor()
    },
  ],
  [
    'certificates',
    '/certificates',
    'Certificates',
    async (page) => {
      await page.getByRole('row', { name: /laptop.*not by itself/ }).waitFor()
    },
  ],
  [
    'clusters',
    '/clusters',
    'Clusters',
    async (page) => {
      await page.getByRole('row', { name: /west/ }).getByText('Failed').waitFor()
      await page.getByRole('row', { name: /sandbox.*Kubernetes.*Istio/ }).waitFor()
    },
  ],
  [
    'cluster',
    '/clusters/sandbox',
    'sandbox',
    async (page) => {
      const listeners = page.getByRole('table', { name: 'Listeners' })
      await listeners.getByText('SNI: httpbin.example.com').waitFor()
      await page.getByRole('table', { name: 'Checks' }).getByText('rights').first().waitFor()
    },
  ],
  [
    'authorities',
    '/authorities',
    'Authorities',
    async (page) => {
      const row = page.getByRole('row', { name: /ending-issuing/ })
      assert.match((await row.textContent()) ?? '', /left, ends in 39 days/)
    },
  ],
  [
    'authority',
    '/authorities/example-issuing',
    'example-issuing',
    async (page) => {
      await page.getByRole('heading', { name: 'Lists and OCSP' }).waitFor()
      await page.getByText('Its key was never changed.').waitFor()
    },
  ],
  [
    'ca',
    '/authorities/public',
    'public',
    async (page) => {
      await page.getByText('http-01, by the gateways of each host').waitFor()
      const order = page.getByRole('row', { name: /of-public\.example\.com.*failed/ })
      await order.getByText('Another certificate of the same serial is on record').waitFor()
    },
  ],
  [
    'ca-away',
    '/authorities/away',
    'away',
    async (page) => {
      await page.getByText(/It cannot be reached: ECONNREFUSED \(unreachable\)/).waitFor()
      const order = page.getByRole('row', { name: /of-away\.example\.com.*new/ })
      await order.getByText(/the account with the CA is registering/).waitFor()
    },
  ],
  [
    'elsewhere',
    '/elsewhere',
    'Register a CA elsewhere',
    async (page) => {
      await page.getByLabel('Directory').waitFor()
    },
  ],
  [
    'upload',
    '/upload',
    'Upload a certificate',
    async (page) => {
      await page.getByLabel(/^Files/).waitFor()
    },
  ],
  [
    'foreign',
    '/foreign',
    'Foreign certificates',
    async (page) => {
      const row = page.getByRole('row', { name: /taken\.example\.com/ })
      await row.getByText('in 89 days').waitFor()
      await row.getByRole('link', { name: 'sandbox' }).waitFor()
      await row.getByText('CN=Shop CA 1').waitFor()
    },
  ],
  [
    'audit',
    '/audit',
    'Audit',
    async (page) => {
      await page.getByRole('row', { name: /host\.created.*shop\.example\.com/ }).waitFor()
    },
  ],
  [
    'ask',
    '/ask',
    'Ask for a host',
    async (page) => {
      await page.getByLabel('Host name').waitFor()
    },
  ],
]

/** Each view, in light, in dark and on a phone's width: what is to be read, nothing that axe finds, nothing too wide. */
export function viewStories(
  world: World,
  signedIn: (look: (typeof allLooks)[number]) => Promise<BrowserContext>,
): void {
  for (const look of allLooks) {
    test(`every view is read, in ${look}, and axe finds nothing`, async () => {
      const context = await signedIn(look)
      const page = await context.newPage()
      for (const [name, path, title, reads] of views) {
        await page.goto(`${world.url}/console${path}`)
        await untilShown(page, title)
        if (look === 'light') await reads(page, world)
        await picture(page, `${name}-${look}`)
        await assertAccessible(page, `${name}, ${look}`)
        await assertFits(page, `${name}, ${look}`)
      }
      await context.close()
    })
  }

  test('a certificate tells its chain, lineage and where it is served', async () => {
    const context = await signedIn('light')
    const page = await context.newPage()
    const { body } = await world.http.get('/v1/tenants/example/hosts/httpbin.example.com')
    const { id } = body.status.certificate
    await page.goto(`${world.url}/console/certificates/example/${id}`)
    await untilShown(page, 'httpbin.example.com')
    await page.getByRole('table', { name: 'Where it is served' }).getByText('sandbox').waitFor()
    await page.getByRole('link', { name: 'example-root' }).waitFor()
    await page.getByText('this one').waitFor()
    await picture(page, 'certificate-light')
    await assertAccessible(page, 'certificate')
    await context.close()
  })
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import { assertAccessible, assertFits, picture, untilShown } from '../browser.ts'
import type { World } from '../world.ts'

/** What nobody wishes for: addresses that lead nowhere, sessions that end, a service that is away, names without end. */
export function strangeStories(
  { url, http, token }: World,
  {
    signedIn,
    context,
  }: {
    readonly signedIn: (look?: 'light' | 'phone') => Promise<BrowserContext>
    readonly context: () => Promise<BrowserContext>
  },
): void {
  const signIn = async (page: Page, key: string) => {
    await page.goto(`${url}/console/`)
    await page.getByLabel('API key').fill(key)
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await untilShown(page, 'Needs attention')
  }

  test('an address that leads nowhere says so, under a title and with a way on', async () => {
    const opened = await signedIn()
    const page = await opened.newPage()
    const id = '00000000-0000-7000-8000-000000000000'
    for (const [path, says] of [
      [`/certificates/example/${id}`, 'There is no such certificate'],
      ['/certificates/example/none', 'The request breaks one or more rules'],
      [`/certificates/nobody/${id}`, 'There is no such tenant'],
      ['/certificates?from=once&to=later', 'certificate'],
      ['/hosts/nobody/www.example.com', 'There is no such tenant'],
      ['/authorities/nobody', 'There is no such authority'],
      ['/ask?tenant=nobody&host=www.example.com', 'There is no such tenant'],
      [`/upload?tenant=nobody&replaces=${id}`, 'Upload a successor'],
      ['/foreign?cluster=nobody&within=ever', 'No gateway holds a certificate'],
      ['/expiry?span=ever&tenant=nobody', 'There is no tenant "nobody"'],
      ['/nowhere', 'There is no such view'],
    ] as const) {
      await page.goto(`${url}/console${path}`)
      await page.getByText(says).first().waitFor()
      await page.getByRole('heading', { level: 1 }).waitFor()
      await assertAccessible(page, path)
    }
    await opened.close()
  })

  test('who is signed out while they fill in a form is told so, and goes on after signing in again', async () => {
    const made = await http
      .post('/v1/tenants/example/api-keys')
      .send({ name: 'short', role: 'operator' })
      .expect(201)
    const opened = await context()
    const page = await opened.newPage()
    await signIn(page, made.body.token)
    await page.goto(`${url}/console/upload`)
    await page.getByLabel('Certificate and chain (PEM)').fill('mine')
    await http.delete(`/v1/tenants/example/api-keys/${made.body.id}`).expect(204)
    await page.getByLabel('Tenant').selectOption('example')
    await page.getByRole('button', { name: 'Check it' }).click()
    await page.getByText('You are not signed in any more.').waitFor()
    assert.equal(await page.getByLabel('Certificate and chain (PEM)').inputValue(), 'mine')
    await assertAccessible(page, 'a form without a session')
    await opened.close()
  })

  test('where another session was begun in another tab, a change is tried again by its token', async () => {
    const opened = await context()
    const page = await opened.newPage()
    await signIn(page, token)
    await page.goto(`${url}/console/clusters/west`)
    await untilShown(page, 'west')
    // As another tab does it: the cookie is one for both, the token is not.
    const other = await opened.request.post(`${url}/console/session`, {
      data: { apiKey: token },
      headers: { 'sec-fetch-site': 'same-origin' },
    })
    assert.equal(other.status(), 200)
    await page.getByRole('button', { name: 'Check now' }).click()
    await page.getByText(/csrf-refused/).waitFor()
    await Promise.all([
      page.waitForResponse((one) => /\/check$/.test(one.url()) && one.ok()),
      (async () => {
        await page.getByText(/csrf-refused/).waitFor()
        await page.getByRole('button', { name: 'Check now' }).click()
      })(),
    ])
    await opened.close()
  })

  test('a view that cannot be loaded says so in its place, and the others go on', async () => {
    const opened = await signedIn()
    const page = await opened.newPage()
    await page.goto(`${url}/console/`)
    await untilShown(page, 'Needs attention')
    await page.route(/\/assets\//, (route) => route.abort())
    await page.getByRole('link', { name: 'Audit' }).click()
    await untilShown(page, 'This view could not be loaded')
    await assertAccessible(page, 'a view that was not loaded')
    await page.getByRole('link', { name: 'Needs attention' }).click()
    await untilShown(page, 'Needs attention')
    await opened.close()
  })

  test('names without end are shown whole, and make nothing wider than a phone', async () => {
    const long = `${'very-long-label-of-a-name-'.repeat(2)}x.${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`
    for (const look of ['light', 'phone'] as const) {
      const opened = await signedIn(look)
      const page = await opened.newPage()
      await page.route(
        /\/v1\/(hosts|certificates|foreign-certificates|clusters|authorities)\?/,
        async (route) => {
          const answer = await route.fetch()
          const { items } = await answer.json()
          await route.fulfill({
            json: { items: items.map((item: object) => lengthened(item, long)), nextCursor: null },
          })
        },
      )
      for (const [path, title] of [
        ['/', 'Needs attention'],
        ['/hosts', 'Hosts'],
        ['/certificates', 'Certificates'],
        ['/foreign', 'Foreign certificates'],
        ['/clusters', 'Clusters'],
        ['/authorities', 'Authorities'],
      ] as const) {
        await page.goto(`${url}/console${path}`)
        await untilShown(page, title)
        await assertFits(page, `${title}, ${look}`)
      }
      await picture(page, `long-${look}`)
      await opened.close()
    }
  })
}

/** The same with names as long as they can be. */
function lengthened(item: object, long: string): object {
  const members = Object.entries(item).map(([key, value]): [string, unknown] => {
    if (key === 'dnsNames' || key === 'servedNames') return [key, [long, `other.${long}`]]
    if (key === 'displayName' || key === 'issuer' || key === 'credential')
      return [key, long.replaceAll('-', '')]
    return [key, key === 'name' ? long.slice(0, 253) : value]
  })
  return Object.fromEntries(members)
}

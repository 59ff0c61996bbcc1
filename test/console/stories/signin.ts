import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrowserContext } from 'playwright-core'
import { assertAccessible, type Look, picture, untilShown } from '../browser.ts'
import type { World } from '../world.ts'

/** Signing in and out. */
export function signInStories(
  { url, link, http }: World,
  open: (look?: Look) => Promise<BrowserContext>,
): void {
  test('who is not signed in is asked for an API key, and a wrong one is refused in the service’s words', async () => {
    for (const look of ['light', 'dark', 'phone'] as const) {
      const context = await open(look)
      const page = await context.newPage()
      await page.goto(`${url}/console/hosts`)
      await untilShown(page, 'Sign in')
      await picture(page, `signin-${look}`)
      await assertAccessible(page, `signin, ${look}`)
      if (look === 'light') {
        await page.getByLabel('API key').fill('nonsense')
        await page.getByRole('button', { name: 'Sign in', exact: true }).click()
        assert.match((await page.getByRole('alert').textContent()) ?? '', /credentials-refused/)
      }
      await context.close()
    }
  })

  test('the link that npm start prints signs in once, and is taken out of the address', async () => {
    const context = await open()
    const page = await context.newPage()
    await page.goto(link)
    await untilShown(page, 'Needs attention')
    assert.ok(!page.url().includes('signin'), page.url())
    // Signing out ends it, here and at the service.
    await page.getByRole('button', { name: 'Sign out' }).click()
    await untilShown(page, 'Sign in')
    await page.goto(link)
    await page.reload()
    await page.getByRole('alert').waitFor()
    await context.close()
  })

  test('where people sign in at an identity provider, the page leads there and back', async () => {
    const context = await open()
    const page = await context.newPage()
    await page.route('**/console/session', (route) =>
      route.fulfill({ json: { signedIn: false, oidc: true } }),
    )
    await page.goto(`${url}/console/hosts?status=Failed`)
    const link = page.getByRole('link', { name: 'Sign in at your identity provider' })
    const leads = new URL((await link.getAttribute('href')) ?? '', url)
    assert.equal(leads.pathname, '/console/oidc/start')
    assert.equal(leads.searchParams.get('returnTo'), '/console/hosts?status=Failed')
    await assertAccessible(page, 'signing in at a provider')
    await context.close()
  })

  test('why the identity provider’s word was refused is told, and taken out of the address', async () => {
    const context = await open()
    const page = await context.newPage()
    await page.goto(`${url}/console/#signin-refused=forbidden`)
    await page.getByText(/what it says of you opens nothing here/).waitFor()
    assert.equal(new URL(page.url()).hash, '')
    await context.close()
  })

  test('who may only look is told so where something could be done', async () => {
    const asked = { name: 'reader', role: 'viewer' }
    const made = await http.post('/v1/tenants/example/api-keys').send(asked).expect(201)
    const context = await open()
    const page = await context.newPage()
    await page.goto(`${url}/console/`)
    await page.getByLabel('API key').fill(made.body.token)
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await untilShown(page, 'Needs attention')
    await page.getByText('viewer of example').waitFor()
    const renew = page.getByRole('button', { name: /Renew now laptop/ })
    assert.equal(await renew.getAttribute('aria-disabled'), 'true')
    await renew.focus()
    await page.getByRole('tooltip').getByText('The role viewer may not do this').waitFor()
    await page.getByRole('link', { name: 'Audit' }).click()
    await page.getByText('The audit trail is for admins and auditors.').waitFor()
    await context.close()
  })
}

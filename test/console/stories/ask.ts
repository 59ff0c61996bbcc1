import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrowserContext } from 'playwright-core'
import { parse } from 'yaml'
import { assertAccessible, picture, untilShown } from '../browser.ts'
import type { World } from '../world.ts'

/** Asking for a host, and for another form of it. */
export function askStories({ url, http }: World, signedIn: () => Promise<BrowserContext>): void {
  test('a host is asked for: refused field by field, planned, and served', async () => {
    const context = await signedIn()
    const page = await context.newPage()
    await page.goto(`${url}/console/ask`)
    await page.getByLabel('Host name').fill('new.elsewhere.test')
    await page.getByLabel('Tenant').selectOption('example')
    await page.getByLabel('sandbox').check()
    await page.getByLabel('Service').fill('httpbin')
    await page.getByLabel('Namespace').fill('test')
    await page.getByRole('button', { name: 'Show the plan' }).click()
    await page
      .getByRole('alert')
      .getByText(/host-refused/)
      .waitFor()
    const name = page.getByLabel('Host name')
    assert.equal(await name.getAttribute('aria-invalid'), 'true')
    await picture(page, 'refused-light')
    await assertAccessible(page, 'what is refused')
    await name.fill('new.example.com')
    await page.getByRole('button', { name: 'Show the plan' }).click()
    await page.getByRole('heading', { name: 'Plan: nothing is done yet' }).waitFor()
    await page.getByText(/create Secret/).waitFor()
    await picture(page, 'asked-light')
    await assertAccessible(page, 'a plan')
    const file = await page.locator('figure', { hasText: /^YAML/ }).locator('pre').innerText()
    assert.equal(parse(file).metadata.name, 'new.example.com')
    assert.equal((await http.get('/v1/tenants/example/hosts/new.example.com')).status, 404)
    await page.getByRole('button', { name: 'Ask for it' }).click()
    await untilShown(page, 'new.example.com')
    const served = page.getByRole('article', { name: 'Served on sandbox' })
    await served.getByText('Synced').waitFor()
    await context.close()
  })

  test('a host is changed: what the form cannot say stays, and the plan is a difference', async () => {
    const routes = [
      { match: { prefix: '/old' }, redirect: { path: '/new' } },
      { to: { service: 'httpbin', namespace: 'test', port: 80 } },
    ]
    const asked = { routes, clusters: ['sandbox'], http: 'redirect', labels: { app: 'mine' } }
    const path = '/v1/tenants/example/hosts/mine.example.com'
    await http.put(`${path}?wait=Synced`).send(asked).expect(201)
    const context = await signedIn()
    const page = await context.newPage()
    await page.goto(`${url}/console/hosts/example/mine.example.com`)
    await page.getByRole('link', { name: 'Change' }).click()
    await untilShown(page, 'Change mine.example.com')
    await page.getByLabel('Plain HTTP is').selectOption('serve')
    await page.getByRole('button', { name: 'Show the plan' }).click()
    await page.getByText(/- spec\.servers\[\d\]\.tls/).waitFor()
    await page.getByRole('button', { name: 'Change it' }).click()
    await untilShown(page, 'mine.example.com')
    const { body } = await http.get(path).expect(200)
    assert.equal(body.http, 'serve')
    assert.deepEqual(body.labels, { app: 'mine' })
    assert.equal(body.routes[0].redirect.path, '/new')
    await context.close()
  })
}

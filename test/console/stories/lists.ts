import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BrowserContext } from 'playwright-core'
import { assertAccessible, picture, untilShown } from '../browser.ts'
import type { World } from '../world.ts'

/** Lists: long ones, sorted, searched, as they change, and by the keyboard. */
export function listStories({ url, http }: World, signedIn: () => Promise<BrowserContext>): void {
  test('of a thousand hosts those are there that are seen, and every one is found', async () => {
    const context = await signedIn()
    const page = await context.newPage()
    // A thousand like one that is there: what is tried is the list.
    await page.route(/\/v1\/hosts\?/, async (route) => {
      const { items } = await (await route.fetch()).json()
      const names = Array.from({ length: 1_000 }, (_, at) => `h${at}.example.com`)
      await route.fulfill({
        json: { items: names.map((name) => ({ ...items[0], name })), nextCursor: null },
      })
    })
    await page.goto(`${url}/console/hosts`)
    await page.getByText('1,000 hosts').waitFor()
    const rows = page.getByRole('row')
    assert.ok((await rows.count()) < 100, `${await rows.count()} rows`)
    await page.getByRole('region', { name: 'Hosts by cluster' }).focus()
    await page.keyboard.press('End')
    await page.getByRole('link', { name: 'h999.example.com' }).waitFor()
    await page.getByRole('searchbox').fill('h77')
    await page.getByText('11 hosts of 1,000').waitFor()
    await page.getByRole('button', { name: 'Host', exact: true }).click()
    await page.locator('th[aria-sort="descending"]').waitFor()
    assert.match((await page.getByRole('row').nth(1).textContent()) ?? '', /^h779/)
    await context.close()
  })

  test('of a list that is too long to be fetched whole, the service is asked for a name', async () => {
    const context = await signedIn()
    const page = await context.newPage()
    const { body } = await http.get('/v1/hosts?limit=1').expect(200)
    let count = 0
    await page.route(/\/v1\/hosts\?(?!.*&name=)/, async (route) => {
      const items = Array.from({ length: 500 }, () => ({
        ...body.items[0],
        name: `h${count++}.test`,
      }))
      await route.fulfill({ json: { items, nextCursor: 'more' } })
    })
    await page.goto(`${url}/console/hosts`)
    await page.getByText('3,000 hosts — there are more').waitFor()
    await page.getByLabel('Name', { exact: true }).fill('mutual.example.com')
    await page.getByRole('button', { name: 'Find' }).click()
    await page.getByText('1 host', { exact: true }).waitFor()
    await page.getByRole('link', { name: 'mutual.example.com' }).waitFor()
    await context.close()
  })

  test('where nothing is there yet, each view says what to do first', async () => {
    const context = await signedIn()
    const page = await context.newPage()
    await page.route(/\/v1\/[^?]*(\?|$)/, async (route) => {
      const isList = /\/v1\/(tenants|hosts|certificates|clusters|authorities)(\?|$)/
      if (!isList.test(route.request().url())) return route.continue()
      await route.fulfill({ json: { items: [], nextCursor: null } })
    })
    for (const [path, title, says] of [
      ['/', 'Needs attention', 'To have the first host served:'],
      ['/hosts', 'Hosts', 'Ask for the first one'],
      ['/certificates', 'Certificates', 'No certificate is like that.'],
      ['/clusters', 'Clusters', 'No cluster is registered.'],
      ['/authorities', 'Authorities', 'There is no certificate authority yet.'],
      ['/ask', 'Ask for a host', 'No cluster is registered yet.'],
    ] as const) {
      await page.goto(`${url}/console${path}`)
      await untilShown(page, title)
      await page.getByText(says).waitFor()
      await assertAccessible(page, `${title}, empty`)
    }
    await picture(page, 'empty-light')
    await context.close()
  })

  test('the matrix follows what happens', async () => {
    const context = await signedIn()
    const page = await context.newPage()
    await page.goto(`${url}/console/hosts`)
    await untilShown(page, 'Hosts')
    const spec = {
      routes: [{ to: { service: 'httpbin', namespace: 'test', port: 80 } }],
      clusters: ['sandbox'],
    }
    await http.put('/v1/tenants/example/hosts/live.example.com').send(spec).expect(201)
    await page.getByRole('row', { name: /live\.example\.com.*Synced/ }).waitFor()
    await context.close()
  })

  test('the first view is there soon', async (t) => {
    const context = await signedIn()
    const page = await context.newPage()
    const took: number[] = []
    for (let at = 0; at < 3; at++) {
      await page.goto(`${url}/console/`)
      await page
        .getByRole('button', { name: /Renew now|Check now/ })
        .first()
        .waitFor()
      took.push(Number(await page.evaluate('performance.now()')))
    }
    // A measure of a machine that does nothing else; here no more than that it is told.
    t.diagnostic(`the first view is usable after ${took.map(Math.round).join(', ')} ms`)
    await context.close()
  })

  test('by the keyboard alone one comes to a view, to what is in it, and to what a time is exactly', async () => {
    const context = await signedIn()
    const page = await context.newPage()
    await page.goto(`${url}/console/`)
    await untilShown(page, 'Needs attention')
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate('document.activeElement?.textContent'), 'Skip to content')
    await page.getByRole('link', { name: 'Certificates', exact: true }).focus()
    await page.keyboard.press('Enter')
    await untilShown(page, 'Certificates')
    assert.equal(await page.evaluate('document.activeElement?.id'), 'main')
    await page.locator('time').first().focus()
    const said = (await page.getByRole('tooltip').textContent()) ?? ''
    assert.match(said, /CE(S)?T\n\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/)
    await page.keyboard.press('Escape')
    await page.getByRole('tooltip').waitFor({ state: 'hidden' })
    await context.close()
  })

  test('from a bar of the expiry one comes to its certificates', async () => {
    const context = await signedIn()
    const page = await context.newPage()
    await page.goto(`${url}/console/expiry`)
    await page
      .getByRole('link', { name: /1 certificate — 0 renew/ })
      .first()
      .click()
    await untilShown(page, 'Certificates')
    await page.getByRole('link', { name: 'laptop.example.com' }).waitFor()
    await context.close()
  })
}

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import { connect } from '../../../src/clusters/kubernetes/connect.ts'
import type { ObjectRef } from '../../../src/hosts/host.ts'
import { until } from '../../support/process.ts'
import { assertAccessible, picture } from '../browser.ts'
import type { World } from '../world.ts'

/** What can be done in a view, each by the buttons that are there for it. */
export function actionStories(
  { url, http, kubeconfig, leaf }: World,
  signedIn: () => Promise<BrowserContext>,
): void {
  const story = (promise: string, path: string, tell: (page: Page) => Promise<void>) =>
    test(promise, async () => {
      const context = await signedIn()
      const page = await context.newPage()
      await page.goto(`${url}/console${path}`)
      await page.getByRole('heading', { level: 1 }).waitFor()
      await tell(page)
      await context.close()
    })
  const answered = (page: Page, path: RegExp) =>
    page.waitForResponse((response) => path.test(response.url()) && response.ok())
  const fileOf = async (page: Page, press: () => Promise<void>) => {
    const [download] = await Promise.all([page.waitForEvent('download'), press()])
    return readFile(await download.path(), 'utf8')
  }

  story('one renews and checks where something needs attention', '/', async (page) => {
    await Promise.all([
      answered(page, /\/certificates\/[^/]+\/renew$/),
      page.getByRole('button', { name: 'Renew now printer.example.com' }).click(),
    ])
    await Promise.all([
      answered(page, /\/clusters\/west\/check$/),
      page.getByRole('button', { name: 'Check now west' }).click(),
    ])
    await page.getByRole('button', { name: /Clusters not answering/ }).click()
    await page.getByRole('row', { name: /west/ }).waitFor()
    assert.equal(await page.getByRole('row').count(), 2)
  })

  story(
    'a host is probed and renewed now',
    '/hosts/example/helloworld.example.com',
    async (page) => {
      await Promise.all([
        answered(page, /\/probe$/),
        page.getByRole('button', { name: 'Probe now' }).click(),
      ])
      await page.getByText('Probed just now').waitFor()
      await page.getByRole('button', { name: 'Renew now' }).click()
      await page.getByText(/Renewed: the new certificate ends/).waitFor()
      await page.getByRole('tab', { name: 'Kubernetes objects' }).click()
      await page.getByRole('row', { name: /VirtualService/ }).waitFor()
      await assertAccessible(page, 'objects of a host')
      await page.getByRole('tab', { name: 'Asked for' }).click()
      await page.getByText('helloworld.test:5000').waitFor()
      await assertAccessible(page, 'what was asked for')
      await page.getByRole('tab', { name: 'History' }).click()
      await page.getByRole('button', { name: 'host.created' }).waitFor()
    },
  )

  story(
    'a plan is read before it is applied',
    '/hosts/example/httpbin.example.com#plan',
    async (page) => {
      await page.getByText('Nothing would change').waitFor()
      await page.getByRole('button', { name: 'Apply', exact: true }).click()
      await page.getByText('It is being applied').waitFor()
    },
  )

  const certificate = `/certificates/example/${leaf}`
  story('a certificate is downloaded with its key', certificate, async (page) => {
    await page.getByRole('button', { name: 'Download' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('With its private key').check()
    await dialog.getByText('The private key is handed out once.').waitFor()
    await assertAccessible(page, 'the dialog of a download')
    const pem = await fileOf(page, () => dialog.getByRole('button', { name: 'Download' }).click())
    assert.match(pem, /BEGIN CERTIFICATE[\s\S]*BEGIN PRIVATE KEY/)
    await dialog.waitFor({ state: 'hidden' })
  })

  story(
    'a certificate is renewed by itself from now on, and renewed now',
    certificate,
    async (page) => {
      await page.getByRole('button', { name: 'Renew it by itself' }).click()
      await page.getByRole('button', { name: 'Stop renewing it' }).waitFor()
      await page.getByRole('button', { name: 'Renew', exact: true }).click()
      await page.getByText(/Renewed by/).waitFor()
    },
  )

  story('a certificate is revoked when it was said what that hits', certificate, async (page) => {
    await page.getByRole('button', { name: 'Revoke' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('MUTUAL hosts refuse the next handshake').waitFor()
    await picture(page, 'revoke-light')
    await assertAccessible(page, 'the dialog of a revocation')
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'hidden' })
    await page.getByRole('button', { name: 'Revoke' }).click()
    await dialog.getByLabel('Why').selectOption('cessationOfOperation')
    await dialog.getByRole('button', { name: 'Revoke for good' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await page.getByText(/\(cessationOfOperation\)/).waitFor()
    const { body } = await http.get(`/v1/tenants/example${certificate.replace('/example', '')}`)
    assert.equal(body.revocationReason, 'cessationOfOperation')
  })

  story(
    'a cluster is checked, and its hosts looked at again',
    '/clusters/sandbox',
    async (page) => {
      await Promise.all([
        answered(page, /\/clusters\/sandbox\/check$/),
        page.getByRole('button', { name: 'Check now' }).click(),
      ])
      await page.getByRole('button', { name: 'Look at all its hosts again' }).click()
      await page.getByText(/hosts are looked at again/).waitFor()
    },
  )

  test('what others change on a cluster is put right, and told there', async () => {
    const { body } = await http.get('/v1/tenants/example/hosts/mutual.example.com').expect(200)
    const objects: readonly ObjectRef[] = body.status.clusters[0].objects
    const route = objects.find(({ kind }) => kind === 'VirtualService')
    assert.ok(route)
    await connect(kubeconfig).remove({ ...route, apiVersion: 'networking.istio.io/v1' })
    await until('it is put right', async () => {
      const found = await http.get('/v1/audit-events?action=host.repaired').expect(200)
      return found.body.items.length > 0 ? true : undefined
    })
    const context = await signedIn()
    const page = await context.newPage()
    await page.goto(`${url}/console/clusters/sandbox`)
    const told = page.getByRole('table', { name: 'What others changed' })
    await told.getByRole('row', { name: /mutual\.example\.com host\.repaired/ }).waitFor()
    await context.close()
  })

  story(
    'the key of an authority is changed in steps that say what they wait for',
    '/authorities/ending-issuing',
    async (page) => {
      await page.getByRole('button', { name: 'Change its key' }).click()
      const dialog = page.getByRole('dialog')
      await assertAccessible(page, 'the dialog of a change of key')
      await dialog.getByRole('button', { name: 'Begin' }).click()
      await dialog.waitFor({ state: 'hidden' })
      await page.getByText('The new key is the only one').waitFor()
      await page.locator('#rotation').scrollIntoViewIfNeeded()
      await picture(page, 'rotation-light')
      await assertAccessible(page, 'a change of key')
    },
  )

  story('the trail is searched, opened, verified and exported', '/audit', async (page) => {
    await page.getByLabel('About (its name)').fill('shop.example.com')
    await page.getByRole('button', { name: 'Search the trail' }).click()
    await page.waitForURL(/subject=shop/)
    await page.getByRole('row', { name: /host\.created/ }).waitFor()
    assert.equal(await page.getByRole('row', { name: /httpbin/ }).count(), 0)
    await page.getByRole('button', { name: 'host.created' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('"clusters": [').waitFor()
    await picture(page, 'event-light')
    await assertAccessible(page, 'an event')
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Verify the trail' }).click()
    await page.getByText('It is as it was written').waitFor()
    const press = () => page.getByRole('button', { name: 'Export what is found' }).click()
    const lines = (await fileOf(page, press)).trim().split('\n')
    assert.ok(lines.every((line) => JSON.parse(line).subject.name === 'shop.example.com'))
  })
}

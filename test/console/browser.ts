import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { installation } from '../../src/core/installation.ts'

const executablePath = process.env.GATESMITH_TEST_CHROMIUM ?? '/usr/bin/chromium'

/** Why the console is not looked at in a browser here; false where it is. */
export const noChromium = existsSync(executablePath) ? false : `there is no ${executablePath}`

/** Where pictures of this run are kept. */
const pictures = join(installation, 'test-artefacts/console')

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Nothing is asked of the world outside. */
const args = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
]

/** For what never comes, and no measure of anything. */
const timeoutMilliseconds = 60_000

/** How the console is looked at. */
const looks = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light' },
} as const
/** How the console is looked at: in light, in dark, or on a phone's width. */
export type Look = keyof typeof looks
/** Each way to look. */
export const allLooks: readonly Look[] = ['light', 'dark', 'phone']

/** A browser for the tests of a file; what its pages complain of fails them. */
export function openBrowser(): {
  readonly context: (look?: Look) => Promise<BrowserContext>
  readonly complaints: string[]
} {
  let browser: Browser | undefined
  const complaints: string[] = []
  before(async () => {
    if (noChromium) return
    mkdirSync(pictures, { recursive: true })
    // What the machine's own wrapper of it has to say is nobody's business here.
    browser = await chromium.launch({
      executablePath,
      args,
      env: { ...process.env, HOME: tmpdir() },
    })
  })
  after(() => browser?.close())
  return {
    complaints,
    context: async (look = 'light') => {
      assert.ok(browser)
      const zone = { locale: 'en-GB', timezoneId: 'Europe/Berlin' }
      const context = await browser.newContext({ ...looks[look], ...zone })
      context.setDefaultTimeout(timeoutMilliseconds)
      context.on('weberror', (error) => complaints.push(String(error.error())))
      context.on('console', (message) => {
        // A refusal by the service is told by the view, and by the browser as well; so is what a test keeps from it.
        const isRefusal = /status of (404|401|403|409|422)|ERR_FAILED/.test(message.text())
        if (message.type() === 'error' && !isRefusal) complaints.push(message.text())
      })
      return context
    },
  }
}

/** Waits until a view has what it asked for. */
export async function untilShown(page: Page, title: string | RegExp): Promise<void> {
  await page.getByRole('heading', { level: 1, name: title, exact: true }).waitFor()
  const asked = page.locator('.waiting, .pulse')
  while ((await asked.count()) > 0) await asked.first().waitFor({ state: 'detached' })
}

/** Keeps a picture of what is seen. */
export async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(pictures, `${name}.png`) })
}

/** What axe finds wrong with a page, by rule and place: nothing. */
export async function assertAccessible(page: Page, what: string): Promise<void> {
  await page.evaluate(axe)
  const found = await page.evaluate(`axe.run().then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => id + ' ' + target)))`)
  assert.deepEqual(found, [], what)
}

/** Nothing is wider than the page. */
export async function assertFits(page: Page, what: string): Promise<void> {
  const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
  assert.ok(Number(over) <= 0, `${what} is ${over} px too wide`)
}

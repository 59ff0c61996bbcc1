import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { BrowserContext } from 'playwright-core'
import { type Look, noChromium, openBrowser } from './browser.ts'
import { actionStories } from './stories/actions.ts'
import { askStories } from './stories/ask.ts'
import { listStories } from './stories/lists.ts'
import { signInStories } from './stories/signin.ts'
import { strangeStories } from './stories/strange.ts'
import { uploadStories } from './stories/uploads.ts'
import { viewStories } from './stories/views.ts'
import { openWorld } from './world.ts'

// The console in a real browser, against what `npm start` brings up: every view and every action.

if (noChromium) {
  test(`the console in a browser (${noChromium})`, { skip: noChromium }, () => undefined)
} else {
  const { context, complaints } = openBrowser()
  const world = await openWorld()
  const states = new Map<string, Awaited<ReturnType<BrowserContext['storageState']>>>()

  /** A browser in which the admin is signed in. */
  const signedIn = async (look: Look = 'light') => {
    const opened = await context(look)
    const state = states.get('admin')
    if (state) {
      await opened.addCookies(state.cookies)
      return opened
    }
    const page = await opened.newPage()
    await page.goto(`${world.url}/console/`)
    await page.getByLabel('API key').fill(world.token)
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByRole('heading', { name: 'Needs attention' }).waitFor()
    states.set('admin', await opened.storageState())
    await page.close()
    return opened
  }

  signInStories(world, context)
  viewStories(world, signedIn)
  listStories(world, signedIn)
  actionStories(world, signedIn)
  askStories(world, signedIn)
  uploadStories(world, signedIn)
  strangeStories(world, { signedIn, context })
  after(() => assert.deepEqual(complaints, [], 'what the browser complained of'))
}

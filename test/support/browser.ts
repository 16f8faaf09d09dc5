/**
 * The inspector's page in Debian's Chromium. One browser a test file, a context a page, so that pages share nothing.
 * Every request of every page is written down: none may go anywhere but to the loopback. What a page complains about fails
 * its test, and a picture of it can be kept in `build/screenshots`.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, type TestContext } from 'node:test'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { browserObstacle, CHROMIUM, mayGoOn } from './requirements.ts'

const SCREENSHOTS = 'build/screenshots'

/** Of the machines that tests run on none is quick. */
const PATIENCE_MS = 15_000

export interface Visit {
  readonly page: Page
  /** Every URL that was asked for, the page's own included. */
  readonly requests: readonly string[]
  /** Keep a picture of the page as it is, as `NAME.png`. */
  picture(name: string): Promise<void>
}

let running: Promise<Browser> | undefined

// Of the whole file: within a test it would be the test's own.
after(async () => (await running)?.close())

const browser = (): Promise<Browser> => {
  if (running === undefined) {
    const launched = chromium.launch({
      executablePath: CHROMIUM,
      // Root may not use the sandbox, and nothing here is a stranger's.
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    })
    running = launched
  }
  return running
}

export const canBrowse = (t: TestContext): boolean => mayGoOn(t, browserObstacle())

const isLoopback = (url: string): boolean =>
  ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname)

/**
 * Open a URL; the page is closed when the test is over, and must not have complained or asked anybody else by then.
 * `expected`: what it may complain about.
 */
export const visit = async (
  t: TestContext,
  url: string,
  options: BrowserContextOptions = {},
  expected: readonly RegExp[] = [],
): Promise<Visit> => {
  const context = await (await browser()).newContext({
    viewport: { width: 1440, height: 900 },
    // Nobody watches, and a processor that draws animations does nothing else.
    reducedMotion: 'reduce',
    ...options,
  })
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  const requests: string[] = []
  const complaints: string[] = []
  context.on('request', request => requests.push(request.url()))
  page.on('pageerror', error => complaints.push(error.stack ?? error.message))
  page.on('console', message => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  t.after(async () => {
    await context.close()
    assert.deepEqual(
      complaints.filter(complaint => !expected.some(words => words.test(complaint))),
      [],
    )
    assert.deepEqual(
      requests.filter(request => !isLoopback(request)),
      [],
    )
  })
  await page.goto(url)
  return {
    page,
    requests,
    picture: async name => {
      mkdirSync(SCREENSHOTS, { recursive: true })
      await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), animations: 'disabled' })
    },
  }
}

/**
 * The inspector's page in Chromium, with 100 and with 1,000 links: until it can be used, until a chosen link is shown, and
 * until the list is filtered. The links are those of a simulated daemon, in this process. Without Chromium there is nothing
 * to measure.
 */
import { type Browser, chromium, type Page } from 'playwright-core'
import { inspectorOver, simulatedDaemon } from '../../inspector/support.ts'
import { manyLinks } from '../../inspector/worlds.ts'
import { browserObstacle, CHROMIUM } from '../../support/requirements.ts'
import type { Figure, Measure, Sample, Trial } from '../contract.ts'
import { NOTHING_TO_CLOSE } from '../contract.ts'

const PATIENCE_MS = 60_000
const SIZES = [100, 1000]

const figuresOf = (links: number): readonly Figure[] => {
  const figure = (key: string, title: string, most?: number): Figure => ({
    key: `${key}-${links}`,
    title: `${title}, ${links} links`,
    unit: 'ms',
    better: 'less',
    bars: most === undefined ? [] : [{ ratioTo: null, bound: 'at most', value: most }],
  })
  return [
    figure('usable', 'the page can be used', links === 100 ? 1000 : undefined),
    figure('chosen', 'a link is chosen and shown on its machine'),
    figure('filtered', 'the list is filtered'),
  ]
}

const took = async (what: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await what()
  return performance.now() - began
}

/** By the page's own clock, from the beginning of its navigation: the list is there and the drawing on the screen. */
const usableAfter = async (page: Page, url: string): Promise<number> => {
  await page.goto(url)
  await page.waitForSelector('.topology[data-drawn="true"]')
  return Number(await page.evaluate("performance.getEntriesByName('topology-drawn')[0].startTime"))
}

const sampleOf = async (browser: Browser, links: number, url: string): Promise<Sample> => {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    reducedMotion: 'reduce',
  })
  try {
    const page = await context.newPage()
    page.setDefaultTimeout(PATIENCE_MS)
    return {
      [`usable-${links}`]: await usableAfter(page, url),
      [`chosen-${links}`]: await took(async () => {
        await page.keyboard.press('j')
        await page.waitForSelector('.machine .state[data-state="mediating.steady"][data-lit="true"]')
      }),
      [`filtered-${links}`]: await took(async () => {
        await page.fill('#link-filter', 'container-7 resource-3')
        await page.waitForSelector(`.panel.links .count:has-text(" of ${links}")`)
      }),
    }
  } finally {
    await context.close()
  }
}

export const inspector: Measure = {
  name: 'inspector',
  title: "the inspector's page",
  needsContenders: false,
  rounds: settings => settings.rounds,
  open: async () => {
    if (browserObstacle() !== undefined) return { trials: [], close: NOTHING_TO_CLOSE }
    const browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu'],
    })
    const inspectors = await Promise.all(
      SIZES.map(async links => {
        const daemon = simulatedDaemon()
        await daemon.shows(manyLinks(links))
        return { links, ...(await inspectorOver(daemon.subject)) }
      }),
    )
    return {
      trials: inspectors.map(
        ({ links, url }): Trial => ({
          figures: figuresOf(links),
          lanes: [{ contender: 'pv-xconnect', role: 'ours', sample: () => sampleOf(browser, links, url) }],
        }),
      ),
      close: async () => {
        await browser.close()
        for (const { close } of inspectors) close()
      },
    }
  },
}

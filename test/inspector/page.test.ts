/** The page in a browser, over the real controller and machines in a world of maps, and over recordings. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import type { Subject } from '../../src/inspector/contract.ts'
import type { Inspector } from '../../src/inspector/server.ts'
import { keyOf } from '../../src/model/link.ts'
import { canBrowse, visit } from '../support/browser.ts'
import { aLink } from '../support/builders.ts'
import { eventually } from '../support/eventually.ts'
import { inspectorOver, recordedSubject, simulatedDaemon } from './support.ts'
import { household, manyLinks } from './worlds.ts'

const inspectors: Inspector[] = []
// Not with each test: its page would complain that the inspector has gone.
after(() => {
  for (const inspector of inspectors) inspector.close()
})

const open = async (subject: Subject): Promise<string> => {
  const inspector = await inspectorOver(subject)
  inspectors.push(inspector)
  return inspector.url
}

const line = (key: string): string => `.topology .line[data-key="${key}"]`
const option = (key: string): string => `.link-option[data-key="${key}"]`

/** Wait until a link is drawn in this tone. */
const isDrawn = (page: Page, key: string, tone: string): Promise<unknown> =>
  page.waitForSelector(`${line(key)}[data-tone="${tone}"]`, { state: 'attached' })

/** The innermost state that is lit. */
const lit = (page: Page, state: string): Promise<unknown> =>
  page.waitForSelector(`.machine .state[data-state="${state}"][data-lit="true"]`, { state: 'attached' })

/** Wait until so many elements fit a selector. */
const thereAre = (page: Page, selector: string, enough: (count: number) => boolean): Promise<boolean> =>
  eventually(`enough of ${selector}`, async () => enough(await page.locator(selector).count()), 15_000)

describe('the page', { timeout: 300_000 }, () => {
  test('shows each container and each link in the colour of its state', async t => {
    if (!canBrowse(t)) return
    const daemon = simulatedDaemon()
    const { links, blocked } = await household(daemon)
    const { page, picture } = await visit(t, await open(daemon.subject), { colorScheme: 'light' })
    await page.waitForSelector('.topology .card')
    const cards = await page
      .locator('.topology .card')
      .evaluateAll(all => all.map(card => card.getAttribute('data-container')).sort())
    assert.deepEqual(
      cards,
      [...new Set(links.flatMap(({ consumer, provider }) => [consumer, provider ?? '']))].sort(),
    )
    assert.equal(await page.locator('.topology .line').count(), links.length)
    await isDrawn(page, keyOf(blocked), 'blocked')
    assert.equal(await page.locator('.state-count[data-tone="blocked"] b').textContent(), '1')
    await picture('topology-light')
  })

  test('shows a link go through its four states, on its machine and in the topology', async t => {
    if (!canBrowse(t)) return
    let remove = (): void => undefined
    const removed = new Promise<void>(resolve => {
      remove = resolve
    })
    const daemon = simulatedDaemon({
      onLinkRemoved: (_, mediation, box) => async () => {
        await removed
        return box.withdraw(mediation)()
      },
    })
    const absent = aLink().running(null).build()
    const present = aLink().build()
    const key = keyOf(present)
    await daemon.shows([absent])
    const { page, picture } = await visit(t, await open(daemon.subject))
    await page.click(option(key))
    await lit(page, 'pending.waiting')
    await isDrawn(page, key, 'pending')

    const inject = daemon.world.holdInjection(key)
    await daemon.shows([present])
    await lit(page, 'injecting.wanted')
    await isDrawn(page, key, 'injecting')

    inject()
    await lit(page, 'mediating.steady')
    await isDrawn(page, key, 'mediating')
    const taken = page.locator('.machine .edge[data-last="true"]')
    assert.equal(await taken.getAttribute('data-edge'), 'injecting.wanted→mediating')
    assert.equal(await taken.locator('.edge-count text').textContent(), '1')
    await picture('four-states')

    await daemon.shows([])
    await lit(page, 'tearing-down.closing')
    await isDrawn(page, key, 'tearing-down')

    remove()
    await page.waitForSelector('.chosen[data-tone="absent"]')
    await lit(page, 'released')
    assert.equal(await page.locator(option(key)).count(), 0)
  })

  test('says why a link is blocked, and what to do', async t => {
    if (!canBrowse(t)) return
    const daemon = simulatedDaemon()
    const { blocked } = await household(daemon)
    const { page, picture } = await visit(t, await open(daemon.subject), { colorScheme: 'dark' })
    await page.click(option(keyOf(blocked)))
    const advice = await page.locator('.advice').first().textContent()
    assert.match(advice ?? '', /listens on .* itself; it was left alone/)
    assert.match((await page.locator('.conditions').textContent()) ?? '', /TargetOccupied/)
    await page.locator('.section', { hasText: 'Context' }).locator('summary').first().click()
    assert.match((await page.locator('.json-branch').first().textContent()) ?? '', /lastError/)
    await picture('blocked-dark')

    // Where there is little room nothing is cut off at the side, and what the machine says can still be read.
    await page.setViewportSize({ width: 900, height: 700 })
    await lit(page, 'pending.blocked')
    const overhang = await page
      .locator('.page > *')
      .evaluateAll(all => Math.max(...all.map(part => part.scrollWidth)))
    assert.ok(overhang <= 900, `${overhang}`)
    const shown = await page
      .locator('.machine .state[data-state="pending.blocked"] .state-name')
      .boundingBox()
    const [text, drawn] = [shown?.height ?? 0, await page.locator('.machine svg').first().boundingBox()]
    assert.ok(text >= 10, `${text}`)
    assert.ok(shown !== null && drawn !== null && shown.x > drawn.x && shown.x < drawn.x + drawn.width)
    await picture('narrow')
  })

  test('shows in its log what happens, and only what its filter asks for', async t => {
    if (!canBrowse(t)) return
    const daemon = simulatedDaemon()
    await daemon.shows([])
    const { page } = await visit(t, await open(daemon.subject))
    await page.waitForSelector('.mode[data-mode="live"]')
    const { links } = await household(daemon)
    await page.waitForSelector('.entry[data-kind="transition"]')
    await page.fill('#log-filter', 'to:blocked')
    await thereAre(page, '.entry', count => count === 1)
    assert.match((await page.locator('.entry').textContent()) ?? '', /pending\.blocked/)
    assert.ok(links.length > 10)
    await page.fill('#log-filter', 'kind:nothing')
    await thereAre(page, '.entry', count => count === 0)
    assert.equal(await page.locator('.log .empty').textContent(), 'No event fits the filter.')
  })

  test('is told of the end of what it looks at, and comes back with it', async t => {
    if (!canBrowse(t)) return
    const daemon = simulatedDaemon()
    await household(daemon)
    const inspector = await inspectorOver(daemon.subject)
    const { page } = await visit(t, inspector.url, {}, [
      /ERR_CONNECTION_REFUSED/,
      /ERR_INCOMPLETE_CHUNKED/,
      /ERR_EMPTY/,
    ])
    await page.waitForSelector('.topology .card')
    inspector.close()
    await page.waitForSelector('.mode[data-mode="lost"]')
    assert.equal(await page.locator('.away').isVisible(), true)
  })

  test('can be used by keys alone', async t => {
    if (!canBrowse(t)) return
    const daemon = simulatedDaemon()
    const { links, blocked } = await household(daemon)
    const { page } = await visit(t, await open(daemon.subject))
    await page.waitForSelector('.link-option')
    const sorted = links.map(keyOf).sort()

    await page.keyboard.press('j')
    await page.keyboard.press('j')
    assert.equal(await page.locator('[aria-selected="true"]').getAttribute('data-key'), sorted[1])
    await page.keyboard.press('k')
    assert.equal(await page.locator('[aria-selected="true"]').getAttribute('data-key'), sorted[0])

    await page.keyboard.press('/')
    await page.keyboard.type('state:blocked')
    await thereAre(page, '.link-option', count => count === 1)
    // A letter that is typed into a filter is no command.
    assert.equal(await page.locator('#link-filter').inputValue(), 'state:blocked')
    await page.keyboard.press('ArrowDown')
    await page.locator('.virtual').first().focus()
    await page.keyboard.press('ArrowDown')
    await lit(page, 'pending.blocked')
    assert.equal(await page.locator('.chosen h3').textContent(), blocked.name)

    await page.keyboard.press('3')
    assert.equal(await page.locator('.topology').count(), 0)
    await page.keyboard.press('2')
    assert.equal(await page.locator('.machine').count(), 0)
    await page.keyboard.press('?')
    await page.waitForSelector('dialog.help', { state: 'visible' })
    await page.keyboard.press('Escape')
    await page.waitForSelector('dialog.help', { state: 'hidden' })
    await page.keyboard.press('Escape')
    await thereAre(page, '.link-option', count => count > 5)
    await page.keyboard.press('Escape')
    assert.equal(await page.locator('[aria-selected="true"]').count(), 0)
  })

  test('is dark or light as the system is, and as somebody chose', async t => {
    if (!canBrowse(t)) return
    const daemon = simulatedDaemon()
    await household(daemon)
    const url = await open(daemon.subject)
    const background = (page: Page): Promise<string> =>
      page.evaluate('getComputedStyle(document.documentElement).backgroundColor')
    const dark = await visit(t, url, { colorScheme: 'dark' })
    const light = await visit(t, url, { colorScheme: 'light' })
    const [night, day] = [await background(dark.page), await background(light.page)]
    assert.notEqual(night, day)
    // As the system, light, dark.
    await light.page.keyboard.press('t')
    assert.equal(await background(light.page), day)
    await light.page.keyboard.press('t')
    assert.equal(await background(light.page), night)
    await light.page.reload()
    await light.page.waitForSelector('.card')
    assert.equal(await background(light.page), night)
  })

  test('stays usable with a thousand links', async t => {
    if (!canBrowse(t)) return
    const daemon = simulatedDaemon()
    const links = manyLinks(1000)
    await daemon.shows(links)
    const { page, picture } = await visit(t, await open(daemon.subject))
    await page.waitForSelector('.topology[data-drawn="true"]')
    assert.equal(await page.locator('.panel.links .count').textContent(), '1000')
    assert.equal(await page.locator('.topology .line').count(), 1000)
    // What is not to be seen is not there.
    assert.ok((await page.locator('.link-option').count()) < 60)
    assert.ok((await page.locator('.entry').count()) < 60)
    await picture('thousand-links')

    const last = links.map(keyOf).sort().at(-1) ?? ''
    await page.locator('.panel.links .virtual').evaluate(list => {
      list.scrollTop = list.scrollHeight
    })
    await page.click(option(last))
    await lit(page, 'mediating.steady')
    await page.fill('#link-filter', 'consumer:container-77')
    await thereAre(page, '.link-option', count => count === 10)
    await daemon.shows(links.map((link, at) => (at === 0 ? { ...link, consumer_pid: null } : link)))
    await isDrawn(page, keyOf(links[0] ?? aLink().build()), 'pending')
  })

  test('goes back and forth on the timeline of a recording, by steps, by scrubbing and by playing', async t => {
    if (!canBrowse(t)) return
    const subject = await recordedSubject('fixtures/recordings/consumer-restart.rec')
    const { page, picture } = await visit(t, await open(subject))
    await page.waitForSelector('.timeline')
    const key = subject.timeline?.().links[0]?.key ?? ''
    const entries = (subject.timeline?.().entries ?? []).filter(({ link }) => link === key)
    const moves = entries.filter(({ kind }) => kind === 'transition')
    await page.click(option(key))

    // One by one, from the beginning: the machine is where the recording says.
    await page.click('[aria-label="To the beginning"]')
    await page.waitForSelector('.chosen[data-tone="absent"]')
    for (const { to } of moves.slice(0, 4)) {
      await page.keyboard.press('>')
      await lit(page, to)
    }
    await page.keyboard.press('<')
    await lit(page, moves[2]?.to ?? '')
    await picture('replay')

    // Space is the recording's where a row was clicked, and a box's where that has the focus.
    await page.click(option(key))
    await page.keyboard.press(' ')
    await page.waitForSelector('[aria-label="Pause"]')
    await page.keyboard.press(' ')
    await page.waitForSelector('[aria-label="Play"]')
    await page.locator('.log [type="checkbox"]').focus()
    await page.keyboard.press(' ')
    assert.equal(await page.locator('.log [type="checkbox"]').isChecked(), true)
    assert.equal(await page.locator('[aria-label="Play"]').count(), 1)

    const { startedAt, endedAt } = subject.timeline?.() ?? { startedAt: 0, endedAt: 0 }
    const last = moves.findLast(({ at }) => at <= (startedAt + endedAt) / 2)
    await page.locator('#scrub').fill(String((startedAt + endedAt) / 2))
    await lit(page, last?.to ?? '')
    assert.match((await page.locator('.entry').last().textContent()) ?? '', /./)

    await page.click('[aria-label="To the beginning"]')
    await page.selectOption('[aria-label="Speed"]', '500')
    await page.locator('.topology svg').first().focus()
    await page.keyboard.press(' ')
    await eventually('it has played to the end', async () => {
      const when = await page.locator('[data-position]').getAttribute('data-position')
      return Number(when) === subject.timeline?.().entries.length
    })
  })

  test('shows what hostile names say, and does nothing of it', async t => {
    if (!canBrowse(t)) return
    const daemon = simulatedDaemon()
    const name = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    const hostile = aLink(name)
      .named(`"'><svg onload=document.title=3>`)
      .at(`/run/javascript:alert(1)`)
      .build()
    await daemon.shows([hostile])
    const { page } = await visit(t, await open(daemon.subject))
    await page.click('.link-option')
    await lit(page, 'mediating.steady')
    assert.ok((await page.locator('.card-name').allTextContents()).includes(name))
    assert.match((await page.locator('.chosen-head').textContent()) ?? '', /<img src=x onerror/)
    assert.equal(await page.locator('img, body script, iframe, a').count(), 0)
    assert.equal(await page.title(), 'pv-xconnect inspector')
  })

  test('asks nobody but the inspector', async t => {
    if (!canBrowse(t)) return
    const daemon = simulatedDaemon()
    const { blocked } = await household(daemon)
    const url = await open(daemon.subject)
    const { page, requests } = await visit(t, url)
    await page.click(option(keyOf(blocked)))
    await page.waitForSelector('.advice')
    assert.ok(requests.length >= 5, requests.join('\n'))
    assert.deepEqual(
      requests.filter(request => !request.startsWith(url)),
      [],
    )
  })
})

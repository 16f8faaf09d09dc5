/** The inspector of a real daemon: its own page, and that of `pv-xconnect inspect`, in a browser. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import type { TestContext } from 'node:test'
import type { Page } from 'playwright-core'
import { canBrowse, visit } from '../support/browser.ts'
import { eventually } from '../support/eventually.ts'
import { DAEMON } from '../support/requirements.ts'
import { connectedPair, echoes, scenario, unconnectedPair, type World } from '../support/scenario.ts'

const urlOf = async ({ daemon }: World): Promise<string> => {
  const line = await daemon.logged('where its inspector is', ({ url }) => typeof url === 'string')
  return String(line['url'])
}

const lit = (page: Page, state: string): Promise<unknown> =>
  page.waitForSelector(`.machine .state[data-state="${state}"][data-lit="true"]`, { state: 'attached' })

/** A verb that goes on, and the URL that it prints. */
const inspecting = async (t: TestContext, control: string): Promise<string> => {
  const child: ChildProcess = spawn(process.execPath, [DAEMON, 'inspect', '--control', control], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return eventually('the URL is printed', () => /^http:\S+/m.exec(text)?.[0], 15_000)
}

scenario(
  "a real link comes up and goes on the page of the daemon's own inspector, and its traffic is counted there",
  async (world, t) => {
    const url = await urlOf(world)
    const { page, picture } = await visit(t, url)
    await page.waitForSelector('.mode[data-mode="live"]')
    const { link, entry, consumer, provider } = await unconnectedPair(world)
    world.ctrl.serve([{ ...entry, consumer_pid: -1 }])
    world.daemon.signal('SIGHUP')
    await page.click(`.link-option[data-key="${link}"]`)
    await lit(page, 'pending.waiting')

    await provider.listen('door', String(entry['socket']))
    await provider.serve('door', 'echo')
    world.ctrl.serve([entry])
    world.daemon.signal('SIGHUP')
    await lit(page, 'mediating.steady')
    await echoes(consumer, 'line')
    await page.waitForSelector('[data-counter="connectionsTotal"][data-zero="false"]')
    await page.waitForSelector('[data-counter="bytesUp"][data-zero="false"]')
    await picture('real-daemon')

    world.ctrl.serve([])
    world.daemon.signal('SIGHUP')
    await lit(page, 'released')
    const moves = await page.locator('.entry[data-kind="transition"] .entry-what').allTextContents()
    for (const state of [
      'pending.waiting',
      'injecting.wanted',
      'mediating.steady',
      'tearing-down.closing',
      'released',
    ])
      assert.ok(
        moves.some(move => move.includes(state)),
        `${state} in ${moves.join('; ')}`,
      )
    await page.context().close()
  },
  { args: ['--inspect'], needs: canBrowse },
)

scenario(
  '`inspect` shows a daemon that runs already, by its control socket, and that it has ended',
  async (world, t) => {
    const { link, consumer } = await connectedPair(world, { service: 'echo' })
    await echoes(consumer, 'line')
    const { page } = await visit(t, await inspecting(t, world.daemon.control))
    await page.click(`.link-option[data-key="${link}"]`)
    await lit(page, 'mediating.steady')
    await page.waitForSelector('[data-counter="bytesUp"][data-zero="false"]')
    assert.match((await page.locator('.advice').first().textContent()) ?? '', /it works/)

    world.ctrl.serve([])
    world.daemon.signal('SIGHUP')
    await page.waitForSelector('.chosen[data-tone="absent"]')
    await world.daemon.stop()
    await page.waitForSelector('.mode[data-mode="lost"]')
    assert.match((await page.locator('.away').textContent()) ?? '', /ended|no daemon answers/)
    await page.context().close()
  },
  { needs: canBrowse },
)

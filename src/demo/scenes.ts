/**
 * Scenes of the demo, one for each type of link that does more than to pass what comes: something that is allowed, something that is not, and
 * another role. Each throws if what it shows did not come true.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import type { DaemonProcess } from './daemon-process.ts'
import { exampleFolder, programFile } from './program.ts'
import type { Screen } from './screen.ts'
import {
  CARD_LINK,
  DISPLAY_LINK,
  GREETER_LINK,
  POSTBOX,
  POSTBOX_LINK,
  RENDER_LINK,
  type Stage,
  WHO_LINK,
} from './stage.ts'

/** With it one can see what others show. */
const SCREENSHOOTER = 'weston_screenshooter'

/** Let the greeter's client ask, and show what it was answered; it ends with 0 if no lie of its was believed. */
const askAndShow = async (
  { consumer }: Stage,
  screen: Screen,
  words: readonly string[],
): Promise<readonly string[]> => {
  consumer.tell({ order: 'ask', words })
  const { code, lines } = await consumer.next('asked')
  for (const line of lines) screen.line('consumer', line)
  if (code !== 0) throw new Error(`the greeter's client ended with ${code}`)
  return lines
}

const expectAnswer = (lines: readonly string[], request: string, answer: string): void => {
  if (!lines.some(line => line.startsWith(request) && line.includes(answer)))
    throw new Error(`${request} should have been answered ${answer}`)
}

export const playRest = async (stage: Stage, screen: Screen, daemon: DaemonProcess): Promise<void> => {
  const { consumer, provider } = stage
  screen.step(
    `Pantavisor adds a link of type rest: HTTP, where every request says who sent it. ${consumer.name} is a reader, and lies.`,
  )
  const added = daemon.reaches(GREETER_LINK, 'mediating.steady')
  stage.roles = { ...stage.roles, greeter: 'reader' }
  await added
  const lines = await askAndShow(stage, screen, [])
  expectAnswer(lines, 'PUT /greeting', '403')
  // All but the last: that one is refused before anybody sees it.
  for (const _ of lines.slice(1)) {
    const { request } = await provider.next('saw')
    screen.line('provider', `saw ${request}`)
    if (!request.includes(`| X-PV-Client: ${consumer.name} | X-PV-Role: reader |`))
      throw new Error('the provider was told something else')
    if (/admin|root/.test(request)) throw new Error('a lie came through')
  }

  screen.step(`Pantavisor makes ${consumer.name} an admin: the same request is allowed.`)
  const renewed = daemon.reaches(GREETER_LINK, 'mediating.steady')
  stage.roles = { ...stage.roles, greeter: 'admin' }
  await renewed
  expectAnswer(
    await askAndShow(stage, screen, ['PUT', '/greeting', 'good day']),
    'PUT /greeting',
    '200 {"greeting":"good day"}',
  )
}

/** Let the postbox's client look around, ask, and try what it may not; it ends with 0 if it reached no other service. */
const visitAndShow = async ({ consumer }: Stage, screen: Screen): Promise<readonly string[]> => {
  consumer.tell({ order: 'visit' })
  const { code, lines } = await consumer.next('asked')
  for (const line of lines) screen.line('consumer', line)
  if (code !== 0) throw new Error(`the postbox's client ended with ${code}`)
  return lines
}

/** What `pv-xconnect policy explain` says of a letter from this role; it needs neither the bus nor the daemon. */
const explainAndShow = (role: string, screen: Screen): Promise<void> =>
  new Promise(resolve => {
    const args = [
      ...['policy', 'explain', '--provider-root', join(exampleFolder(), 'dbus/rootfs')],
      ...['--socket', '/run/postbox/bus', '--role', role],
      ...['--call', `${POSTBOX} / ${POSTBOX} Put`],
    ]
    // It ends with 1 where something is denied.
    execFile(process.execPath, [programFile(), ...args], (_denied, out) => {
      for (const line of out.trimEnd().split('\n')) screen.line('policy', line)
      resolve()
    })
  })

export const playDbus = async (stage: Stage, screen: Screen, daemon: DaemonProcess): Promise<void> => {
  const { consumer, provider } = stage
  /** Be somebody else, ask, and see what the service was told of it. */
  const visitAs = async (role: string, uid: number, callsThatReachIt: number) => {
    const mediating = daemon.reaches(POSTBOX_LINK, 'mediating.steady')
    stage.roles = { ...stage.roles, postbox: role }
    await mediating
    const lines = await visitAndShow(stage, screen)
    for (let call = 0; call < callsThatReachIt; call += 1) {
      const answered = await provider.next('answered')
      screen.line('provider', `answered ${answered.call}`)
      if (!answered.call.endsWith(`| uid ${uid}`))
        throw new Error('the bus takes the client for somebody else')
    }
    return lines
  }
  screen.step(
    `Pantavisor adds a link of type dbus: of a bus one service, ${POSTBOX}. ${consumer.name} says it is root; the bus sees nobody.`,
  )
  expectAnswer(await visitAs('any', 65534, 1), 'Postbox.Put', 'AccessDenied')
  screen.line('', 'the safe is hidden by the daemon; that nobody may put a letter is a rule of the bus:')
  await explainAndShow('any', screen)

  screen.step(
    `Pantavisor gives ${consumer.name} the role mail, a user of the provider: the bus takes its letter.`,
  )
  expectAnswer(await visitAs('mail', 8, 2), 'Postbox.Put', ' 1')
}

/** Let a client look at what the compositor has, and try to bind what only an admin may. */
const lookAndShow = async ({ consumer }: Stage, screen: Screen): Promise<readonly string[]> => {
  consumer.tell({ order: 'look', wanted: SCREENSHOOTER })
  const { code, lines } = await consumer.next('asked')
  const globals = lines.filter(line => /^\d+ \w+ \d+$/.test(line))
  screen.line('consumer', `sees ${globals.map(line => line.split(' ')[1]).join(', ')}`)
  for (const line of lines.slice(globals.length)) screen.line('consumer', line)
  if (code !== 0 || globals.length === 0) throw new Error(`the client ended with ${code}`)
  return lines
}

export const playWayland = async (stage: Stage, screen: Screen, daemon: DaemonProcess): Promise<void> => {
  const { consumer } = stage
  const become = async (role: string): Promise<void> => {
    const mediating = daemon.reaches(DISPLAY_LINK, 'mediating.steady')
    stage.roles = { ...stage.roles, display: role }
    await mediating
  }
  screen.step(
    `Pantavisor adds a link of type wayland: ${consumer.name} may show windows, and would like to take screenshots.`,
  )
  await become('any')
  const withheld = await lookAndShow(stage, screen)
  if (!withheld.some(line => line.startsWith(`refused: invalid global ${SCREENSHOOTER} `)))
    throw new Error('the bind should have been refused')

  screen.step(`Pantavisor makes ${consumer.name} an admin of the display: it sees and binds everything.`)
  await become('admin')
  const all = await lookAndShow(stage, screen)
  if (!all.includes(`${SCREENSHOOTER} is bound`)) throw new Error('the bind should have gone through')
}

/** Of the role, which is no user of the provider's. */
const NOBODY_IDS = 'uid 65534, gid 65534'

/** A link whose provider is told who comes: in words, and by the kernel. */
export const playIdentity = async (stage: Stage, screen: Screen, daemon: DaemonProcess): Promise<void> => {
  const { consumer } = stage
  screen.step(
    `Pantavisor adds a link of type unix whose provider asks who comes. ${consumer.name} is nobody there.`,
  )
  const added = daemon.reaches(WHO_LINK, 'mediating.steady')
  stage.roles = { ...stage.roles, who: 'nobody' }
  await added
  consumer.tell({ order: 'introduce' })
  const { lines } = await consumer.next('asked')
  for (const line of lines) screen.line('consumer', line)
  const [greeting = ''] = lines
  if (!greeting.includes(`"consumer":"${consumer.name}","role":"nobody"`))
    throw new Error('the provider was not greeted')
  if (!lines.every(line => line.startsWith('you are ') && line.includes(`${NOBODY_IDS};`)))
    throw new Error('the kernel told the provider something else')
}

/** See which graphics devices the consumer has now. */
const expectDevices = async ({ consumer }: Stage, screen: Screen, expected: string): Promise<void> => {
  consumer.tell({ order: 'devices' })
  const found = (await consumer.next('asked')).lines.join(', ')
  screen.line('consumer', `has ${found} in /dev/dri`)
  if (found !== expected) throw new Error(`it should have ${expected}`)
}

/** A card and a render node, to two roles. */
export const playDrm = async (stage: Stage, screen: Screen, daemon: DaemonProcess): Promise<void> => {
  const { consumer } = stage
  const become = async (role: string, gets: string, not: string): Promise<void> => {
    const changed = Promise.all([
      daemon.reaches(gets, 'mediating.steady'),
      daemon.reaches(not, 'pending.blocked'),
    ])
    stage.roles = { ...stage.roles, gpu: role }
    await changed
  }
  screen.step(`Pantavisor adds links of type drm to a card and a render node. ${consumer.name} may render.`)
  await become('render', RENDER_LINK, CARD_LINK)
  await expectDevices(stage, screen, 'renderD128')

  screen.step(`Pantavisor makes ${consumer.name} the master of the card: it gets that, and not the other.`)
  await become('master', CARD_LINK, RENDER_LINK)
  await expectDevices(stage, screen, 'card0')
}

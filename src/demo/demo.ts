/**
 * The demo: two containers that cannot see each other, the real daemon, and everything that can happen to a link, on
 * one screen. Owns what it starts and makes, and leaves nothing behind.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExitCode, Terminal } from '../cli/command.ts'
import { DemoContainer } from './containers.ts'
import { DaemonProcess, type LinkMoved } from './daemon-process.ts'
import { DISPLAY, ECHO, GREETER, hasCompositor, PROVIDER_FOLDER } from './peers.ts'

interface Stage {
  readonly folder: string
  readonly pvCtrl: string
  readonly control: string
  readonly consumer: DemoContainer
  readonly provider: DemoContainer
  readonly server: Server
  /** What Pantavisor assigns: each service, and the role in it. */
  roles: { readonly echo?: string; readonly greeter?: string; readonly display?: string }
}

const ECHO_LINK = `app/echo@${ECHO.consumer}`
const GREETER_LINK = `app/greeter@${GREETER.consumer}`
const DISPLAY_LINK = `app/display@${DISPLAY.consumer}`
/** With it one can see what others show. */
const SCREENSHOOTER = 'weston_screenshooter'

const graphOf = ({ consumer, provider, roles }: Stage): string => {
  const ends = {
    consumer: consumer.name,
    consumer_pid: consumer.pid,
    provider: provider.name,
    provider_pid: provider.pid,
  }
  const links = [
    { ...ends, type: 'unix', name: 'echo', role: roles.echo, socket: ECHO.provider, target: ECHO.consumer },
    {
      ...ends,
      type: 'rest',
      name: 'greeter',
      role: roles.greeter,
      socket: GREETER.provider,
      target: GREETER.consumer,
    },
    {
      ...ends,
      type: 'wayland',
      name: 'display',
      role: roles.display,
      socket: DISPLAY.provider,
      target: DISPLAY.consumer,
    },
  ]
  return JSON.stringify(links.filter(({ role }) => role !== undefined))
}

const setStage = async (): Promise<Stage> => {
  const folder = mkdtempSync(join(tmpdir(), 'pv-xconnect-demo-'))
  const stage: Stage = {
    folder,
    pvCtrl: join(folder, 'pv-ctrl'),
    control: join(folder, 'control.sock'),
    consumer: new DemoContainer('app', 'consumer', join(folder, 'app')),
    provider: new DemoContainer('svc', 'provider', join(folder, 'svc')),
    server: createServer((_request, response) => response.end(graphOf(stage))),
    roles: { echo: 'any' },
  }
  await new Promise<void>(resolve => stage.server.listen(stage.pvCtrl, resolve))
  return stage
}

const strike = async (stage: Stage, daemon: DaemonProcess | undefined): Promise<number | null> => {
  const code = daemon === undefined ? 0 : await daemon.end()
  await stage.consumer.kill()
  await stage.provider.kill()
  stage.server.close()
  stage.server.closeAllConnections()
  rmSync(stage.folder, { recursive: true })
  return code
}

/** What a person sees. */
class Screen {
  readonly #terminal: Terminal
  readonly #startedAt = Date.now()
  #step = 0

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  step(text: string): void {
    this.#step += 1
    this.#terminal.out(`\n${this.#step}. ${text}\n`)
  }

  line(who: string, text: string): void {
    const seconds = ((Date.now() - this.#startedAt) / 1000).toFixed(2).padStart(6)
    this.#terminal.out(`   ${seconds}s  ${who.padEnd(9)} ${text}\n`)
  }

  readonly moved = ({ link, to, reason }: LinkMoved): void =>
    this.line('link', `${link} is ${to} (${reason})`)
}

const sendAndShow = async ({ consumer, provider }: Stage, screen: Screen, text: string): Promise<string> => {
  consumer.tell({ order: 'echo', text })
  const got = await provider.next('got')
  screen.line(
    'provider',
    `got ${JSON.stringify(got.text)} and a memfd that holds ${JSON.stringify(got.memory)}`,
  )
  const answer = await consumer.next('answer')
  screen.line('consumer', `got ${JSON.stringify(answer.text)}`)
  if (got.text !== text || got.memory !== `memory of ${consumer.name}`)
    throw new Error('something else arrived')
  return answer.inode
}

const start = async (container: DemoContainer, screen: Screen): Promise<readonly string[]> => {
  const { host, sees } = await container.start()
  screen.line(
    container.name,
    `runs as pid ${container.pid}, host name ${host}, sees in /run: ${sees.join(', ') || 'nothing'}`,
  )
  return sees
}

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

const playRest = async (stage: Stage, screen: Screen, daemon: DaemonProcess): Promise<void> => {
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

const playWayland = async (stage: Stage, screen: Screen, daemon: DaemonProcess): Promise<void> => {
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

const play = async (stage: Stage, screen: Screen, begin: () => DaemonProcess): Promise<void> => {
  const { consumer, provider } = stage
  screen.step('Two containers, with a root, mounts, processes and a host name of their own.')
  await start(provider, screen)
  const sees = await start(consumer, screen)
  if (sees.length > 0) throw new Error(`${consumer.name} should see nothing yet`)
  screen.line(
    '',
    `${provider.name} listens at ${ECHO.provider}; in ${consumer.name} there is no ${PROVIDER_FOLDER}`,
  )

  screen.step(
    `Pantavisor says: ${consumer.name} may reach ${provider.name} at ${ECHO.consumer}. The daemon starts.`,
  )
  const daemon = begin()
  await daemon.reaches(ECHO_LINK, 'mediating.steady')

  screen.step('Bytes and a file descriptor go through the link.')
  const planted = await sendAndShow(stage, screen, 'hello through the wall')

  screen.step('The provider is killed and comes back: the consumer keeps its socket.')
  await provider.kill()
  screen.line(provider.name, 'killed')
  // The restarted one is what the graph names next; the link never leaves `mediating` for long.
  const changed = daemon.reaches(ECHO_LINK, 'mediating.steady')
  await start(provider, screen)
  await changed
  const kept = await sendAndShow(stage, screen, 'are you back?')
  if (kept !== planted) throw new Error('the consumer had to take another socket')
  screen.line('', `the consumer's socket is the same, inode ${kept}`)

  screen.step('The consumer is killed and comes back: the link is made anew.')
  const renewed = daemon.reaches(ECHO_LINK, 'tearing-down.renewing')
  await consumer.kill()
  screen.line(consumer.name, 'killed')
  await renewed
  const mediating = daemon.reaches(ECHO_LINK, 'mediating.steady')
  await start(consumer, screen)
  await mediating
  await sendAndShow(stage, screen, 'a new life')

  await playRest(stage, screen, daemon)
  if (hasCompositor()) await playWayland(stage, screen, daemon)
  else screen.line('', 'no Weston is installed here: links of type wayland are not shown')

  screen.step('Pantavisor withdraws the links: the sockets go.')
  const links = [ECHO_LINK, GREETER_LINK, ...(hasCompositor() ? [DISPLAY_LINK] : [])]
  const released = Promise.all(links.map(link => daemon.reaches(link, 'released')))
  stage.roles = {}
  await released
  consumer.tell({ order: 'echo', text: 'is anybody there?' })
  const refusal = await consumer.next('answer').then(
    () => 'still connected',
    (error: Error) => error.message,
  )
  if (!refusal.includes('ENOENT')) throw new Error(`the socket should be gone, but: ${refusal}`)
  screen.line('consumer', refusal)
}

/** What to type to look around. */
const invitation = (stage: Stage): string => {
  const file = join(stage.folder, 'graph.json')
  const client = `env XDG_RUNTIME_DIR=/tmp WAYLAND_DISPLAY=${DISPLAY.consumer} wayland-info`
  const display = hasCompositor() ? `  nsenter -t ${stage.consumer.pid} -m -p -u -i ${client}\n` : ''
  return `
It runs on, until Ctrl-C. To play with it:

  nsenter -t ${stage.consumer.pid} -m -p -u -i ls -l ${ECHO.consumer}   the consumer's view
  nsenter -t ${stage.consumer.pid} -m -p -u -i curl -i --unix-socket ${GREETER.consumer} -H 'X-PV-Role: root' http://svc/info
${display}  curl --unix-socket ${stage.pvCtrl} http://pv/xconnect-graph   the graph (a copy: ${file})
  pv-xconnect links --watch --control ${stage.control}
  pv-xconnect describe ${stage.consumer.name}/greeter --control ${stage.control}
  pv-xconnect graph --pv-ctrl ${stage.pvCtrl}
  kill -9 ${stage.provider.pid}   the provider; its connections end, the link stays
`
}

const keepRunning = async (stage: Stage, terminal: Terminal, stopped: Promise<unknown>): Promise<void> => {
  stage.roles = { echo: 'any', greeter: 'admin', ...(hasCompositor() ? { display: 'any' } : {}) }
  const file = join(stage.folder, 'graph.json')
  writeFileSync(`${file}.new`, graphOf(stage))
  renameSync(`${file}.new`, file)
  terminal.out(invitation(stage))
  await stopped
}

/** Play the demo; `keep` leaves it running until it is told to end. 0: all went as it should. */
export const runDemo = async (keep: boolean, terminal: Terminal): Promise<ExitCode> => {
  if (process.getuid?.() !== 0) {
    terminal.err(
      'pv-xconnect demo: needs root, to make containers and to enter them. Try: sudo pv-xconnect demo\n',
    )
    return 1
  }
  const screen = new Screen(terminal)
  const stage = await setStage()
  let daemon: DaemonProcess | undefined
  let failure: unknown
  const stopped = terminal.stopAsked()
  const interrupted = stopped.then(signal => Promise.reject(new Error(`interrupted by ${signal}`)))
  try {
    const played = play(stage, screen, () => {
      daemon = new DaemonProcess(stage.pvCtrl, stage.control, screen.moved)
      return daemon
    })
    // Interrupted, the play runs into the stage being struck under it; what it says then is of no interest.
    played.catch(() => undefined)
    await Promise.race([played, interrupted])
    if (keep) await keepRunning(stage, terminal, stopped)
    screen.step('The daemon is told to end, the containers are removed.')
  } catch (error) {
    failure = error
  }
  const code = await strike(stage, daemon)
  if (failure !== undefined || code !== 0) {
    const why = failure instanceof Error ? failure.message : `the daemon ended with ${code}`
    terminal.err(`\npv-xconnect demo: failed: ${why}\n`)
    return 1
  }
  terminal.out('\nDone: nothing is left behind.\n')
  return 0
}

/**
 * The demo: two containers that cannot see each other, the real daemon, and everything that can happen to a link, on
 * one screen. Owns what it starts and makes, and leaves nothing behind.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ExitCode, Terminal } from '../cli/command.ts'
import type { DemoContainer } from './containers.ts'
import { DaemonProcess } from './daemon-process.ts'
import { BUS, DISPLAY, ECHO, GREETER, hasBus, hasCompositor, hasPython, PROVIDER_FOLDER } from './places.ts'
import { playDbus, playDrm, playIdentity, playRest, playWayland } from './scenes.ts'
import { Screen } from './screen.ts'
import {
  CARD_LINK,
  DISPLAY_LINK,
  ECHO_LINK,
  GREETER_LINK,
  graphOf,
  POSTBOX,
  POSTBOX_LINK,
  type Stage,
  setStage,
  strike,
  WHO_LINK,
} from './stage.ts'

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
  if (hasBus()) await playDbus(stage, screen, daemon)
  else screen.line('', 'no dbus-daemon is installed here: links of type dbus are not shown')
  if (hasCompositor()) await playWayland(stage, screen, daemon)
  else screen.line('', 'no Weston is installed here: links of type wayland are not shown')
  if (hasPython()) await playIdentity(stage, screen, daemon)
  else screen.line('', 'no Python is installed here: who comes on a link of type unix is not shown')
  await playDrm(stage, screen, daemon)

  screen.step('Pantavisor withdraws the links: the sockets go, and the device.')
  const links = [
    ECHO_LINK,
    GREETER_LINK,
    ...(hasBus() ? [POSTBOX_LINK] : []),
    ...(hasCompositor() ? [DISPLAY_LINK] : []),
    ...(hasPython() ? [WHO_LINK] : []),
    CARD_LINK,
  ]
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
  const enter = `nsenter -t ${stage.consumer.pid} -m -p -u -i`
  const call = `dbus-send --bus=unix:path=${BUS.consumer} --print-reply --dest=${POSTBOX} / ${POSTBOX}.Count`
  const bus = hasBus() ? `  ${enter} ${call}\n` : ''
  const client = `env XDG_RUNTIME_DIR=/tmp WAYLAND_DISPLAY=${DISPLAY.consumer} wayland-info`
  const display = hasCompositor() ? `  ${enter} ${client}\n` : ''
  return `
It runs on, until Ctrl-C. To play with it:

  ${enter} ls -l ${ECHO.consumer}   the consumer's view
  ${enter} curl -i --unix-socket ${GREETER.consumer} -H 'X-PV-Role: root' http://svc/info
${bus}${display}  curl --unix-socket ${stage.pvCtrl} http://pv/xconnect-graph   the graph (a copy: ${file})
  pv-xconnect links --watch --control ${stage.control}
  pv-xconnect describe ${stage.consumer.name}/greeter --control ${stage.control}
  pv-xconnect graph --pv-ctrl ${stage.pvCtrl}
  kill -9 ${stage.provider.pid}   the provider; its connections end, the link stays
`
}

const keepRunning = async (stage: Stage, terminal: Terminal, stopped: Promise<unknown>): Promise<void> => {
  stage.roles = {
    echo: 'any',
    greeter: 'admin',
    ...(hasBus() ? { postbox: 'mail' } : {}),
    ...(hasCompositor() ? { display: 'any' } : {}),
    ...(hasPython() ? { who: 'nobody' } : {}),
    gpu: 'render',
  }
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

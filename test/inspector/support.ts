/** An inspector over a daemon without containers, and requests to it as no browser would send them. */
import { readFileSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { basename } from 'node:path'
import { linkMachine } from '../../machines/link.machine.ts'
import { BUILT_IN } from '../../src/built-in.ts'
import { adviceFor } from '../../src/control/advice.ts'
import { createHistory } from '../../src/control/history.ts'
import { type Controller, createController } from '../../src/controller/controller.ts'
import type { LinkView } from '../../src/controller/links.ts'
import { E } from '../../src/fp.ts'
import type { Subject } from '../../src/inspector/contract.ts'
import { createDaemonSubject } from '../../src/inspector/daemon-subject.ts'
import { ofTransition } from '../../src/inspector/happenings.ts'
import { definitionOf } from '../../src/inspector/machine-definition.ts'
import { createReplaySubject } from '../../src/inspector/replay-subject.ts'
import { type Inspector, type InspectorOptions, openInspector } from '../../src/inspector/server.ts'
import { createTap } from '../../src/inspector/tap.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import { keyOf, type Link } from '../../src/model/link.ts'
import { createCatalogue } from '../../src/plugin/catalogue.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import { nodeClock } from '../../src/reactor/timer-wheel.ts'
import { parseRecording } from '../../src/record/parse.ts'
import { openReplay } from '../../src/replay/replay.ts'
import { aView } from '../control/support.ts'
import {
  type FakeEnvironment,
  type FakeSource,
  type FakeWorld,
  fakeEnvironment,
  fakeLog,
  fakePlugin,
  fakeSource,
  fakeWorld,
  settled,
} from '../support/fakes.ts'

const PAGE_FOLDER = 'dist/inspector'

export const LINK_MACHINE = definitionOf(linkMachine({ now: () => 0, random: () => 0 }))

/** A link as the controller shows it, up. */
export const viewOf = (link: Link): LinkView => {
  const view = aView()
  const desired = { ...view.desired, key: keyOf(link), link }
  return {
    ...view,
    key: keyOf(link),
    desired,
    context: { ...view.context, key: keyOf(link), wanted: desired },
  }
}

export interface SimulatedDaemon {
  readonly controller: Controller
  readonly env: FakeEnvironment
  readonly source: FakeSource
  readonly world: FakeWorld
  readonly subject: Subject
  /** The graph from now on, and a pass over it. */
  shows(links: readonly Link[]): Promise<void>
}

/** The real controller and machines in a world of maps, begun; the inspector's own clock is the real one. */
export const simulatedDaemon = (plugin: Partial<Plugin> = {}): SimulatedDaemon => {
  const env = { ...fakeEnvironment(), wallClock: Date.now }
  const source = fakeSource()
  const log = fakeLog()
  const world = fakeWorld(log)
  const tap = createTap()
  const controller = createController({
    env,
    source,
    host: world.host,
    plugins: createCatalogue({
      unix: async () => ({ default: fakePlugin('unix', plugin) }),
      rest: async () => ({ default: fakePlugin('rest', plugin) }),
    }),
    limits: DEFAULT_LIMITS,
    log,
    intervalMs: null,
    inspect: tap.inspect,
  })
  const history = createHistory()
  controller.onTransition(history.note)
  const subject = createDaemonSubject({
    about: { mode: 'live', subject: '/run/pv-xconnect/control.sock', version: '0.0.0' },
    controller,
    tap,
    history,
    conditions: () => controller.conditions(),
    advice: view =>
      adviceFor(view, {
        conditions: controller.conditions(),
        policyPath: '/etc/policy.json',
        now: Date.now(),
      }),
    past: () => [],
    listen: listener => controller.onTransition(transition => listener(ofTransition(transition))),
    clock: nodeClock,
    wallClock: Date.now,
  })
  controller.start()
  return {
    controller,
    env,
    source,
    world,
    subject,
    shows: async links => {
      source.says({ links, rejected: [] })
      await controller.kick('asked')
      await settled()
    },
  }
}

/** A recording of the repository, replayed. */
export const recordedSubject = async (file: string): Promise<Subject> => {
  const recording = parseRecording(readFileSync(file, 'utf8'))
  if (E.isLeft(recording)) throw new Error(JSON.stringify(recording.left))
  const plugins = createCatalogue(BUILT_IN)
  await plugins.load(Object.keys(BUILT_IN))
  const replay = openReplay(recording.right, plugins)
  return createReplaySubject({ replay, name: basename(file), version: '0.0.0', definition: '{}' })
}

export const inspectorOver = async (
  subject: Subject,
  changes: Partial<InspectorOptions> = {},
): Promise<Inspector> => {
  const opened = await openInspector({
    subject,
    machine: LINK_MACHINE,
    address: { host: '127.0.0.1', port: 0 },
    pageFolder: PAGE_FOLDER,
    log: fakeLog(),
    ...changes,
  })
  if (E.isLeft(opened)) throw new Error(JSON.stringify(opened.left))
  return opened.right
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** One request with exactly these headers; `Host` is Node's own unless it is among them. */
export const ask = (
  url: string,
  {
    method = 'GET',
    headers = {},
  }: { readonly method?: string; readonly headers?: Record<string, string> } = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const asked = request(url, { method, headers, agent: false }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      )
    })
    asked.on('error', reject)
    asked.end()
  })

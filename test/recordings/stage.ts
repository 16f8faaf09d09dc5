/**
 * Where recordings are made: a real daemon with `--record`, real containers, and a Pantavisor that says what the situation
 * wants. What a recording tells of this machine alone (paths, pids, the time of day) is put in other words afterwards, so
 * that making them again changes as little as can be.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Container, type ContainerOptions, startContainer } from '../support/container.ts'
import { type Daemon, startDaemon } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import { type PvCtrl, pvCtrlAt } from '../support/pv-ctrl.ts'

export interface Stage {
  readonly ctrl: PvCtrl
  readonly daemon: Daemon
  readonly container: (name: string, options?: ContainerOptions) => Promise<Container>
  readonly writePolicy: (policy: unknown) => void
  /** The path of a file that the situation may use. */
  readonly scratch: (name: string) => string
}

export interface Situation {
  /** Of the file, without its suffix. */
  readonly name: string
  /** The daemon's own arguments. */
  readonly args?: readonly string[]
  /** What is there before the daemon starts. */
  readonly policy?: unknown
  readonly play: (stage: Stage) => Promise<void>
  /** Another file that holds the recording, below the stage's folder; absent: the daemon's own. */
  readonly file?: string
}

const INTERVAL_MS = 200
const STARTED_AT = '2030-01-01T00:00:00.000Z'
const FIRST_PID = 101

/** The recording of a situation, as text. */
export const recordingOf = async ({
  play,
  args = [],
  policy,
  file = 'daemon.rec',
}: Situation): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), 'pvx-recording-'))
  const ctrl = pvCtrlAt(join(folder, 'pv-ctrl'))
  const containers: Container[] = []
  const policyPath = join(folder, 'policy.json')
  const writePolicy = (next: unknown): void =>
    writeFileSync(policyPath, typeof next === 'string' ? next : JSON.stringify(next))
  if (policy !== undefined) writePolicy(policy)
  await ctrl.listen()
  const daemon = startDaemon({
    pvCtrl: ctrl.path,
    logFile: join(folder, 'log'),
    intervalMs: INTERVAL_MS,
    policy: policyPath,
    args: ['--record', join(folder, 'daemon.rec'), ...args],
  })
  try {
    await eventually('the daemon asks for the graph', () => ctrl.asked() > 0)
    await play({
      ctrl,
      daemon,
      writePolicy,
      scratch: name => join(folder, name),
      container: async (name, options) => {
        const container = await startContainer(name, folder, options)
        containers.push(container)
        return container
      },
    })
    if (daemon.isRunning()) await daemon.stop()
    const pids = new Map(containers.map(({ pid }, index) => [pid, FIRST_PID + index]))
    return inOtherWords(readFileSync(join(folder, file), 'utf8'), folder, daemon.pid, pids)
  } finally {
    if (daemon.isRunning()) daemon.signal('SIGKILL')
    await daemon.ended()
    await Promise.all(containers.map(container => container.kill()))
    await ctrl.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const inOtherWords = (
  text: string,
  folder: string,
  daemonPid: number,
  pids: ReadonlyMap<number, number>,
): string => {
  const [first = '', ...lines] = text.trimEnd().split('\n')
  const header: unknown = JSON.parse(first)
  const others = [
    JSON.stringify({ ...(isObject(header) ? header : {}), startedAt: STARTED_AT }).replace(
      `"pid":${daemonPid}`,
      '"pid":100',
    ),
    ...lines.map(line => withPids(line, pids)),
  ]
  return `${others.join('\n').replaceAll(folder, '/run/pantavisor')}\n`
}

/** Also within the body of a graph, which is JSON in a string. */
const withPids = (line: string, pids: ReadonlyMap<number, number>): string =>
  line.replace(/((?:consumer_|provider_)?pid\\*":"?|process )(\d+)/g, (_, before: string, pid: string) => {
    const other = pids.get(Number(pid))
    return `${before}${other ?? pid}`
  })

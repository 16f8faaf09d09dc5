/** The daemon of a soak, over all its lives: what it says, and what the kernel says about it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Daemon, following, startDaemon } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import { nap } from './clock.ts'
import { DaemonLog } from './daemon-log.ts'
import { Violation } from './ledger.ts'
import { OLDER_RECORDINGS, RECORDING_BYTES } from './recordings.ts'

const STARTS_WITHIN_MS = 30_000
/** Draining gives connections a second, and teardown itself two more; a loaded machine needs as much again, and again. */
const LONGEST_DRAIN_MS = 20_000

const LOOKS = 40
const LOOK_EVERY_MS = 10

/** Small, so that an answer which is too large can be had cheaply. */
export const MOST_GRAPH_BYTES = 256 * 1024

/** Nanoseconds that its threads have run (`/proc/PID/schedstat`, Documentation/scheduler/sched-stats.rst). */
const runNs = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`).reduce((sum, task) => {
    const [ns = '0'] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')
    return sum + Number(ns)
  }, 0)

export class SoakDaemon {
  readonly #folder: string
  readonly #pvCtrl: string
  readonly #logs: string[] = []
  readonly #recordings: string[] = []
  #life: Daemon | undefined
  #log = new DaemonLog()
  #newLines: () => readonly string[] = () => []
  #loudBefore = 0
  /** Somebody is ending it on purpose. */
  #mayEnd = false

  constructor(folder: string, pvCtrl: string) {
    this.#folder = folder
    this.#pvCtrl = pvCtrl
  }

  get #now(): Daemon {
    if (this.#life === undefined) throw new Error('the daemon was never started')
    return this.#life
  }

  get lives(): number {
    return this.#logs.length
  }

  get logFiles(): readonly string[] {
    return this.#logs
  }

  /** The newest of each life; those that it followed are beside it. */
  get recordings(): readonly string[] {
    return this.#recordings
  }

  get pid(): number {
    return this.#now.pid
  }

  /** The path of its control socket. */
  get control(): string {
    return this.#now.control
  }

  /** Returns when it listens to signals: one that comes before ends it at once. */
  async start(): Promise<void> {
    this.look()
    this.#loudBefore += this.#log.loud
    const logFile = join(this.#folder, `daemon-${this.#logs.length + 1}.log`)
    this.#logs.push(logFile)
    const recording = join(this.#folder, `recording-${this.#logs.length}.jsonl`)
    this.#recordings.push(recording)
    this.#life = startDaemon({
      pvCtrl: this.#pvCtrl,
      logFile,
      args: [
        ...['--max-graph-bytes', `${MOST_GRAPH_BYTES}`],
        ...['--record', recording, '--record-max-bytes', `${RECORDING_BYTES}`],
        ...['--record-older', `${OLDER_RECORDINGS}`],
      ],
      // With a young generation of its usual size tens of megabytes are garbage that nobody has looked at.
      nodeArgs: ['--max-semi-space-size=1'],
    })
    this.#log = new DaemonLog()
    this.#newLines = following(logFile)
    this.#mayEnd = false
    await eventually(
      'the daemon says that it has started',
      () => {
        this.look()
        return this.#log.lastLines.length > 0
      },
      STARTS_WITHIN_MS,
    )
  }

  /** Take in what it has said since. */
  readOn(): void {
    this.#log.take(this.#newLines())
  }

  /** The same; throws a violation for what it should never say, and where it has ended by itself. */
  look(): void {
    this.readOn()
    const [problem] = this.#log.problems
    if (problem !== undefined) throw new Violation(`the daemon said what it never should: ${problem}`)
    if (this.#life === undefined) return
    if (this.#life.complaints() !== '')
      throw new Violation(`the daemon complained: ${this.#life.complaints()}`)
    if (!this.#mayEnd && !this.#life.isRunning()) throw new Violation('the daemon has ended by itself')
  }

  /** As it was at the last look. */
  get log(): DaemonLog {
    return this.#log
  }

  /** Lines at `info` and above, in all its lives. */
  get loudLines(): number {
    return this.#loudBefore + this.#log.loud
  }

  get runs(): boolean {
    return this.#life?.isRunning() === true
  }

  hangUp(): void {
    this.#now.signal('SIGHUP')
  }

  async kill(): Promise<void> {
    this.#mayEnd = true
    this.#now.signal('SIGKILL')
    await this.#now.ended()
  }

  /** SIGTERM; it must end well. */
  async drain(): Promise<void> {
    this.#mayEnd = true
    this.#now.signal('SIGTERM')
    const code = await this.#now.ended(LONGEST_DRAIN_MS)
    if (code !== 0) throw new Violation(`the daemon drained and ended with ${code}`)
  }

  /** All but its log and its recording, which have other names in each life. */
  get descriptors(): readonly string[] {
    const own = [...this.#logs, ...this.#recordings]
    return this.#now.descriptors().filter(each => !own.includes(each))
  }

  /** Of several looks the one with the fewest: those of reading the graph come and go. */
  async fewestDescriptors(): Promise<readonly string[]> {
    let fewest = this.descriptors
    for (let look = 0; look < LOOKS; look += 1) {
      await nap(LOOK_EVERY_MS)
      if (this.descriptors.length < fewest.length) fewest = this.descriptors
    }
    return fewest
  }

  /** Kilobytes. */
  get anonymousMemory(): number {
    const status = readFileSync(`/proc/${this.#now.pid}/status`, 'utf8')
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1])
  }

  /** Until it has used less than so much of a processor for a while; rejects if it never does. */
  async isIdle(most: number, windowMs: number, deadlineMs: number): Promise<number> {
    return eventually(
      `the daemon uses less than ${most * 100} % of a processor`,
      async () => {
        const before = { ns: runNs(this.#now.pid), at: performance.now() }
        await nap(windowMs)
        const load = (runNs(this.#now.pid) - before.ns) / 1e6 / (performance.now() - before.at)
        if (load < most) return load
        throw new Error(`it uses ${Math.round(load * 100)} %`)
      },
      deadlineMs,
    )
  }
}

/** The real daemon as a child process of the demo, and its log as a stream of link transitions. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { programFile } from './program.ts'

/** One line of the daemon's log that tells of a link. */
export interface LinkMoved {
  readonly link: string
  readonly to: string
  readonly reason: string
}

const linkMoved = (line: string): LinkMoved | undefined => {
  const entry: Record<string, unknown> = JSON.parse(line)
  const { link, to, reason } = entry
  if (typeof link !== 'string' || typeof to !== 'string') return undefined
  return { link, to, reason: String(reason ?? '') }
}

export class DaemonProcess {
  readonly #process: ChildProcessWithoutNullStreams
  readonly #onMoved: (moved: LinkMoved) => void
  #waiting: { readonly reached: (moved: LinkMoved) => boolean; readonly resolve: () => void }[] = []
  readonly exited: Promise<number | null>

  constructor(pvCtrl: string, control: string, onMoved: (moved: LinkMoved) => void) {
    this.#onMoved = onMoved
    // In a process group of its own: Ctrl-C is for the demo, which ends its daemon with SIGTERM.
    this.#process = spawn(
      process.execPath,
      [
        programFile(),
        'daemon',
        ...['--pv-ctrl', pvCtrl],
        ...['--control', control],
        // A journal of its own: the machine's may be in use.
        ...['--journal', `${pvCtrl}.journal`],
        ...['--interval', '200'],
      ],
      { detached: true },
    )
    this.#process.stderr.pipe(process.stderr)
    this.exited = new Promise(resolve => this.#process.once('exit', resolve))
    createInterface({ input: this.#process.stdout }).on('line', line => {
      const moved = linkMoved(line)
      if (moved !== undefined) this.#tell(moved)
    })
  }

  #tell(moved: LinkMoved): void {
    this.#onMoved(moved)
    const reached = this.#waiting.filter(waiting => waiting.reached(moved))
    this.#waiting = this.#waiting.filter(waiting => !reached.includes(waiting))
    for (const waiting of reached) waiting.resolve()
  }

  /** Resolves when the link comes to this state from now on. */
  reaches(link: string, state: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${link} did not come to ${state} in time`)), 10_000)
      // The children keep the process alive; a wait that was given up must not.
      timer.unref()
      this.#waiting.push({
        reached: moved => moved.link === link && moved.to === state,
        resolve: () => {
          clearTimeout(timer)
          resolve()
        },
      })
    })
  }

  /** SIGTERM, and the exit code. */
  async end(): Promise<number | null> {
    this.#process.kill('SIGTERM')
    return this.exited
  }
}

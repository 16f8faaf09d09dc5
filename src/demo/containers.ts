/** The demo's containers from outside: started, talked to, killed; one owner for their processes and folders. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Order, PeerEvent } from './peer.ts'
import { programFile } from './program.ts'

type EventOf<K extends PeerEvent['event']> = Extract<PeerEvent, { readonly event: K }>

export class DemoContainer {
  readonly name: string
  readonly #role: 'consumer' | 'provider'
  readonly #root: string
  #process: ChildProcessWithoutNullStreams | undefined
  #events: PeerEvent[] = []
  #wake: () => void = () => undefined
  /** Of its pid 1, as the host counts; -1 while it does not run, as Pantavisor says it. */
  pid = -1

  constructor(name: string, role: 'consumer' | 'provider', root: string) {
    this.name = name
    this.#role = role
    this.#root = root
  }

  async start(): Promise<EventOf<'ready'>> {
    mkdirSync(this.#root, { recursive: true })
    this.#events = []
    // In a process group of its own: Ctrl-C is for the demo, which ends its containers in order.
    this.#process = spawn(
      process.execPath,
      [programFile(), 'demo', 'inside', 'make', this.name, this.#root, this.#role],
      { detached: true },
    )
    this.#process.stderr.pipe(process.stderr)
    createInterface({ input: this.#process.stdout }).on('line', line => {
      this.#events.push(JSON.parse(line) as PeerEvent)
      this.#wake()
    })
    this.#process.once('exit', code => {
      this.#events.push({ event: 'failed', why: `ended with ${code}` })
      this.#wake()
    })
    const made = await this.next('container')
    this.pid = made.pid
    return this.next('ready')
  }

  /** The next event of this kind; those before it are passed over, except a failure, which throws. */
  async next<K extends PeerEvent['event']>(kind: K): Promise<EventOf<K>> {
    const deadline = Date.now() + 10_000
    for (;;) {
      const event = this.#events.shift()
      if (event === undefined) {
        if (Date.now() > deadline) throw new Error(`${this.name} did not report "${kind}" in time`)
        await this.#moreEvents()
      } else if (event.event === kind) {
        return event as EventOf<K>
      } else if (event.event === 'failed') {
        throw new Error(`${this.name}: ${event.why}`)
      }
    }
  }

  #moreEvents(): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, 500)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  tell(order: Order): void {
    this.#process?.stdin.write(`${JSON.stringify(order)}\n`)
  }

  /** SIGKILL to its pid 1, which takes the whole container with it; or to its maker, if it is not made yet. */
  async kill(): Promise<void> {
    const child = this.#process
    const pid = this.pid
    this.pid = -1
    this.#process = undefined
    // One that has ended has given its number back.
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise(resolve => child.once('close', resolve))
    if (pid < 0) child.kill('SIGKILL')
    else process.kill(pid, 'SIGKILL')
    await ended
  }
}

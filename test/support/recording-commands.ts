/**
 * The session seam without any socket: feeds a session as the relay does, and records where bytes and descriptors go.
 * Descriptors are plain numbers here, each with the position of the byte it belongs to; the clock only goes when told to.
 * `queued` ones are in a line beside the bytes instead: no byte that passes takes any along.
 *
 * As strict as the relay, or stricter: what a session was shown is overwritten as soon as the call is over, a side that is
 * paused is not read, what is left is offered again with more or after `resume`, and a full buffer that nothing is taken
 * from is an error. After a close nothing is told any more, but that lingering took too long.
 */
import type {
  ByteView,
  Commands,
  CommonCounter,
  DialError,
  DialIdentity,
  DialledAs,
  FdTokens,
  Figure,
  Histogram,
  Session,
  SessionFactory,
  SessionInput,
  Side,
} from '../../src/relay/contract.ts'
import { SessionTimers } from './session-timers.ts'

const opposite = (side: Side): Side => (side === 'consumer' ? 'provider' : 'consumer')
const SIDES = ['consumer', 'provider'] as const

/** Room for one read and what was left of those before, as in the relay. */
const INPUT_BYTES = 256 * 1024
/** How long a lingering close waits for the consumer's end. */
const LINGER_MS = 5000
const NOTHING = Buffer.alloc(0)
/** The relay's own timer: no session can name it. */
const WAKING = '\0waking'

interface Pending {
  /** Shown to the session and not consumed. */
  left: Buffer
  /** Not read yet. */
  queued: Buffer
  fds: { readonly fd: number; at: number }[]
  opaque: number
  paused: boolean
  /** What is left has to be offered without waiting for more. */
  again: boolean
  end: 'none' | 'half' | 'full' | 'told'
  movedAt: number
}

const nothing = (): Pending => ({
  left: NOTHING,
  queued: NOTHING,
  fds: [],
  opaque: 0,
  paused: false,
  again: false,
  end: 'none',
  movedAt: 0,
})

interface Output {
  readonly parts: Buffer[]
  length: number
  readonly fds: [number, number][]
  /** It takes nothing any more, and what is written to it is lost. */
  broken: boolean
  /** The other end has seen the end of the stream. */
  ended: boolean
}

const empty = (): Output => ({ parts: [], length: 0, fds: [], broken: false, ended: false })

export interface Delivered {
  readonly text: string
  /** Descriptors by the position of their byte. */
  readonly fds: readonly (readonly [number, number])[]
}

export interface Report {
  readonly event: string
  readonly facts: Readonly<Record<string, string | number>>
}

export interface Recording {
  /** Default: at once. */
  readonly dials?: 'at once' | 'when told'
  /** `queued`: descriptors are a line beside the bytes. Default: `exact`. */
  readonly descriptors?: 'exact' | 'queued'
  /** Whom a provider sees that is not dialled as the daemon. */
  readonly as?: DialledAs
}

export class RecordingCommands implements Commands {
  readonly #session: Session
  readonly #dialsAtOnce: boolean
  readonly #queues: boolean
  readonly #as: DialledAs
  #dialledAs: DialledAs | undefined
  #isOver = false
  readonly #input: Readonly<Record<Side, Pending>> = { consumer: nothing(), provider: nothing() }
  readonly #output: Readonly<Record<Side, Output>> = { consumer: empty(), provider: empty() }
  readonly #timers = new SessionTimers(from =>
    from === 'either'
      ? Math.max(this.#input.consumer.movedAt, this.#input.provider.movedAt)
      : this.#input[from].movedAt,
  )
  /** What is being shown, from `#seen` on still to be consumed. */
  #shown = new Uint8Array(0)
  #seen = 0
  #offered: Side | undefined
  #now = 0
  #dial: 'none' | 'asked' | 'reached' | 'failed' = 'none'
  #lingersUntil: number | undefined
  #runs = false
  /** Everything but bytes, in order: `dial daemon`, `timer wake 5`, … */
  readonly said: string[] = []
  readonly dropped: number[] = []
  /** By name and labels: `errors status=400 reason=host`. */
  readonly counted = new Map<string, number>()
  readonly reports: Report[] = []
  /** The first close that was asked for. */
  closing: 'now' | 'flush' | 'linger' | undefined

  constructor(
    session: Session | SessionFactory,
    uid: number,
    { dials = 'at once', descriptors = 'exact', as = { uid: 1000, gid: 1000 } }: Recording = {},
  ) {
    this.#session = typeof session === 'function' ? session({ wake: () => this.wake() }) : session
    this.#dialsAtOnce = dials === 'at once'
    this.#queues = descriptors === 'queued'
    this.#as = as
    this.#tell({ kind: 'opened', peer: { pid: 1, uid, gid: uid } })
    this.#run()
  }

  get closed(): boolean {
    return this.closing !== undefined
  }

  /** The provider is asked for, and did not answer yet. */
  get dialling(): boolean {
    return this.#dial === 'asked' && !this.closed
  }

  get reached(): boolean {
    return this.#dial === 'reached'
  }

  /** What the side has got, or gets as soon as it is reached. */
  delivered(to: Side): Delivered {
    const { fds } = this.#output[to]
    return { text: this.bytesTo(to).toString(), fds }
  }

  bytesTo(to: Side): Buffer {
    const isLost =
      this.#dial === 'failed' || (this.#dial !== 'reached' && this.closed && this.closing !== 'flush')
    if (to === 'provider' && isLost) return NOTHING
    const output = this.#output[to]
    if (output.parts.length > 1) output.parts.splice(0, output.parts.length, Buffer.concat(output.parts))
    return output.parts[0] ?? NOTHING
  }

  /** The side has seen the end of what is written to it. */
  hasEnded(to: Side): boolean {
    return this.closed || this.#output[to].ended
  }

  /** How many timers run. */
  get timers(): number {
    return this.#timers.size
  }

  // What happens to the session.

  /** Bytes arrive, descriptors with the first of them. */
  arrive(from: Side, bytes: Uint8Array, fds: readonly number[] = []): void {
    const input = this.#input[from]
    if (input.end !== 'none' || this.closed) return
    const at = input.left.length + input.queued.length
    input.fds.push(...fds.map(fd => ({ fd, at })))
    input.queued = input.queued.length === 0 ? Buffer.from(bytes) : Buffer.concat([input.queued, bytes])
    this.#run()
  }

  /** A side says that it has nothing more to say; `fully`: it is gone. */
  end(from: Side, fully = false): void {
    const input = this.#input[from]
    if (input.end === 'none' || (fully && input.end === 'half')) input.end = fully ? 'full' : 'half'
    if (fully) this.breaks(from)
    if (from === 'consumer') this.#lingersUntil = undefined
    this.#run()
  }

  /** A side takes nothing any more, though what it said may still wait to be read. */
  breaks(to: Side): void {
    const output = this.#output[to]
    if (output.broken || (to === 'provider' && this.#dial !== 'reached')) return
    output.broken = true
    // Where all passes unseen, the relay sees to ends too.
    if (this.#input[opposite(to)].opaque !== Number.POSITIVE_INFINITY) this.#tell({ kind: 'broken', to })
    this.#run()
  }

  /** How the dial ended. */
  dialled(failed?: DialError): void {
    if (!this.dialling) throw new Error('nobody was dialled')
    this.#dial = failed === undefined ? 'reached' : 'failed'
    if (failed !== undefined) this.#tell({ kind: 'dialled', failed })
    else if (this.#dialledAs !== undefined) this.#tell({ kind: 'dialled', as: this.#dialledAs })
    else this.#tell({ kind: 'dialled' })
    this.#run()
  }

  /** It is told soon: with the next time that passes, however little. */
  wake(): void {
    if (!this.closed && !this.#isOver) this.#timers.set(WAKING, this.#now, 0)
  }

  /** The relay ends the connection by itself. */
  cut(): void {
    this.closing ??= 'now'
    this.#end()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#session.closed?.()
  }

  withdraw(): void {
    this.#tell({ kind: 'withdrawn' })
    this.#run()
  }

  /** Time passes, and the timers that are due by then ring. */
  elapse(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const next = this.#timers.next()
      if (this.closed || next === undefined || next.at > until) break
      this.#now = Math.max(this.#now, next.at)
      this.#timers.clear(next.name)
      this.#tell(next.name === WAKING ? { kind: 'woken' } : { kind: 'timer', name: next.name })
      this.#run()
    }
    this.#now = until
    if (this.#lingersUntil === undefined || this.#lingersUntil > until) return
    this.#lingersUntil = undefined
    this.#session.on({ kind: 'linger-over' }, this)
    this.#end()
  }

  // How the relay goes about it.

  #tell(input: SessionInput): void {
    if (!this.closed) this.#session.on(input, this)
  }

  #reads(from: Side): boolean {
    const { paused, again, opaque, left } = this.#input[from]
    if (this.closed || paused || again) return false
    // Bytes that nobody looks at have nowhere to wait until the provider is there.
    return !(opaque > 0 && left.length === 0 && this.#dial !== 'reached')
  }

  /** Until nothing moves. */
  #run(): void {
    if (this.#runs) return
    this.#runs = true
    try {
      while (SIDES.some(side => this.#step(side)) || this.#answersDial());
    } finally {
      this.#runs = false
    }
    if (this.closing === 'now' || this.closing === 'flush') this.#end()
  }

  #answersDial(): boolean {
    if (!this.#dialsAtOnce || !this.dialling) return false
    this.dialled()
    return true
  }

  #step(from: Side): boolean {
    const input = this.#input[from]
    if (this.closed) return false
    if (input.again && !input.paused) {
      input.again = false
      if (input.left.length > 0) this.#process(from, input, input.left)
      return true
    }
    if (!this.#reads(from)) return false
    if (input.queued.length > 0) {
      const room = INPUT_BYTES - input.left.length
      if (room === 0) throw new Error('the session left a full buffer unconsumed')
      input.movedAt = this.#now
      const come = input.queued.subarray(0, room)
      input.queued = input.queued.subarray(come.length)
      this.#process(from, input, Buffer.concat([input.left, come]))
      return true
    }
    if (input.end === 'none' || input.end === 'told') return false
    const fully = input.end === 'full'
    input.end = 'told'
    if (input.opaque === Number.POSITIVE_INFINITY) this.endWrite(opposite(from))
    else this.#tell({ kind: 'ended', from, fully })
    return true
  }

  #process(from: Side, input: Pending, bytes: Buffer): void {
    // A copy, so that it can be overwritten: the session may not look at it later. No Buffer, whose `slice` is another.
    this.#shown = Uint8Array.from(bytes)
    this.#seen = 0
    this.#offered = from
    input.left = NOTHING
    while (this.#seen < bytes.length && !input.paused && !this.closed) {
      const before = this.#seen
      if (input.opaque > 0) {
        const passing = Math.min(input.opaque, bytes.length - before)
        input.opaque -= passing
        this.#pass(from, passing, this.#queues ? 0 : input.fds.filter(({ at }) => at < passing).length)
      } else {
        const view = this.#shown.subarray(before)
        const fds = this.#fdsOf(input, view.length)
        this.#session.on({ kind: 'bytes', from, view, fds }, this)
        if (this.#seen === before && input.opaque === 0 && !input.again) break
        input.again = false
      }
    }
    input.left = this.closed ? NOTHING : bytes.subarray(this.#seen)
    this.#shown.fill(0xee)
    this.#shown = new Uint8Array(0)
    this.#offered = undefined
  }

  /** Queued ones are there as soon as their byte is, and belong to none. */
  #fdsOf({ fds }: Pending, shown: number): FdTokens {
    if (!this.#queues) return { count: fds.length, at: fds[0]?.at ?? 0 }
    return { count: fds.filter(({ at }) => at < shown).length, at: 0 }
  }

  #take(from: Side, bytes: number, fds: number): readonly [Uint8Array, readonly number[]] {
    const input = this.#input[from]
    const isThere = bytes === 0 || (this.#offered === from && this.#seen + bytes <= this.#shown.length)
    if (!isThere || bytes < 0 || fds > input.fds.length) throw new Error('more than there is was taken')
    const taken = input.fds.splice(0, fds).map(({ fd }) => fd)
    const head = this.#shown.subarray(this.#seen, this.#seen + bytes)
    this.#seen += bytes
    for (const entry of input.fds) entry.at = Math.max(0, entry.at - bytes)
    return [head, taken]
  }

  #deliver(to: Side, bytes: Uint8Array, fds: readonly number[]): void {
    const output = this.#output[to]
    if (this.closed || output.ended) throw new Error(`bytes for the ${to} after its end`)
    if (output.broken || (to === 'provider' && this.#dial === 'failed')) return
    for (const fd of fds) output.fds.push([output.length, fd])
    output.parts.push(Buffer.from(bytes))
    output.length += bytes.length
  }

  #pass(from: Side, bytes: number, fds: number): void {
    this.#deliver(opposite(from), ...this.#take(from, bytes, fds))
  }

  #count(name: string, labels: Readonly<Record<string, string>>, by: number): void {
    const key = [name, ...Object.entries(labels).map(([label, value]) => `${label}=${value}`)].join(' ')
    this.counted.set(key, (this.counted.get(key) ?? 0) + by)
    this.said.push(['count', name, ...Object.values(labels), by].join(' '))
  }

  // What the session asks for.

  forward(from: Side, bytes: number, fds: number): void {
    this.#pass(from, bytes, fds)
  }

  drop(from: Side, bytes: number, fds: number): void {
    this.dropped.push(...this.#take(from, bytes, fds)[1])
  }

  send(to: Side, slices: readonly ByteView[], fds: number): void {
    this.#deliver(to, Buffer.concat(slices), this.#take(opposite(to), 0, fds)[1])
  }

  opaque(from: Side, bytes: number | 'until-end'): void {
    this.#input[from].opaque += bytes === 'until-end' ? Number.POSITIVE_INFINITY : bytes
    if (this.#offered !== from) this.#input[from].again = true
  }

  pause(from: Side): void {
    this.#input[from].paused = true
  }

  resume(from: Side): void {
    const input = this.#input[from]
    if (input.paused) input.again = true
    input.paused = false
  }

  dial(identity: DialIdentity): void {
    this.said.push(identity === 'daemon' ? 'dial' : `dial ${identity}`)
    this.#dialledAs = identity === 'daemon' ? undefined : this.#as
    if (this.#dial === 'none') this.#dial = 'asked'
  }

  endWrite(to: Side): void {
    this.said.push(`end ${to}`)
    this.#output[to].ended = true
  }

  close(how: 'now' | 'flush' | 'linger'): void {
    this.said.push(`close ${how}`)
    if (this.closing !== undefined) return
    this.closing = how
    if (how === 'linger' && this.#input.consumer.end === 'none') this.#lingersUntil = this.#now + LINGER_MS
  }

  setTimer(name: string, ms: number): void {
    this.said.push(`timer ${name} ${ms}`)
    this.#timers.set(name, this.#now, ms)
  }

  clearTimer(name: string): void {
    this.said.push(`no timer ${name}`)
    this.#timers.clear(name)
  }

  setIdleTimer(name: string, from: Side | 'either', ms: number): void {
    this.said.push(`timer ${name} ${ms} after the ${from}'s last byte`)
    this.#timers.set(name, this.#now, ms, from)
  }

  count(counter: CommonCounter | Figure, by = 1): void {
    if (typeof counter === 'string') this.#count(counter, {}, by)
    else this.#count(counter.name, counter.labels ?? {}, by)
  }

  mark(): void {
    this.said.push('mark')
  }

  observe(histogram: Histogram): void {
    this.said.push(`observe ${histogram.name}`)
  }

  report(event: Report): void {
    this.said.push(`report ${event.event}`)
    this.reports.push(event)
  }
}

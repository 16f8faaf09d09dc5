/**
 * The session seam without any socket: feeds a session as the relay does, and records where bytes and descriptors go.
 * Descriptors are plain numbers here, each with the position of the byte it belongs to.
 */
import type {
  ByteView,
  Commands,
  CommonCounter,
  Figure,
  Histogram,
  Session,
  Side,
} from '../../src/relay/contract.ts'

const opposite = (side: Side): Side => (side === 'consumer' ? 'provider' : 'consumer')

interface Pending {
  bytes: Buffer
  fds: { readonly fd: number; at: number }[]
  opaque: number
  paused: boolean
}

const nothing = (): Pending => ({ bytes: Buffer.alloc(0), fds: [], opaque: 0, paused: false })

export interface Delivered {
  readonly text: string
  /** Descriptors by the position of their byte. */
  readonly fds: readonly (readonly [number, number])[]
}

export class RecordingCommands implements Commands {
  readonly #session: Session
  readonly #input: Readonly<Record<Side, Pending>> = { consumer: nothing(), provider: nothing() }
  readonly #output: Readonly<Record<Side, { bytes: Buffer; fds: [number, number][] }>> = {
    consumer: { bytes: Buffer.alloc(0), fds: [] },
    provider: { bytes: Buffer.alloc(0), fds: [] },
  }
  /** Everything but bytes, in order: `dial daemon`, `timer wake 5`, … */
  readonly said: string[] = []
  readonly dropped: number[] = []
  closed = false

  constructor(session: Session, uid: number) {
    this.#session = session
    session.on({ kind: 'opened', peer: { pid: 1, uid, gid: uid } }, this)
  }

  delivered(to: Side): Delivered {
    const { bytes, fds } = this.#output[to]
    return { text: bytes.toString(), fds }
  }

  /** Bytes arrive, descriptors with the first of them. */
  arrive(from: Side, bytes: Uint8Array, fds: readonly number[] = []): void {
    const input = this.#input[from]
    const at = input.bytes.length
    input.fds.push(...fds.map(fd => ({ fd, at })))
    input.bytes = Buffer.concat([input.bytes, bytes])
    this.offer(from)
  }

  offer(from: Side): void {
    const input = this.#input[from]
    while (input.bytes.length > 0 && !input.paused && !this.closed) {
      const before = input.bytes.length
      if (input.opaque > 0) this.#pass(from, Math.min(input.opaque, before), 0, true)
      else {
        const fds = { count: input.fds.length, at: input.fds[0]?.at ?? 0 }
        this.#session.on({ kind: 'bytes', from, view: input.bytes, fds }, this)
      }
      if (input.bytes.length === before && input.opaque === 0) return
    }
  }

  #take(from: Side, bytes: number, fds: number): readonly [Buffer, readonly number[]] {
    const input = this.#input[from]
    if (bytes > input.bytes.length || fds > input.fds.length) throw new Error('more than there is was taken')
    const taken = input.fds.splice(0, fds).map(({ fd }) => fd)
    const head = input.bytes.subarray(0, bytes)
    input.bytes = input.bytes.subarray(bytes)
    for (const entry of input.fds) entry.at = Math.max(0, entry.at - bytes)
    return [head, taken]
  }

  #deliver(to: Side, bytes: Uint8Array, fds: readonly number[]): void {
    const output = this.#output[to]
    for (const fd of fds) output.fds.push([output.bytes.length, fd])
    output.bytes = Buffer.concat([output.bytes, bytes])
  }

  #pass(from: Side, bytes: number, fds: number, opaque: boolean): void {
    if (opaque) this.#input[from].opaque -= bytes
    const here = opaque ? this.#input[from].fds.filter(({ at }) => at < bytes).length : fds
    this.#deliver(opposite(from), ...this.#take(from, bytes, here))
  }

  forward(from: Side, bytes: number, fds: number): void {
    this.#pass(from, bytes, fds, false)
  }

  drop(from: Side, bytes: number, fds: number): void {
    this.dropped.push(...this.#take(from, bytes, fds)[1])
  }

  send(to: Side, slices: readonly ByteView[], fds: number): void {
    this.#deliver(to, Buffer.concat(slices), this.#take(opposite(to), 0, fds)[1])
  }

  opaque(from: Side, bytes: number | 'until-end'): void {
    this.#input[from].opaque += bytes === 'until-end' ? Number.POSITIVE_INFINITY : bytes
  }

  pause(from: Side): void {
    this.#input[from].paused = true
  }

  resume(from: Side): void {
    this.#input[from].paused = false
  }

  dial(): void {
    this.said.push('dial')
  }

  endWrite(to: Side): void {
    this.said.push(`end ${to}`)
  }

  close(how: 'now' | 'flush' | 'linger'): void {
    this.said.push(`close ${how}`)
    this.closed = true
  }

  setTimer(name: string, ms: number): void {
    this.said.push(`timer ${name} ${ms}`)
  }

  clearTimer(name: string): void {
    this.said.push(`no timer ${name}`)
  }

  setIdleTimer(name: string, from: Side, ms: number): void {
    this.said.push(`timer ${name} ${ms} after the ${from}'s last byte`)
  }

  count(counter: CommonCounter | Figure, by = 1): void {
    const name = typeof counter === 'string' ? counter : counter.name
    const labels = typeof counter === 'string' ? [] : Object.values(counter.labels ?? {})
    this.said.push(['count', name, ...labels, by].join(' '))
  }

  mark(): void {
    this.said.push('mark')
  }

  observe(histogram: Histogram): void {
    this.said.push(`observe ${histogram.name}`)
  }

  report(event: { readonly event: string }): void {
    this.said.push(`report ${event.event}`)
  }
}

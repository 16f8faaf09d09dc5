/**
 * The session of a `wayland` link: messages pass where they lie, whole ones only, in runs as long as may be; globals that the
 * link's clients may not see are left out, and whoever binds one all the same hears what a compositor would say. The
 * contract is docs/wayland.md.
 *
 * Descriptors are a queue of their own on each side, as the protocol has them: a message takes the next ones when it is read. They
 * may come early and never late, so all that wait go with the first bytes that leave.
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { ByteView, Commands, Figure, Session, SessionInput, Side } from '../../src/relay/contract.ts'
import { FIGURES } from './figures.ts'
import { FIXES, type Visible } from './interfaces.ts'
import type { Notices, RefusedRequest } from './notices.ts'
import { Registries } from './registries.ts'
import {
  type Bind,
  bindAt,
  DISPLAY,
  ERROR,
  EVENT,
  errorEvent,
  excerptOf,
  firstWord,
  globalAt,
  HEADER_BYTES,
  LITTLE_ENDIAN,
  ONE_WORD_BYTES,
  REQUEST,
} from './wire.ts'

/** libwayland reads with room for so many, and the kernel drops what has none (MAX_FDS_OUT of its connection.c). */
export const MOST_FDS_A_WRITE = 28

/** Why the compositor is not asked, and what the client is told. */
interface Refusal {
  readonly object: number
  readonly code: number
  readonly figure: Figure
  readonly told: RefusedRequest
}

type Found = 'pass' | 'hide' | 'too many'

/** What the log is told of a compositor. */
type BadEvent = Readonly<Record<string, string | number>>

/** A size that a message can have: up to 65532, because it has 16 bits. */
const isSize = (size: number): boolean => size >= HEADER_BYTES && (size & 3) === 0

const refusal = (
  figure: Figure,
  object: number,
  code: number,
  error: string,
  global?: Pick<Bind, 'name' | 'interface'>,
): Refusal => {
  const told = { reason: figure.labels?.['reason'] ?? figure.name, error }
  return global === undefined
    ? { figure, object, code, told }
    : { figure, object, code, told: { ...told, interface: excerptOf(global.interface), global: global.name } }
}

const malformed = (error: string): Refusal => refusal(FIGURES.malformed, DISPLAY, ERROR.invalidMethod, error)

const tooMany = (): Refusal =>
  refusal(FIGURES.tooMany, DISPLAY, ERROR.noMemory, 'too many registries on one connection')

/**
 * Pass a run of whole messages with what waits of descriptors; gives how many are left. Where one write cannot carry all, single
 * bytes go ahead with a share each. More than a share for every byte, which no messages of that length could ask for, waits on.
 */
const passRun = (from: Side, bytes: number, fds: number, out: Commands): number => {
  let left = fds
  let ahead = 0
  for (; left > MOST_FDS_A_WRITE && ahead < bytes - 1; ahead += 1) {
    out.forward(from, 1, MOST_FDS_A_WRITE)
    left -= MOST_FDS_A_WRITE
  }
  const last = Math.min(left, MOST_FDS_A_WRITE)
  out.forward(from, bytes - ahead, last)
  return left - last
}

const NO_WORDS: DataView = new DataView(new ArrayBuffer(0))

class WaylandSession implements Session {
  readonly #visible: Visible
  readonly #notices: Notices
  readonly #registries: Registries
  /** Ids up to this one are looked at; 0: none, since nothing is hidden. */
  #watched: number
  /** Of the buffer that views lie in, which hardly ever changes. */
  #words = NO_WORDS
  #hasReached = false
  #providerIsBroken = false
  #consumerIsBroken = false

  constructor(visible: Visible, limits: ProtocolLimits, notices: Notices) {
    this.#visible = visible
    this.#notices = notices
    this.#registries = new Registries(limits.waylandObjects, limits.waylandHiddenGlobals)
    this.#watched = visible === 'all' ? 0 : this.#registries.highest
  }

  on(input: SessionInput, out: Commands): void {
    switch (input.kind) {
      case 'opened':
        out.dial('daemon')
        return
      case 'bytes':
        if (input.from === 'consumer') this.#fromConsumer(input.view, input.fds.count, out)
        else this.#fromProvider(input.view, input.fds.count, out)
        return
      case 'dialled':
        this.#hasReached = input.failed === undefined
        if (!this.#hasReached) out.close('now')
        return
      case 'broken':
        // What that side said before it went comes still; of the other nothing is of use any more.
        if (input.to === 'consumer') this.#consumerIsBroken = true
        else this.#providerIsBroken = true
        return
      case 'ended':
        // A connection dies as a whole. Nobody needs to meet a client that left before there was a compositor.
        out.close(input.from === 'consumer' && input.fully && !this.#hasReached ? 'now' : 'flush')
        return
      case 'withdrawn':
        out.close('flush')
        return
      default:
        return
    }
  }

  /** Where the view begins in `#words`. */
  #lookAt({ buffer, byteOffset }: ByteView): number {
    if (this.#words.buffer !== buffer) this.#words = new DataView(buffer)
    return byteOffset
  }

  // Requests.

  #fromConsumer(view: ByteView, fds: number, out: Commands): void {
    if (this.#providerIsBroken) {
      out.drop('consumer', view.length, fds)
      return
    }
    const begin = this.#lookAt(view)
    const end = begin + view.length
    const words = this.#words
    let at = begin
    let messages = 0
    let refused: Refusal | undefined
    while (at + HEADER_BYTES <= end) {
      const object = words.getUint32(at, LITTLE_ENDIAN)
      const sizeAndOpcode = words.getUint32(at + 4, LITTLE_ENDIAN)
      const size = sizeAndOpcode >>> 16
      if (!isSize(size)) {
        refused = malformed(`a message cannot be ${size} bytes long`)
        break
      }
      if (at + size > end) break
      if (object <= this.#watched) {
        refused = this.#judge(at, size, object, sizeAndOpcode & 0xffff)
        if (refused !== undefined) break
      }
      at += size
      messages += 1
    }
    if (messages > 0) {
      out.count('messages', messages)
      passRun('consumer', at - begin, fds, out)
    }
    if (refused !== undefined) this.#refuse(refused, out)
  }

  /** Of a whole request: why it may not pass. */
  #judge(at: number, size: number, object: number, opcode: number): Refusal | undefined {
    const registries = this.#registries
    if (object === DISPLAY) {
      return opcode === REQUEST.displayGetRegistry ? this.#judgeRegistry(at, size) : undefined
    }
    if (registries.isLive(object)) {
      return opcode === REQUEST.registryBind ? this.#judgeBind(at, size, object) : undefined
    }
    if (!registries.isFixes(object)) return undefined
    if (opcode === REQUEST.fixesDestroy) registries.endFixes(object)
    else if (opcode === REQUEST.fixesDestroyRegistry) {
      if (size !== ONE_WORD_BYTES)
        return malformed(`invalid arguments for wl_fixes@${object}.destroy_registry`)
      registries.destroy(firstWord(this.#words, at))
    }
    return undefined
  }

  #judgeRegistry(at: number, size: number): Refusal | undefined {
    // libwayland reads what it needs of a message and leaves the rest: one that is longer would be a registry too.
    if (size !== ONE_WORD_BYTES) return malformed('invalid arguments for wl_display@1.get_registry')
    return this.#watches(this.#registries.begin(firstWord(this.#words, at)))
  }

  #judgeBind(at: number, size: number, registry: number): Refusal | undefined {
    const bind = bindAt(this.#words, at, size)
    if (bind === undefined) return malformed(`invalid arguments for wl_registry@${registry}.bind`)
    const isVisible = this.#sees(bind.interface)
    // By name too: a compositor that does not compare the two would take one global for another.
    if (!isVisible || this.#registries.isHidden(bind.name)) {
      return refusal(
        isVisible ? FIGURES.boundName : FIGURES.boundInterface,
        registry,
        ERROR.invalidObject,
        `invalid global ${excerptOf(bind.interface)} (${bind.name})`,
        bind,
      )
    }
    return bind.interface === FIXES ? this.#watches(this.#registries.beginFixes(bind.id)) : undefined
  }

  #watches(hadRoom: boolean): Refusal | undefined {
    this.#watched = this.#registries.highest
    return hadRoom ? undefined : tooMany()
  }

  #sees(name: string): boolean {
    return this.#visible === 'all' || this.#visible.has(name)
  }

  /** As a compositor does: say why, and end it. What came before the request is delivered. */
  #refuse({ object, code, figure, told }: Refusal, out: Commands): void {
    out.count('denials')
    out.count(figure)
    this.#notices.refused(told)
    out.send('consumer', [errorEvent(object, code, told.error)], 0)
    out.close('flush')
  }

  // Events.

  #fromProvider(view: ByteView, fds: number, out: Commands): void {
    if (this.#consumerIsBroken) {
      out.drop('provider', view.length, fds)
      return
    }
    const begin = this.#lookAt(view)
    const end = begin + view.length
    const words = this.#words
    let start = begin
    let at = begin
    let messages = 0
    let waiting = fds
    let problem: BadEvent | undefined
    while (at + HEADER_BYTES <= end) {
      const object = words.getUint32(at, LITTLE_ENDIAN)
      const sizeAndOpcode = words.getUint32(at + 4, LITTLE_ENDIAN)
      const size = sizeAndOpcode >>> 16
      if (!isSize(size)) {
        problem = { object, size }
        break
      }
      if (at + size > end) break
      const found =
        object <= this.#watched ? this.#find(at, size, object, sizeAndOpcode & 0xffff, out) : 'pass'
      if (found === 'too many') {
        problem = { object, problem: 'more globals than may be hidden' }
        break
      }
      if (found === 'hide') {
        if (at > start) waiting = passRun('provider', at - start, waiting, out)
        out.drop('provider', size, 0)
        start = at + size
      } else {
        messages += 1
      }
      at += size
    }
    if (messages > 0) out.count('messages', messages)
    if (at > start) passRun('provider', at - start, waiting, out)
    if (problem !== undefined) this.#giveUp(problem, out)
  }

  /** What is to become of a whole event. */
  #find(at: number, size: number, object: number, opcode: number, out: Commands): Found {
    const registries = this.#registries
    if (object === DISPLAY) {
      if (opcode === EVENT.displayDeleteId && size === ONE_WORD_BYTES)
        registries.deleted(firstWord(this.#words, at))
      return 'pass'
    }
    if (!registries.has(object)) return 'pass'
    if (opcode === EVENT.registryGlobal) return this.#findGlobal(at, size, out)
    if (opcode !== EVENT.registryGlobalRemove || size !== ONE_WORD_BYTES) return 'pass'
    return registries.removesHidden(firstWord(this.#words, at)) ? 'hide' : 'pass'
  }

  #findGlobal(at: number, size: number, out: Commands): Found {
    const global = globalAt(this.#words, at, size)
    if (global === undefined) return 'pass'
    if (this.#sees(global.interface)) {
      this.#registries.show(global.name)
      return 'pass'
    }
    if (!this.#registries.hide(global.name)) return 'too many'
    this.#notices.hidden(excerptOf(global.interface))
    out.count(FIGURES.hiddenGlobals)
    return 'hide'
  }

  /** The client gets what was whole; it is the compositor that broke the rules. */
  #giveUp(problem: BadEvent, out: Commands): void {
    out.count(FIGURES.badEvents)
    this.#notices.badEvent(problem)
    out.close('flush')
  }
}

/** One per accepted connection; what does not change from one to the next is made once, per link. */
export const waylandSessions = (
  visible: Visible,
  limits: ProtocolLimits,
  notices: Notices,
): (() => Session) => {
  return () => new WaylandSession(visible, limits, notices)
}

/**
 * A `dbus` session on a stage of its own: what a consumer and a bus do is told step by step, what either of them gets is kept to
 * the last byte, and no socket is anywhere. In texts before the messages `⏎` stands for CRLF, and `␀` for the NUL.
 */
import type { TrackingJudge } from '../../plugins/dbus/contract.ts'
import { HandshakeGate } from '../../plugins/dbus/handshake-gate.ts'
import type { ConnectionPolicy } from '../../plugins/dbus/policy/policy.ts'
import { dbusSessions } from '../../plugins/dbus/session.ts'
import { DEFAULT_LIMITS, type ProtocolLimits } from '../../src/model/limits.ts'
import type { Side } from '../../src/relay/contract.ts'
import { type Decoded, decodeAll } from './dbus-wire.ts'
import { type Recording, RecordingCommands } from './recording-commands.ts'

export const GUID = '0123456789abcdef0123456789abcdef'

export const line = (text: string): Buffer =>
  Buffer.from(text.replaceAll('⏎', '\r\n').replaceAll('␀', '\0'), 'latin1')

export const shown = (bytes: Uint8Array): string =>
  Buffer.from(bytes).toString('latin1').replaceAll('\r\n', '⏎').replaceAll('\0', '␀')

/** `1000`, the uid that the stage dials as unless it is told otherwise. */
export const AUTH = 'AUTH EXTERNAL 31303030⏎'

export interface Staging extends Recording {
  readonly limits?: Partial<ProtocolLimits>
  readonly gate?: HandshakeGate
  readonly filter?: (mayOwn: (name: string) => boolean) => TrackingJudge
  readonly policy?: ConnectionPolicy
}

export class DbusStage {
  readonly commands: RecordingCommands

  constructor({ limits, gate, filter, policy, ...recording }: Staging = {}) {
    const all = { ...DEFAULT_LIMITS, ...limits }
    const factory = dbusSessions({
      limits: all,
      role: 'tester',
      gate: () => gate ?? new HandshakeGate(all.dbusHandshakes),
      dialled: () => undefined,
      policy: policy === undefined ? undefined : () => policy,
      filter,
    })
    this.commands = new RecordingCommands(factory, 0, { descriptors: 'queued', ...recording })
  }

  says(from: Side, text: string): this {
    this.commands.arrive(from, line(text))
    return this
  }

  sends(from: Side, bytes: Uint8Array, fds: readonly number[] = []): this {
    this.commands.arrive(from, bytes, fds)
    return this
  }

  /** Up to and with BEGIN. `forget`: what was said so far is not given again. */
  begins({ descriptors = true }: { readonly descriptors?: boolean } = {}): this {
    this.says('consumer', '␀AUTH EXTERNAL 30⏎').says('provider', `OK ${GUID}⏎`)
    if (descriptors) this.says('consumer', 'NEGOTIATE_UNIX_FD⏎').says('provider', 'AGREE_UNIX_FD⏎')
    this.says('consumer', 'BEGIN⏎')
    this.#begun.consumer = this.commands.bytesTo('consumer').length
    this.#begun.provider = this.commands.bytesTo('provider').length
    return this
  }

  /** How much of what a side got is not messages. */
  readonly #begun: Record<Side, number> = { consumer: 0, provider: 0 }

  text(to: Side): string {
    return shown(this.commands.bytesTo(to))
  }

  /** After BEGIN. */
  bytes(to: Side): Buffer {
    return this.commands.bytesTo(to).subarray(this.#begun[to])
  }

  messages(to: Side): readonly Decoded[] {
    return decodeAll(this.bytes(to))
  }

  /** Descriptors by the position of their byte after BEGIN. */
  fds(to: Side): readonly (readonly [number, number])[] {
    return this.commands.delivered(to).fds.map(([at, fd]) => [at - this.#begun[to], fd])
  }

  get closing(): 'now' | 'flush' | 'linger' | undefined {
    return this.commands.closing
  }

  counted(key: string): number {
    return this.commands.counted.get(key) ?? 0
  }

  /** The event and its reason, of all that was reported. */
  get reports(): readonly string[] {
    return this.commands.reports.map(({ event, facts }) => `${event} ${facts['reason'] ?? ''}`.trim())
  }
}

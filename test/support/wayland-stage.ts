/**
 * A `wayland` session on a stage of its own: what a client and a compositor write is told step by step, what either of them
 * gets is kept to the last byte, and no socket is anywhere.
 */
import assert from 'node:assert/strict'
import { visibleTo } from '../../plugins/wayland/interfaces.ts'
import { noticesOf } from '../../plugins/wayland/notices.ts'
import { waylandSessions } from '../../plugins/wayland/session.ts'
import { DEFAULT_LIMITS, type ProtocolLimits } from '../../src/model/limits.ts'
import type { Session, Side } from '../../src/relay/contract.ts'
import type { LinkLog } from '../../src/toolbox/contract.ts'
import { RecordingCommands } from './recording-commands.ts'
import { told } from './wayland-wire.ts'

export interface Line {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly facts: Readonly<Record<string, unknown>>
}

/** A link's log that is kept. */
const keptLog = (): { readonly log: LinkLog; readonly lines: Line[] } => {
  const lines: Line[] = []
  const at = (level: Line['level']) => (facts: object) => {
    lines.push({ level, facts: { ...facts } })
  }
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines }
}

export interface Staging {
  readonly role?: string
  readonly grants?: readonly string[]
  readonly limits?: Partial<ProtocolLimits>
  readonly dials?: 'at once' | 'when told'
  /** Instead of the real one. */
  readonly session?: Session
}

export class WaylandStage {
  readonly commands: RecordingCommands
  readonly lines: readonly Line[]

  constructor({ role = 'any', grants = [], limits = {}, dials = 'at once', session }: Staging = {}) {
    const { log, lines } = keptLog()
    const real = (): Session =>
      waylandSessions(
        visibleTo(role, grants),
        { ...DEFAULT_LIMITS, ...limits },
        noticesOf({ consumer: 'app', role }, log),
      )()
    this.commands = new RecordingCommands(session ?? real(), 0, { dials, descriptors: 'queued' })
    this.lines = lines
  }

  /** In one read, descriptors with it. */
  clientWrites(bytes: Uint8Array | readonly Uint8Array[], fds: readonly number[] = []): this {
    return this.#write('consumer', bytes, fds)
  }

  compositorWrites(bytes: Uint8Array | readonly Uint8Array[], fds: readonly number[] = []): this {
    return this.#write('provider', bytes, fds)
  }

  #write(from: Side, bytes: Uint8Array | readonly Uint8Array[], fds: readonly number[]): this {
    this.commands.arrive(from, bytes instanceof Uint8Array ? bytes : Buffer.concat(bytes), fds)
    return this
  }

  clientLeaves(): this {
    this.commands.end('consumer', true)
    return this
  }

  compositorLeaves(): this {
    this.commands.end('provider', true)
    return this
  }

  /** Exactly these messages have come to the compositor. */
  compositorGot(...messages: readonly Uint8Array[]): this {
    assert.deepEqual(told(this.commands.bytesTo('provider')), told(Buffer.concat(messages)))
    return this
  }

  clientGot(...messages: readonly Uint8Array[]): this {
    assert.deepEqual(told(this.commands.bytesTo('consumer')), told(Buffer.concat(messages)))
    return this
  }

  get closing(): 'now' | 'flush' | 'linger' | undefined {
    return this.commands.closing
  }

  /** Descriptors that a side has got: each with the byte it came with. */
  fdsTo(to: Side): readonly (readonly [number, number])[] {
    return this.commands.delivered(to).fds
  }

  /** How many came with each write that had some. */
  sharesTo(to: Side): readonly number[] {
    const shares = new Map<number, number>()
    for (const [at] of this.fdsTo(to)) shares.set(at, (shares.get(at) ?? 0) + 1)
    return [...shares.values()]
  }

  counted(name: string): number {
    return this.commands.counted.get(name) ?? 0
  }

  said(level: Line['level']): readonly Line['facts'][] {
    return this.lines.filter(line => line.level === level).map(({ facts }) => facts)
  }
}

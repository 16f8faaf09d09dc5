/**
 * A compositor as libwayland makes one, as far as globals go, for the second opinion: it carries out what a session has let
 * through, with all that a real one lets pass (what follows a message's arguments is not looked at) and all that it does not
 * (an id in use, a global under another name). The first mistake is the client's last. Shares no line with the plugin.
 */
import {
  deleteId,
  done,
  filler,
  global,
  globalRemove,
  type Message,
  messagesIn,
  stringAt,
} from '../support/wayland-wire.ts'

export interface Global {
  readonly name: number
  readonly interface: string
}

export interface Compositor {
  /** The bytes that it got, from the beginning; gives the events that came of what is new. */
  takes(all: Buffer): readonly Buffer[]
  /** A global comes, or goes: told on every registry. */
  announces(added: Global): readonly Buffer[]
  withdraws(name: number): readonly Buffer[]
  /** Interfaces that were bound. */
  readonly bound: ReadonlySet<string>
  /** It has given the client up. */
  readonly isFatal: boolean
}

class Model implements Compositor {
  readonly bound = new Set<string>()
  readonly #objects = new Map<number, string>([[1, 'wl_display']])
  #globals: readonly Global[]
  #taken = 0
  isFatal = false

  constructor(globals: readonly Global[]) {
    this.#globals = globals
  }

  takes(all: Buffer): readonly Buffer[] {
    const events: Buffer[] = []
    for (const request of messagesIn(all.subarray(this.#taken))) {
      this.#taken += request.size
      if (this.isFatal) continue
      try {
        events.push(...this.#carriesOut(request))
      } catch {
        this.isFatal = true
      }
    }
    return events
  }

  announces(added: Global): readonly Buffer[] {
    this.#globals = [...this.#globals, added]
    return this.#registries().map(id => global(id, added.name, added.interface))
  }

  withdraws(name: number): readonly Buffer[] {
    this.#globals = this.#globals.filter(each => each.name !== name)
    return this.#registries().map(id => globalRemove(id, name))
  }

  #registries(): readonly number[] {
    return [...this.#objects].flatMap(([id, is]) => (is === 'wl_registry' ? [id] : []))
  }

  #makes(id: number, is: string): void {
    if (id === 0 || id >= 0xff00_0000 || this.#objects.has(id)) throw new Error('not a valid new object id')
    this.#objects.set(id, is)
  }

  #destroys(id: number): Buffer {
    this.#objects.delete(id)
    return deleteId(id)
  }

  #carriesOut({ object, opcode, bytes }: Message): readonly Buffer[] {
    // Reading beyond the message throws, as a message that is too short is an error.
    switch (`${this.#objects.get(object)}.${opcode}`) {
      case 'wl_display.0': {
        const id = bytes.readUInt32LE(8)
        this.#makes(id, 'wl_callback')
        return [done(id), this.#destroys(id)]
      }
      case 'wl_display.1': {
        const id = bytes.readUInt32LE(8)
        this.#makes(id, 'wl_registry')
        return this.#globals.map(each => global(id, each.name, each.interface))
      }
      case 'wl_registry.0':
        this.#binds(bytes)
        return []
      case 'wl_fixes.0':
        return [this.#destroys(object)]
      case 'wl_fixes.1': {
        const id = bytes.readUInt32LE(8)
        if (this.#objects.get(id) !== 'wl_registry') throw new Error('no registry')
        return [this.#destroys(id)]
      }
      // Any other object, by these opcodes: it goes, makes another, or says something.
      case 'other.0':
        return [this.#destroys(object)]
      case 'other.1':
        this.#makes(bytes.readUInt32LE(8), 'other')
        return []
      case 'other.2':
        return [filler(object, 16, 0), filler(object, 12, 1)]
      default:
        throw new Error('no such method')
    }
  }

  #binds(bytes: Buffer): void {
    const name = bytes.readUInt32LE(8)
    const wanted = stringAt(bytes, 12)
    const length = bytes.readUInt32LE(12)
    if (wanted === undefined || bytes[16 + length - 1] !== 0) throw new Error('no string')
    const id = bytes.readUInt32LE(16 + Math.ceil(length / 4) * 4 + 4)
    const found = this.#globals.find(each => each.name === name)
    if (found === undefined || found.interface !== wanted) throw new Error('invalid global')
    this.#makes(id, wanted === 'wl_fixes' ? wanted : 'other')
    this.bound.add(wanted)
  }
}

export const compositorWith = (globals: readonly Global[]): Compositor => new Model(globals)

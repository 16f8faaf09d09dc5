/**
 * Whole conversations over one `wayland` connection: a client that knows the rules and every way around them, and a compositor
 * that takes whatever libwayland takes. Whatever they say, and wherever it is cut, what is owed to both is checked here.
 */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { VISIBLE_TO_ALL } from '../../plugins/wayland/interfaces.ts'
import type { Session } from '../../src/relay/contract.ts'
import { WaylandStage } from '../support/wayland-stage.ts'
import {
  bind,
  destroyFixes,
  destroyRegistry,
  filler,
  getRegistry,
  header,
  message,
  messagesIn,
  raw,
  stringAt,
  sync,
} from '../support/wayland-wire.ts'
import { type Compositor, compositorWith, type Global } from './wayland-compositor.ts'

const VISIBLE: ReadonlySet<string> = new Set(Object.values(VISIBLE_TO_ALL).flat())

const GLOBALS: readonly Global[] = [
  { name: 1, interface: 'wl_compositor' },
  { name: 2, interface: 'zwlr_screencopy_manager_v1' },
  { name: 3, interface: 'wl_fixes' },
  { name: 4, interface: 'wl_shm' },
  { name: 5, interface: 'zwlr_layer_shell_v1' },
]

export const Step = t.union([
  /** The client writes these bytes (in hex), with so many descriptors. */
  t.type({ writes: t.string, fds: t.number }),
  t.type({ announces: t.number, interface: t.string }),
  t.type({ withdraws: t.number }),
])
export type Step = t.TypeOf<typeof Step>

export const Script = t.type({
  steps: t.readonlyArray(Step),
  /** Lengths of the client's reads, over and over. */
  cuts: t.readonlyArray(t.number),
})
export type Script = t.TypeOf<typeof Script>

/** Few, so that they meet. */
const id = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 2, max: 7 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 0xfeff_ffff, 0xff00_0000) },
)
const name = fc.integer({ min: 0, max: 8 })
const interfaceName = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...GLOBALS.map(each => each.interface)) },
  { weight: 1, arbitrary: fc.constantFrom('wl_shm\0x', 'zwlr_layer_shell_v1\0', '', 'x_y') },
)
/** Names and interfaces that belong together, or not. */
const named = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(...GLOBALS).map(each => [each.name, each.interface] as const),
  },
  { weight: 1, arbitrary: fc.tuple(name, interfaceName) },
)

/** With something behind its arguments, which libwayland does not look at. */
const padded = (request: Buffer): Buffer =>
  raw(
    request.readUInt32LE(0),
    request.readUInt16LE(4),
    Buffer.concat([request.subarray(8), Buffer.alloc(4, 1)]),
  )

/** Any request, mostly out of place. */
const wild = fc.oneof(
  id.map(getRegistry),
  fc.tuple(id, named, id).map(([registry, [global, what], made]) => bind(registry, global, what, made)),
  id.map(sync),
  fc.tuple(id, id).map(([fixes, registry]) => destroyRegistry(fixes, registry)),
  id.map(destroyFixes),
  fc.tuple(id, id).map(([object, made]) => message(object, 1, made)),
  fc.tuple(id, fc.integer({ min: 2, max: 300 })).map(([object, words]) => filler(object, words * 4)),
  fc.tuple(id, fc.nat(12)).map(([object, size]) => header(object, 0, size)),
  fc.uint8Array({ maxLength: 24 }).map(some => Buffer.from(some)),
)

const VERBS = [
  'sync',
  'registry',
  'bind',
  'fixes',
  'unregister',
  'unfix',
  'make',
  'unmake',
  'speak',
  'steal',
] as const

/** What a client means to do next; which of its objects by, is taken in turn from what it has. */
interface Intent {
  readonly verb: (typeof VERBS)[number]
  readonly which: number
  readonly isPadded: boolean
}

const intent = (verb: Intent['verb']): fc.Arbitrary<Intent> =>
  fc.record({ verb: fc.constant(verb), which: fc.nat(20), isPadded: fc.nat(40).map(one => one === 0) })

/** Whose requests a compositor would carry out, so that they get far: it knows what it has, and uses each id again at once. */
class Client {
  readonly #has = new Map<number, 'registry' | 'fixes' | 'other'>()

  request({ verb, which, isPadded }: Intent): Buffer {
    const request = this.#request(verb, which)
    return isPadded ? padded(request) : request
  }

  #one(is: string, which: number): number {
    const all = [...this.#has].flatMap(([each, what]) => (what === is ? [each] : []))
    return all[which % all.length] ?? 0
  }

  #makes(is: 'registry' | 'fixes' | 'other'): number {
    const made = this.#free
    this.#has.set(made, is)
    return made
  }

  get #free(): number {
    let free = 2
    while (this.#has.has(free)) free += 1
    return free
  }

  #request(verb: Intent['verb'], which: number): Buffer {
    const registry = this.#one('registry', which)
    const fixes = this.#one('fixes', which)
    const other = this.#one('other', which)
    switch (verb) {
      case 'sync':
        return sync(this.#free)
      case 'bind':
        return registry === 0
          ? getRegistry(this.#makes('registry'))
          : bind(registry, 1, 'wl_compositor', this.#makes('other'))
      case 'fixes':
        if (registry !== 0) return bind(registry, 3, 'wl_fixes', this.#makes('fixes'))
        return getRegistry(this.#makes('registry'))
      case 'unregister':
        if (registry === 0 || fixes === 0) return sync(this.#free)
        this.#has.delete(registry)
        return destroyRegistry(fixes, registry)
      case 'unfix':
        if (fixes === 0) return sync(this.#free)
        this.#has.delete(fixes)
        return destroyFixes(fixes)
      case 'make':
        return other === 0 ? sync(this.#free) : message(other, 1, this.#makes('other'))
      case 'unmake':
        if (other === 0) return sync(this.#free)
        this.#has.delete(other)
        return message(other, 0)
      case 'speak':
        return other === 0 ? sync(this.#free) : message(other, 2)
      case 'steal':
        if (registry !== 0) return bind(registry, 2, 'zwlr_screencopy_manager_v1', this.#makes('other'))
        return getRegistry(this.#makes('registry'))
      case 'registry':
        return getRegistry(this.#makes('registry'))
    }
  }
}

const oneOf = fc.oneof(
  { weight: 4, arbitrary: intent('sync') },
  { weight: 4, arbitrary: intent('registry') },
  ...(['bind', 'make', 'unmake', 'speak', 'unregister'] as const).map(verb => ({
    weight: 3,
    arbitrary: intent(verb),
  })),
  { weight: 2, arbitrary: intent('fixes') },
  { weight: 1, arbitrary: intent('unfix') },
  { weight: 1, arbitrary: intent('steal') },
  { weight: 1, arbitrary: wild },
)

interface Move {
  readonly all: readonly (Intent | Buffer)[]
  readonly fds: number
}

const move: fc.Arbitrary<Move | Exclude<Step, { writes: string }>> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      all: fc.array(oneOf, { maxLength: 5 }),
      fds: fc.oneof(fc.constant(0), fc.nat(70)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.integer({ min: 6, max: 9 }), interfaceName)
      .map(([announces, what]) => ({ announces, interface: what })),
  },
  { weight: 1, arbitrary: name.map(withdraws => ({ withdraws })) },
)

const written = (moves: readonly (Move | Exclude<Step, { writes: string }>)[]): readonly Step[] => {
  const client = new Client()
  return moves.map(each => {
    if (!('all' in each)) return each
    const all = each.all.map(one => ('verb' in one ? client.request(one) : one))
    return { writes: Buffer.concat(all).toString('hex'), fds: each.fds }
  })
}

export const scripts: fc.Arbitrary<Script> = fc.record({
  steps: fc.array(move, { maxLength: 14 }).map(written),
  cuts: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
})

interface Outcome {
  readonly toProvider: string
  readonly toConsumer: string
  readonly fds: readonly number[]
  readonly closing: string | undefined
  readonly denials: number
}

/** One conversation, with the client's reads cut as told. */
class Play {
  readonly #stage: WaylandStage
  readonly #compositor: Compositor = compositorWith(GLOBALS)
  readonly #cuts: readonly number[] | undefined
  #written = Buffer.alloc(0)
  #cut = 0
  #fds = 0

  constructor(cuts: readonly number[] | undefined, session?: Session) {
    this.#cuts = cuts
    this.#stage = new WaylandStage(session === undefined ? {} : { session })
  }

  step(each: Step): void {
    if ('writes' in each) this.#writes(Buffer.from(each.writes, 'hex'), each.fds)
    else if ('announces' in each)
      this.#answers(this.#compositor.announces({ name: each.announces, interface: each.interface }))
    else this.#answers(this.#compositor.withdraws(each.withdraws))
    this.#check()
  }

  #answers(events: readonly Buffer[]): void {
    if (events.length > 0) this.#stage.compositorWrites(events)
  }

  /** Descriptors come with the first byte, as a sender sends them. */
  #writes(all: Buffer, fds: number): void {
    if (all.length === 0) return
    const sent = Array.from({ length: fds }, () => this.#fds++)
    if (!this.#stage.commands.closed) this.#written = Buffer.concat([this.#written, all])
    for (let at = 0; at < all.length; ) {
      const length =
        this.#cuts === undefined ? all.length : (this.#cuts[this.#cut++ % this.#cuts.length] ?? 1)
      this.#stage.clientWrites(all.subarray(at, at + length), at === 0 ? sent : [])
      at += length
    }
    // What the compositor answers comes when the client has written, however that was cut.
    this.#answers(this.#compositor.takes(this.#stage.commands.bytesTo('provider')))
  }

  #check(): void {
    const { commands } = this.#stage
    const got = commands.bytesTo('provider')
    assert.ok(
      this.#written.subarray(0, got.length).equals(got),
      'the compositor got what the client did not write',
    )
    const whole = messagesIn(got)
    assert.equal(
      whole.reduce((sum, { size }) => sum + size, 0),
      got.length,
      'the compositor got part of a message',
    )
    for (const bound of this.#compositor.bound) assert.ok(VISIBLE.has(bound), `${bound} was bound`)
    const fds = this.#stage.fdsTo('provider').map(([, fd]) => fd)
    assert.deepEqual(
      fds,
      fds.map((_, at) => at),
      'descriptors were lost, or changed places',
    )
    assert.ok(
      this.#stage.sharesTo('provider').every(share => share <= 28),
      'more descriptors than libwayland takes',
    )
    assert.deepEqual(commands.dropped, [])
    if (this.#stage.counted('denials') > 0) this.#checkLastWords()
  }

  /** The last that a refused client hears is an error, after whole events. */
  #checkLastWords(): void {
    const heard = this.#stage.commands.bytesTo('consumer')
    const events = messagesIn(heard)
    const last = events.at(-1)
    assert.ok(last !== undefined && last.at + last.size === heard.length, 'the client heard part of an event')
    assert.deepEqual([last.object, last.opcode], [1, 0])
    assert.equal(typeof stringAt(last.bytes, 16), 'string')
    assert.equal(this.#stage.closing, 'flush')
  }

  get outcome(): Outcome {
    const { commands, closing } = this.#stage
    return {
      toProvider: commands.bytesTo('provider').toString('hex'),
      toConsumer: commands.bytesTo('consumer').toString('hex'),
      fds: this.#stage.fdsTo('provider').map(([, fd]) => fd),
      closing,
      denials: this.#stage.counted('denials'),
    }
  }
}

const played = (script: Script, cuts: readonly number[] | undefined, session?: () => Session): Outcome => {
  const play = new Play(cuts, session?.())
  for (const each of script.steps) play.step(each)
  return play.outcome
}

/** What is owed to both holds, and where reads were cut makes no difference to what came. Gives what came of it. */
export const holdsHoweverCut = (script: Script, session?: () => Session): Outcome => {
  const whole = played(script, undefined, session)
  const cut = played(script, script.cuts, session)
  // Where one read brings what is refused, descriptors that came with it may be gone with it.
  assert.deepEqual({ ...cut, fds: [] }, { ...whole, fds: [] })
  if (whole.closing === undefined) assert.deepEqual(cut.fds, whole.fds)
  return whole
}

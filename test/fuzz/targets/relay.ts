/**
 * The real relay between real sockets, on the real reactor: both ends write, read, half-close and vanish at random, with
 * descriptors anywhere, and the relay is held to what it owes them (`conversation.ts`).
 */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import type { Side } from '../../../src/relay/contract.ts'
import { openDescriptors, parcels } from '../../support/descriptors.ts'
import { type RelayOptions, turn, withRelay } from '../../support/relay.ts'
import { Conversation, LONGEST } from '../conversation.ts'
import { check, targetOf } from '../target.ts'
import { wanderingSession } from '../wandering-session.ts'

const KeptSide = t.keyof({ consumer: null, provider: null })

const Step = t.union([
  t.type({ who: t.number, side: KeptSide, writes: t.number, fds: t.number }),
  t.type({ who: t.number, side: KeptSide, reads: t.number, times: t.number }),
  t.type({ who: t.number, side: KeptSide, stops: t.keyof({ writing: null, everything: null }) }),
  /** The relay runs. */
  t.type({ turns: t.number }),
])
type Step = t.TypeOf<typeof Step>

const Script = t.type({ connections: t.number, seed: t.number, steps: t.array(Step) })
type Script = t.TypeOf<typeof Script>

const side = fc.constantFrom<Side[]>('consumer', 'provider')
const who = fc.nat(2)

/** Where the relay changes its ways, and around there. */
const EDGES = [0, 1, 16_383, 16_384, 16_385, 65_536, 131_072, LONGEST] as const

const size = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 100 }) },
  { weight: 2, arbitrary: fc.constantFrom(...EDGES) },
  { weight: 2, arbitrary: fc.integer({ min: 1000, max: LONGEST }) },
)

const rights = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }) },
  // SCM_MAX_FD: the most one message can have (unix(7)).
  { weight: 1, arbitrary: fc.constantFrom(200, 253) },
)

const step = (fds: fc.Arbitrary<number>): fc.Arbitrary<Step> =>
  fc.oneof(
    { weight: 12, arbitrary: fc.record({ who, side, writes: size, fds }) },
    {
      weight: 10,
      arbitrary: fc.record({ who, side, reads: size, times: fc.constantFrom(1, 1, 5, 100) }),
    },
    { weight: 8, arbitrary: fc.constantFrom(1, 1, 2, 10).map(turns => ({ turns })) },
    {
      weight: 1,
      arbitrary: fc.record({ who, side, stops: fc.constantFrom('writing', 'writing', 'everything') }),
    },
  )

const scripts = (fds: fc.Arbitrary<number>): fc.Arbitrary<Script> =>
  fc.record({
    connections: fc.integer({ min: 1, max: 3 }),
    seed: fc.nat(1_000_000),
    steps: fc.array(step(fds), { maxLength: 120 }),
  })

const perform = async (conversation: Conversation, one: Exclude<Step, { turns: number }>): Promise<void> => {
  if ('writes' in one) conversation.write(one.side, one.writes, one.fds)
  else if ('reads' in one) {
    for (let i = 0; i < one.times; i += 1) if (!(await conversation.read(one.side, one.reads))) return
  } else if (one.stops === 'writing') conversation.end(one.side)
  else conversation.close(one.side)
}

/** Whoever is still there says that it has nothing more to say, and hears the other out. */
const finish = async (conversations: readonly Conversation[]): Promise<void> => {
  const waiting = new Set(conversations)
  const deadline = Date.now() + 10_000
  while (waiting.size > 0) {
    for (const each of waiting) {
      each.end('consumer')
      each.end('provider')
      while ((await each.read('consumer', LONGEST)) || (await each.read('provider', LONGEST)));
      if (each.isOver) waiting.delete(each)
    }
    if (Date.now() > deadline)
      assert.fail(`it goes no further: ${[...waiting].map(each => each.state).join('; ')}`)
    await turn()
  }
}

/** A provider that is reached only after its consumer has left hears all the same what that one said. */
const hearOut = async (conversations: readonly Conversation[], isOver: () => boolean): Promise<void> => {
  const deadline = Date.now() + 5000
  while (!isOver()) {
    for (const each of conversations) while (await each.read('provider', LONGEST));
    if (Date.now() > deadline) assert.fail('the relay has not let go of every connection')
    await turn()
  }
}

/** Descriptors to send; fewer than a large message takes, so that some come twice in one. */
const PARCELS = 100

const whatIsSentArrives =
  (options: (script: Script) => RelayOptions) =>
  async (script: Script): Promise<void> => {
    const { connections, seed, steps } = script
    const sent = parcels(PARCELS)
    const before = openDescriptors()
    try {
      await withRelay(options(script), async relay => {
        const conversations = Array.from({ length: connections }, (_, index) => {
          const { consumer } = relay.connect()
          const wires = () => ({ consumer, provider: relay.dialer.wires[index] })
          return new Conversation(relay.traffic.kind, wires, sent, seed + index)
        })
        for (const one of steps) {
          if ('turns' in one) for (let i = 0; i < one.turns; i += 1) await turn()
          else {
            const conversation = conversations[one.who % connections]
            if (conversation !== undefined) await perform(conversation, one)
          }
        }
        await finish(conversations)
        await hearOut(conversations, () => relay.open.size === 0)
        assert.equal(relay.traffic.plane.connections.open, 0)
        for (const { kind, value } of relay.traffic.counters.counted.figures())
          if (kind === 'gauge') assert.equal(value, 0)
        assert.deepEqual(relay.faults, [])
        assert.deepEqual(relay.log.lines, [])
      })
      assert.equal(openDescriptors(), before, 'descriptors are left open')
    } finally {
      sent.close()
    }
  }

const relayed = (
  name: string,
  tries: number,
  fds: fc.Arbitrary<number>,
  options: (script: Script) => RelayOptions,
) => check({ name, inputs: scripts(fds), kept: Script, tries, holds: whatIsSentArrives(options) })

const NONE = fc.constant(0)

export const target = targetOf('relay', 'the relay, between real sockets', [
  relayed('stream', 15, rights, () => ({})),
  relayed('bytes', 15, NONE, () => ({ descriptors: 'none' })),
  relayed('packets', 15, rights, () => ({ kind: 'seqpacket' })),
  relayed('session', 15, rights, ({ seed, connections }) => ({
    // Which provider's end belongs to which connection is known by the order of the dials alone.
    session: () => wanderingSession(seed, { dialsLate: connections === 1 }),
  })),
])

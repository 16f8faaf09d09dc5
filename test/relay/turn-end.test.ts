/**
 * Small writes wait for the end of the reactor's turn. Whatever comes in between, all bytes arrive in the order in which they
 * were asked for, with descriptors at theirs, and a close waits for them.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addInput, beginParts, inputBytes, MOST_ASIDE_BYTES } from '../../src/kernel/message.ts'
import type { Commands, Session, SessionInput } from '../../src/relay/contract.ts'
import { StreamOutbox } from '../../src/relay/stream-outbox.ts'
import { consume, identityOf, leavesNoDescriptors, parcels } from '../support/descriptors.ts'
import { type Random, randomOf } from '../support/random.ts'
import { pairOf, pattern, quiet, turn, until, Wire, withRelay } from '../support/relay.ts'

leavesNoDescriptors()

type Side = 'consumer' | 'provider'

const SMALL = pattern(100)
const LARGE = pattern(900_000, 5)

const sessionOf = (on: (input: SessionInput, out: Commands) => void) => (): Session => ({ on })

for (const [how, close] of [
  ['a close that flushes', (out: Commands) => out.close('flush')],
  ['a lingering close', (out: Commands) => out.close('linger')],
  ['a half-close', (out: Commands) => out.endWrite('consumer')],
] as const) {
  test(`${how} waits for a large write behind a small one of the same turn`, () =>
    withRelay(
      {
        session: sessionOf((input, out) => {
          if (input.kind === 'opened') out.dial('daemon')
          if (input.kind !== 'bytes') return
          out.send('consumer', [SMALL], 0)
          out.forward(input.from, input.view.length, 0)
          out.send('consumer', [LARGE], 0)
          close(out)
        }),
      },
      async relay => {
        const { consumer } = relay.connect()
        consumer.send('go')
        await quiet()
        assert.deepEqual(await consumer.toEnd(), Buffer.concat([SMALL, LARGE]))
      },
    ))
}

test('what a full socket does not take at the end of the turn goes before what came after it', () =>
  withRelay({}, async ({ traffic }) => {
    const [ours, theirs] = pairOf('stream')
    const outbox = new StreamOutbox(
      { ...traffic, plane: { ...traffic.plane, reactor: { isTurning: true } } },
      ours.borrowed,
    )
    const wire = new Wire(ours)
    let filled = 0
    for (let n = wire.send(SMALL); n > 0; n = wire.send(SMALL)) filled += n
    inputBytes().set(SMALL)
    beginParts()
    addInput(0, SMALL.length)
    assert.equal(outbox.writeParts([]), 'later')
    const after = pattern(MOST_ASIDE_BYTES + 1, 9)
    inputBytes().set(after)
    outbox.writeInput(after.length)
    outbox.depart()
    await theirs.take(filled)
    outbox.flush()
    assert.deepEqual(await theirs.take(SMALL.length + after.length), Buffer.concat([SMALL, after]))
    outbox.discard()
    ours.close()
    theirs.close()
  }))

/** What a side is to get: bytes, and descriptors by the position of theirs. */
class Expected {
  readonly #parts: Uint8Array[] = []
  readonly fds: (readonly [number, readonly string[]])[] = []
  length = 0

  add(bytes: Uint8Array, identities: readonly string[]): void {
    if (identities.length > 0) this.fds.push([this.length, identities])
    this.#parts.push(Uint8Array.from(bytes))
    this.length += bytes.length
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** Reads what is there, some of it, and remembers at which bytes descriptors came. */
class Reader {
  readonly #wire: Wire
  readonly #expected: Expected
  readonly parts: Buffer[] = []
  readonly fds: (readonly [number, readonly string[]])[] = []
  length = 0
  ended = false

  constructor(wire: Wire, expected: Expected) {
    this.#wire = wire
    this.#expected = expected
  }

  /** Up to the next byte that is to bring some: one read may tell no more of them than that they are in it. */
  read(most: number): void {
    if (this.ended) return
    const [next] = this.#expected.fds.filter(([at]) => at > this.length).map(([at]) => at - this.length)
    const message = this.#wire.receive(Math.min(most, next ?? most))
    if (typeof message === 'number') return
    if (message.fds.length > 0) this.fds.push([this.length, consume(message.fds)])
    this.parts.push(message.bytes)
    this.length += message.bytes.length
    this.ended = message.bytes.length === 0
  }
}

const opposite = (side: Side): Side => (side === 'consumer' ? 'provider' : 'consumer')

/** With every line it is shown it writes to either side, pieces of all sizes, and passes on what came with it. */
const restless = (random: Random, expected: Readonly<Record<Side, Expected>>, pool: readonly string[]) => {
  const write = (to: Side, out: Commands): void => {
    const size = random.pick([1, 20, 300, 4000, 4096, 4097, 9000, 70_000])
    const bytes = pattern(size, random.below(256))
    out.send(to, [bytes], 0)
    expected[to].add(bytes, [])
  }
  return sessionOf((input, out) => {
    if (input.kind === 'opened') out.dial('daemon')
    if (input.kind === 'ended' && input.from === 'consumer') out.close(random.pick(['flush', 'linger']))
    if (input.kind !== 'bytes') return
    const { from, view, fds } = input
    const end = view.indexOf(10) + 1
    if (end === 0) return
    const to = opposite(from)
    const has = fds.count > 0 && fds.at < end
    for (let i = random.below(3); i > 0; i -= 1) write(random.pick(['consumer', 'provider']), out)
    // The number of the descriptor is in the line that brought it: they come one by one.
    const identity = has ? [pool[Number(Buffer.from(view.subarray(0, 1)).toString())] ?? ''] : []
    if (random.chance(0.5)) {
      expected[to].add(view.subarray(0, end), identity)
      out.forward(from, end, has ? 1 : 0)
    } else {
      out.drop(from, end, 0)
      const own = pattern(random.pick([1, 50, 5000]), 77)
      expected[to].add(own, identity)
      out.send(to, [own], has ? 1 : 0)
    }
    for (let i = random.below(3); i > 0; i -= 1) write(random.pick(['consumer', 'provider']), out)
  })
}

const seeds = Number(process.env['PVX_TEST_SEEDS'] ?? 6)

for (let seed = 1; seed <= seeds; seed += 1) {
  test(`small writes, large ones and descriptors of one turn arrive in their order, for readers of any speed (seed ${seed})`, async () => {
    const random = randomOf(seed)
    const sent = parcels(10)
    const pool = sent.fds.map(identityOf)
    const all: {
      consumer: Wire
      provider: Wire
      readers: Record<Side, Reader>
      expected: Record<Side, Expected>
    }[] = []
    let next = { consumer: new Expected(), provider: new Expected() }
    let made: () => Session = () => ({ on: () => undefined })
    await withRelay({ session: () => made() }, async relay => {
      for (let i = 0; i < 8; i += 1) {
        next = { consumer: new Expected(), provider: new Expected() }
        made = restless(random.fork(`session ${i}`), next, pool)
        const { consumer, provider } = relay.connect()
        all.push({
          consumer,
          provider,
          expected: next,
          readers: {
            consumer: new Reader(consumer, next.consumer),
            provider: new Reader(provider, next.provider),
          },
        })
      }
      for (let round = 0; round < 60; round += 1) {
        for (const { consumer, provider } of all) {
          for (const wire of [consumer, provider]) {
            for (let lines = random.below(3); lines > 0; lines -= 1) {
              const which = random.below(10)
              const fd = sent.fds[which]
              wire.send(`${which} a line\n`, fd !== undefined && random.chance(0.3) ? [fd] : [])
            }
          }
        }
        await turn()
        for (const { readers } of all) {
          for (const side of ['consumer', 'provider'] as const) {
            if (random.chance(0.7)) readers[side].read(random.pick([1, 500, 5000, 60_000]))
          }
        }
      }
      const allRead = (): boolean => {
        for (const { readers } of all)
          for (const side of ['consumer', 'provider'] as const) readers[side].read(60_000)
        return all.every(({ readers, expected }) =>
          (['consumer', 'provider'] as const).every(side => readers[side].length >= expected[side].length),
        )
      }
      let last = -1
      await until(
        'the lines are dealt with and read',
        () => {
          const before = last
          const done = allRead()
          last = all.reduce((sum, { readers }) => sum + readers.consumer.length + readers.provider.length, 0)
          return done && last === before
        },
        20_000,
      )
      for (const { consumer } of all) consumer.endWriting()
      await until('all have ended', () => {
        allRead()
        return all.every(({ readers }) => readers.consumer.ended && readers.provider.ended)
      })
      for (const { readers, expected } of all) {
        for (const side of ['consumer', 'provider'] as const) {
          assert.deepEqual(readers[side].fds, expected[side].fds)
          assert.ok(
            Buffer.concat(readers[side].parts).equals(expected[side].bytes),
            `${side}: bytes in order`,
          )
        }
      }
    })
    sent.close()
  })
}

test('a close that flushes does not wait for a provider that refused within the dial', () =>
  withRelay(
    {
      patient: true,
      lingerMs: 60_000,
      session: sessionOf((input, out) => {
        if (input.kind === 'bytes') {
          out.forward('consumer', input.view.length, 0)
          out.dial('daemon')
        }
        if (input.kind !== 'dialled') return
        out.send('consumer', [Buffer.from('sorry')], 0)
        out.close('flush')
      }),
    },
    async relay => {
      const { dialer } = relay
      const dial = dialer.dial.bind(dialer)
      dialer.dial = (...asked) => {
        const cancel = dial(...asked)
        dialer.fail('refused')
        return cancel
      }
      const { consumer } = relay.connect()
      consumer.send('request')
      assert.equal(String(await consumer.toEnd()), 'sorry')
      await until('the connection is over', () => relay.open.size === 0)
    },
  ))

/** Three messages of three bytes that a session leaves alone until the third is there; the last two bring a descriptor each. */
const heldBack = async (
  act: (out: Commands, shown: number[], input: SessionInput) => void,
): Promise<number[]> => {
  const shown: number[] = []
  const sent = parcels(2)
  await withRelay(
    {
      session: sessionOf((input, out) => {
        if (input.kind === 'opened') out.dial('daemon')
        if (input.kind === 'bytes') act(out, shown, input)
      }),
    },
    async relay => {
      const { consumer, provider } = relay.connect()
      consumer.send('one')
      for (const [at, word] of ['two', 'six'].entries()) {
        await quiet()
        consumer.send(word, sent.fds.slice(at, at + 1))
      }
      const expected = new Expected()
      for (const [word, identity] of [
        ['one', []],
        ['two', sent.identities.slice(0, 1)],
        ['six', sent.identities.slice(1)],
      ] as const)
        expected.add(Buffer.from(word), identity)
      const reader = new Reader(provider, expected)
      await until('all has come', () => {
        reader.read(100)
        return reader.length === 9
      })
      assert.deepEqual(reader.fds, expected.fds)
    },
  )
  sent.close()
  return shown
}

test('a session is told the byte of the first descriptor that is left, however many waited', async () => {
  let isOn = false
  const shown = await heldBack((out, seen, input) => {
    if (input.kind !== 'bytes') return
    isOn ||= input.view.length === 9
    if (!isOn) return
    seen.push(input.fds.at)
    if (input.fds.at > 0) out.forward('consumer', input.fds.at, 0)
    else out.forward('consumer', input.view.length > 3 ? 2 : 3, 1)
  })
  assert.deepEqual(shown, [3, 0, 1, 0])
})

test('descriptors that waited with bytes that then pass unseen go with theirs', async () => {
  await heldBack((out, _seen, input) => {
    if (input.kind === 'bytes' && input.view.length === 9) out.opaque('consumer', 'until-end')
  })
})

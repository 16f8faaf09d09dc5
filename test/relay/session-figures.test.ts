/** A session that counts figures of its own, run by the relay on real sockets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Figure, Histogram, Session } from '../../src/relay/contract.ts'
import { snapshotOf } from '../../src/relay/counters.ts'
import { manualClock } from '../support/clock.ts'
import { leavesNoDescriptors } from '../support/descriptors.ts'
import { type TestRelay, until, withRelay } from '../support/relay.ts'

leavesNoDescriptors()

const TASTED: Figure = { name: 'tasted', help: 'Bytes by taste.', kind: 'total', labels: { taste: 'odd' } }
const OPEN: Figure = { name: 'open', help: 'Tables that are open.', kind: 'gauge' }
const MEAL: Histogram = { name: 'meal', help: 'From the first course to the last.', bucketsMs: [10, 100] }

/** `o` opens a table, `m` marks, `t` tells the time since; all are counted, and answered. */
const taster = (): Session => ({
  on: (input, out) => {
    if (input.kind === 'ended') out.close('flush')
    if (input.kind !== 'bytes') return
    for (const letter of Buffer.from(input.view).toString()) {
      out.count(TASTED)
      if (letter === 'o') out.count(OPEN)
      if (letter === 'm') out.mark()
      if (letter === 't') out.observe(MEAL)
    }
    out.send('consumer', [Buffer.from(input.view)], 0)
    out.drop('consumer', input.view.length, 0)
  },
})

const figureOf = (relay: TestRelay, name: string): number | undefined =>
  snapshotOf(relay.traffic.counters).figures.find(figure => figure.name === name)?.value

test('what sessions count is summed over the connections of their link', () =>
  withRelay({ session: taster }, async relay => {
    for (const text of ['abc', 'de']) {
      const { consumer } = relay.connect()
      consumer.send(text)
      await consumer.take(text.length)
    }
    assert.deepEqual(snapshotOf(relay.traffic.counters).figures, [
      {
        of: 'protocol',
        name: 'tasted',
        help: TASTED.help,
        labels: { taste: 'odd' },
        kind: 'total',
        value: 5,
      },
    ])
  }))

test('what a connection added to a gauge goes with it, a total stays', () =>
  withRelay({ session: taster }, async relay => {
    const [leaving, staying] = [relay.connect().consumer, relay.connect().consumer]
    for (const consumer of [leaving, staying]) {
      consumer.send('oo')
      await consumer.take(2)
    }
    assert.equal(figureOf(relay, 'open'), 4)
    leaving.close()
    await until('one has ended', () => relay.open.size === 1)
    assert.deepEqual([figureOf(relay, 'open'), figureOf(relay, 'tasted')], [2, 4])
  }))

test("times are told by the relay's clock, from the mark of the same connection", () => {
  const clock = manualClock(5000)
  return withRelay({ session: taster, clock }, async relay => {
    const { consumer } = relay.connect()
    consumer.send('m')
    await consumer.take(1)
    clock.advance(60)
    const other = relay.connect().consumer
    other.send('mt')
    await other.take(2)
    consumer.send('t')
    await consumer.take(1)
    assert.deepEqual(snapshotOf(relay.traffic.counters).histograms, [
      { ...MEAL, counts: [1, 1, 0], sumMs: 60 },
    ])
  })
})

test('a figure that cannot be shown costs neither the connection nor the others', () =>
  withRelay(
    {
      session: () => ({
        on: (input, out) => {
          if (input.kind !== 'bytes') return
          out.count({ ...TASTED, name: 'not a word' })
          out.count(TASTED)
          out.send('consumer', [Buffer.from(input.view)], 0)
          out.drop('consumer', input.view.length, 0)
        },
      }),
    },
    async relay => {
      const { consumer } = relay.connect()
      consumer.send('x')
      await consumer.take(1)
      assert.equal(figureOf(relay, 'tasted'), 1)
      assert.equal(snapshotOf(relay.traffic.counters).figures.length, 1)
      assert.match(relay.log.lines.map(({ message }) => message).join(), /left out/)
    },
  ))

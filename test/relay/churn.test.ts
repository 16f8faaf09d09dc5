/** Many connections at once, whose ends do what they like: nothing is left of them afterwards. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { closeRaw } from '../../src/kernel/fd.ts'
import { leavesNoDescriptors, openDescriptors, parcels } from '../support/descriptors.ts'
import { lineSession } from '../support/line-session.ts'
import {
  type Opened,
  pattern,
  quiet,
  type RelayOptions,
  until,
  type Wire,
  withRelay,
} from '../support/relay.ts'

leavesNoDescriptors()

const STEPS = ['write', 'write much', 'rights', 'read', 'half-close', 'close', 'breathe'] as const
type Step = (typeof STEPS)[number]

const step = fc.record({
  who: fc.nat({ max: 39 }),
  side: fc.constantFrom<('consumer' | 'provider')[]>('consumer', 'provider'),
  what: fc.constantFrom(...STEPS),
})

const KINDS: readonly (readonly [string, RelayOptions])[] = [
  ['streams', {}],
  ['streams without descriptors', { descriptors: 'none' }],
  ['packets', { kind: 'seqpacket' }],
  ['sessions', { session: lineSession }],
]

const act = async (wire: Wire, what: Step, fds: readonly number[]): Promise<void> => {
  switch (what) {
    case 'write':
      wire.send('line of text\n')
      return
    case 'write much':
      for (let i = 0; i < 10; i += 1) wire.send(pattern(30_000))
      return
    case 'rights':
      wire.send('line with rights\n', fds)
      return
    case 'read': {
      const message = wire.receive()
      if (typeof message !== 'number') for (const fd of message.fds) closeRaw(fd)
      return
    }
    case 'half-close':
      wire.endWriting()
      return
    case 'close':
      wire.close()
      return
    case 'breathe':
      await quiet(2)
      return
  }
}

for (const [name, options] of KINDS) {
  test(`${name} whose ends write, stop, close and vanish at random leave nothing behind`, async () => {
    const sent = parcels(7)
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 50, maxLength: 400 }), async steps => {
        const before = openDescriptors()
        await withRelay({ ...options, lingerMs: 30 }, async relay => {
          const opened = Array.from({ length: 40 }, relay.connect)
          const closed = new Set<Wire>()
          const wireOf = (which: Opened | undefined, side: 'consumer' | 'provider'): Wire | undefined => {
            if (which === undefined) return undefined
            if (side === 'consumer') return which.consumer
            const at = opened.indexOf(which)
            return relay.dialer.wires[at]
          }
          for (const { who, side, what } of steps) {
            const wire = wireOf(opened[who], side)
            if (wire === undefined || closed.has(wire)) continue
            await act(wire, what, sent.fds)
            if (what === 'close') closed.add(wire)
          }
          for (const { consumer } of opened) consumer.close()
          for (const wire of relay.dialer.wires) wire.close()
          await until('no connection is left', () => relay.open.size === 0)
          assert.equal(relay.traffic.plane.connections.waiting.size, 0)
        })
        await until('no descriptor is left', () => openDescriptors() <= before)
      }),
      { numRuns: 12 },
    )
    sent.close()
  })
}

test('five hundred connections echo side by side', () =>
  withRelay({}, async relay => {
    const opened = Array.from({ length: 500 }, relay.connect)
    for (const [i, { consumer }] of opened.entries()) consumer.send(`from ${i}`)
    for (const [i, { provider }] of opened.entries()) {
      assert.equal(String((await provider.next()).bytes), `from ${i}`)
      provider.send(`to ${i}`)
    }
    for (const [i, { consumer }] of opened.entries()) {
      assert.equal(String((await consumer.next()).bytes), `to ${i}`)
    }
    assert.equal(relay.open.size, 500)
  }))

/** What holds for every conversation over a `wayland` link, wherever it is cut. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Session } from '../../../src/relay/contract.ts'
import { holdsHoweverCut, type Script, scripts } from '../../fuzz/wayland-conversation.ts'
import { WaylandStage } from '../../support/wayland-stage.ts'
import {
  bind,
  deleteId,
  done,
  filler,
  getRegistry,
  global,
  globalRemove,
  sync,
} from '../../support/wayland-wire.ts'

/** `PVX_TEST_SEED` tries other inputs; fast-check prints it with what it found. */
const SEED = Number(process.env['PVX_TEST_SEED'] ?? 20_261)

const runs = (numRuns: number) => ({ seed: SEED, numRuns, includeErrorInReport: true })

test('whatever a client tries, nothing is bound that it may not see, and cuts make no difference', () => {
  let bound = 0
  let refused = 0
  fc.assert(
    fc.property(scripts, script => {
      const { toProvider, denials } = holdsHoweverCut(script)
      refused += denials
      if (toProvider.length > 200) bound += 1
    }),
    runs(600),
  )
  // They must not all end before anything happens.
  assert.ok(bound > 50 && refused > 50, `${bound} went on, ${refused} were refused`)
})

test('a session that lets a bind through is found out', () => {
  const passesAll: Session = {
    on: (input, out) => {
      if (input.kind === 'opened') out.dial('daemon')
      if (input.kind === 'bytes') out.forward(input.from, input.view.length, input.fds.count)
    },
  }
  const script: Script = {
    steps: [
      {
        writes: Buffer.concat([getRegistry(2), bind(2, 2, 'zwlr_screencopy_manager_v1')]).toString('hex'),
        fds: 0,
      },
    ],
    cuts: [1],
  }
  assert.throws(() => holdsHoweverCut(script, () => passesAll), /screencopy_manager_v1 was bound/)
})

/** A session as it is recorded of a toolkit: what each side writes, with descriptors (`fds`) where its messages have them. */
const RECORDED: readonly {
  readonly side: 'consumer' | 'provider'
  readonly bytes: Buffer
  readonly fds: number
}[] = [
  { side: 'consumer', bytes: Buffer.concat([getRegistry(2), sync(3)]), fds: 0 },
  {
    side: 'provider',
    bytes: Buffer.concat([
      global(2, 1, 'wl_compositor', 5),
      global(2, 2, 'zwlr_layer_shell_v1', 4),
      global(2, 3, 'wl_shm'),
      global(2, 4, 'wl_seat', 7),
      global(2, 5, 'weston_debug_v1'),
      done(3),
      deleteId(3),
    ]),
    fds: 0,
  },
  {
    side: 'consumer',
    bytes: Buffer.concat([bind(2, 1, 'wl_compositor', 4), bind(2, 3, 'wl_shm', 5), bind(2, 4, 'wl_seat', 6)]),
    fds: 0,
  },
  { side: 'provider', bytes: Buffer.concat([filler(6, 12, 0), filler(7, 16, 0)]), fds: 1 },
  { side: 'consumer', bytes: Buffer.concat([filler(5, 16, 0), filler(5, 32, 0), filler(8, 24, 1)]), fds: 2 },
  {
    side: 'provider',
    bytes: Buffer.concat([globalRemove(2, 5), globalRemove(2, 4), filler(8, 12, 1)]),
    fds: 0,
  },
  { side: 'consumer', bytes: Buffer.concat([filler(8, 1400), filler(8, 8, 6)]), fds: 40 },
]

const playedWith = (next: (left: number) => number): WaylandStage => {
  const stage = new WaylandStage()
  let fd = 0
  for (const { side, bytes, fds } of RECORDED) {
    const sent = Array.from({ length: fds }, () => fd++)
    for (let at = 0; at < bytes.length; ) {
      const length = next(bytes.length - at)
      stage.commands.arrive(side, bytes.subarray(at, at + length), at === 0 ? sent : [])
      at += length
    }
  }
  return stage
}

const cameTo = (stage: WaylandStage, side: 'consumer' | 'provider') => ({
  bytes: stage.commands.bytesTo(side).toString('hex'),
  fds: stage.fdsTo(side).map(([, fd]) => fd),
})

test('a recorded session is the same on the other side, split at every single place', () => {
  const whole = playedWith(left => left)
  const expected = [cameTo(whole, 'consumer'), cameTo(whole, 'provider')]
  const total = RECORDED.reduce((sum, { bytes }) => sum + bytes.length, 0)
  for (let place = 1; place < total; place += 1) {
    let left = place
    const stage = playedWith(most => {
      const length = left > 0 && left < most ? left : most
      left -= length
      return length
    })
    assert.deepEqual([cameTo(stage, 'consumer'), cameTo(stage, 'provider')], expected, `split at ${place}`)
  }
})

test('a recorded session is the same on the other side, byte by byte and split at random', () => {
  const whole = playedWith(left => left)
  const expected = [cameTo(whole, 'consumer'), cameTo(whole, 'provider')]
  const bytewise = playedWith(() => 1)
  assert.deepEqual([cameTo(bytewise, 'consumer'), cameTo(bytewise, 'provider')], expected)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }), cuts => {
      let cut = 0
      const stage = playedWith(left => Math.min(left, cuts[cut++ % cuts.length] ?? left))
      assert.deepEqual([cameTo(stage, 'consumer'), cameTo(stage, 'provider')], expected)
    }),
    runs(300),
  )
})

test('no descriptor comes after the message it was sent with', () => {
  const places = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 })
  const sizes = fc.array(fc.tuple(fc.integer({ min: 2, max: 20 }), fc.nat(3)), {
    minLength: 1,
    maxLength: 30,
  })
  fc.assert(
    fc.property(sizes, places, (list, cuts) => {
      const stage = new WaylandStage()
      const due: number[] = []
      let sent = 0
      let end = 0
      let cut = 0
      for (const [words, fds] of list) {
        const bytes = filler(5, words * 4)
        end += bytes.length
        const tokens = Array.from({ length: fds }, () => sent++)
        due.push(...tokens.map(() => end))
        for (let at = 0; at < bytes.length; ) {
          const length = cuts[cut++ % cuts.length] ?? 1
          stage.clientWrites(bytes.subarray(at, at + length), at === 0 ? tokens : [])
          at += length
        }
      }
      const got = stage.fdsTo('provider')
      assert.equal(got.length, sent)
      for (const [at, fd] of got) assert.ok(at < (due[fd] ?? 0), `descriptor ${fd} came at ${at}`)
    }),
    runs(300),
  )
})

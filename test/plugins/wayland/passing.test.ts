/** How messages and descriptors of a `wayland` link pass: whole, in order, and never a descriptor after its message. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Side } from '../../../src/relay/contract.ts'
import { WaylandStage } from '../../support/wayland-stage.ts'
import { bind, filler, getRegistry, global, header, refused, sync } from '../../support/wayland-wire.ts'

const numbers = (count: number, from = 0): readonly number[] =>
  Array.from({ length: count }, (_, at) => from + at)

const DIRECTIONS: readonly (readonly [Side, Side])[] = [
  ['consumer', 'provider'],
  ['provider', 'consumer'],
]

for (const [from, to] of DIRECTIONS) {
  describe(`from the ${from} to the ${to}`, () => {
    const arriving = (...reads: readonly (readonly [Uint8Array, (readonly number[])?])[]): WaylandStage => {
      const stage = new WaylandStage()
      for (const [bytes, fds = []] of reads) stage.commands.arrive(from, bytes, fds)
      return stage
    }
    const fdsOf = (stage: WaylandStage) => stage.fdsTo(to)

    test('only whole messages pass', () => {
      const [one, other] = [filler(5, 24), filler(6, 40)]
      const bytes = Buffer.concat([one, other])
      for (let cut = 1; cut < bytes.length; cut += 1) {
        const stage = arriving([bytes.subarray(0, cut)])
        assert.equal(stage.commands.bytesTo(to).length, cut < 24 ? 0 : 24)
        stage.commands.arrive(from, bytes.subarray(cut))
        assert.deepEqual(stage.commands.bytesTo(to), bytes)
      }
    })

    test('messages of 8 and of 65532 bytes pass, byte by byte', () => {
      const bytes = Buffer.concat([filler(5, 8), filler(6, 65_532), filler(7, 8)])
      const stage = arriving([bytes])
      assert.deepEqual(stage.commands.bytesTo(to), bytes)
    })

    test('a descriptor goes with the next message that is whole, though its own may not be', () => {
      const [one, other] = [filler(5, 16), filler(6, 16)]
      const stage = arriving([Buffer.concat([one, other.subarray(0, 4)]), [7]])
      assert.deepEqual(fdsOf(stage), [[0, 7]])
      stage.commands.arrive(from, other.subarray(4), [8])
      assert.deepEqual(fdsOf(stage), [
        [0, 7],
        [16, 8],
      ])
    })

    test('descriptors wait for the end of their message', () => {
      const one = filler(5, 16)
      const stage = arriving([one.subarray(0, 8), [1, 2]], [one.subarray(8, 12), [3]])
      assert.deepEqual(fdsOf(stage), [])
      stage.commands.arrive(from, one.subarray(12))
      assert.deepEqual(
        fdsOf(stage).map(([, fd]) => fd),
        [1, 2, 3],
      )
    })

    for (const count of [1, 27, 28, 29, 56, 57, 100, 253]) {
      test(`${count} descriptors pass in order, at most 28 with each write`, () => {
        const stage = arriving([filler(5, 48), numbers(count)])
        assert.deepEqual(
          fdsOf(stage).map(([, fd]) => fd),
          numbers(count),
        )
        const shares = stage.sharesTo(to)
        assert.equal(shares.length, Math.ceil(count / 28))
        assert.ok(shares.every(share => share <= 28))
        assert.deepEqual(stage.commands.bytesTo(to), filler(5, 48))
      })
    }

    test('more descriptors than a message could ask for wait for the next one', () => {
      const stage = arriving([filler(5, 8), numbers(253)])
      assert.equal(fdsOf(stage).length, 8 * 28)
      stage.commands.arrive(from, filler(5, 8))
      assert.deepEqual(
        fdsOf(stage).map(([, fd]) => fd),
        numbers(253),
      )
    })

    test('messages are counted, in one go', () => {
      const stage = arriving([Buffer.concat([filler(5, 8), filler(5, 12), filler(5, 8).subarray(0, 4)])])
      assert.equal(stage.counted('messages'), 2)
      assert.equal(stage.commands.said.filter(what => what.startsWith('count messages')).length, 1)
    })
  })
}

test('descriptors beside an event that is left out go with the next that is not', () => {
  const stage = new WaylandStage().clientWrites(getRegistry(2))
  stage.compositorWrites(global(2, 1, 'secret_v1'), [5])
  assert.deepEqual(stage.fdsTo('consumer'), [])
  stage.compositorWrites(
    [global(2, 2, 'another_secret'), filler(7, 16), global(2, 3, 'secret_v3'), filler(8, 16)],
    [6],
  )
  assert.deepEqual(stage.fdsTo('consumer'), [
    [0, 5],
    [0, 6],
  ])
  assert.deepEqual(stage.commands.dropped, [])
  stage.clientGot(filler(7, 16), filler(8, 16))
})

test('more descriptors than one write may carry, beside events that are left out, all pass', () => {
  const stage = new WaylandStage().clientWrites(getRegistry(2))
  stage.compositorWrites(
    [filler(7, 8), global(2, 1, 'secret_v1'), filler(8, 16), global(2, 3, 'secret_v3'), filler(9, 8)],
    numbers(253),
  )
  assert.deepEqual(
    stage.fdsTo('consumer').map(([, fd]) => fd),
    numbers(253),
  )
  assert.ok(stage.sharesTo('consumer').every(share => share <= 28))
})

test('descriptors before a refused request are delivered with what came before it', () => {
  const stage = new WaylandStage().clientWrites([getRegistry(2), sync(3), bind(2, 1, 'secret_v1')], [4, 5])
  assert.deepEqual(
    stage.fdsTo('provider').map(([, fd]) => fd),
    [4, 5],
  )
})

describe('ends', () => {
  test('a compositor that goes is the end of its client, after all its whole messages', () => {
    const stage = new WaylandStage()
      .compositorWrites([filler(5, 16), filler(6, 16).subarray(0, 12)])
      .compositorLeaves()
    stage.clientGot(filler(5, 16))
    assert.equal(stage.closing, 'flush')
  })

  test('a client that goes is the end of its connection, after all its whole messages', () => {
    const stage = new WaylandStage()
      .clientWrites([filler(5, 16), filler(6, 16).subarray(0, 12)])
      .clientLeaves()
    stage.compositorGot(filler(5, 16))
    assert.equal(stage.closing, 'flush')
  })

  test('a client that half-closes is gone as well', () => {
    const stage = new WaylandStage().clientWrites(filler(5, 16))
    stage.commands.end('consumer')
    assert.equal(stage.closing, 'flush')
  })

  test('what a compositor said last is heard though it takes nothing any more, and requests go nowhere', () => {
    const stage = new WaylandStage()
    stage.commands.breaks('provider')
    stage.clientWrites(filler(5, 16), [1]).compositorWrites(filler(6, 16)).compositorLeaves()
    stage.clientGot(filler(6, 16)).compositorGot()
    assert.deepEqual(stage.commands.dropped, [1])
    assert.equal(stage.closing, 'flush')
  })

  test('what a client said last is delivered though it takes nothing any more, and events go nowhere', () => {
    const stage = new WaylandStage()
    stage.commands.breaks('consumer')
    stage.compositorWrites(filler(6, 16), [1]).clientWrites(filler(5, 16)).clientLeaves()
    stage.compositorGot(filler(5, 16)).clientGot()
    assert.deepEqual(stage.commands.dropped, [1])
  })

  test('a compositor that cannot be reached is the end at once', () => {
    const stage = new WaylandStage({ dials: 'when told' }).clientWrites(getRegistry(2))
    stage.commands.dialled('timeout')
    assert.equal(stage.closing, 'now')
  })

  test('what a client writes before its compositor is there comes to it', () => {
    const stage = new WaylandStage({ dials: 'when told' }).clientWrites(getRegistry(2), [3])
    stage.commands.dialled()
    stage.compositorGot(getRegistry(2))
    assert.deepEqual(stage.fdsTo('provider'), [[0, 3]])
  })

  test('a client that leaves before its compositor is there is nobody', () => {
    const stage = new WaylandStage({ dials: 'when told' }).clientWrites(getRegistry(2)).clientLeaves()
    assert.equal(stage.closing, 'now')
  })

  test('a link that is withdrawn closes when all is written', () => {
    const stage = new WaylandStage()
    stage.commands.withdraw()
    assert.equal(stage.closing, 'flush')
  })

  test('a refusal while the compositor is awaited reaches the client, and what came before waits', () => {
    const stage = new WaylandStage({ dials: 'when told' }).clientWrites([
      getRegistry(2),
      bind(2, 1, 'secret_v1'),
    ])
    stage.clientGot(refused(2, 1, 'secret_v1')).compositorGot(getRegistry(2))
    assert.equal(stage.closing, 'flush')
  })

  for (const size of [0, 4, 10, 65_535]) {
    test(`a compositor that says an event has ${size} bytes is given up, after what was whole`, () => {
      const stage = new WaylandStage().compositorWrites([filler(5, 16), header(6, 0, size)])
      stage.clientGot(filler(5, 16))
      assert.equal(stage.closing, 'flush')
      assert.equal(stage.counted('bad_events'), 1)
      assert.deepEqual(stage.said('warn'), [{ consumer: 'app', object: 6, size }])
    })
  }
})

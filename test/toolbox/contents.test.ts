/** The rule by which a look at a directory stands for looks at its names, on file systems with clocks of all kinds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ChangeTime, createContents } from '../../src/toolbox/contents.ts'

/** A directory on a file system whose clock stands still for `stepMs` at a time, and is `aheadMs` ahead of ours. */
const directoryOn = (stepMs: number, aheadMs: number) => {
  let changed = 0
  let changes = 0
  return {
    change: (now: number): void => {
      changed = Math.floor((now + aheadMs) / stepMs) * stepMs
      changes += 1
    },
    changes: () => changes,
    changedAt: (): ChangeTime => ({
      seconds: BigInt(Math.floor(changed / 1000)),
      nanoseconds: (changed % 1000) * 1_000_000,
    }),
  }
}

const act = fc.record({
  afterMs: fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 4000 })),
  what: fc.constantFrom('change', 'look', 'look and change within it'),
})

test('whatever changes at whatever time, the first look after it goes to the names', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 4, 10, 1000),
      fc.integer({ min: 0, max: 100_000 }),
      fc.array(act, { minLength: 5, maxLength: 60 }),
      (stepMs, aheadMs, acts) => {
        const directory = directoryOn(stepMs, aheadMs)
        const contents = createContents()
        let now = 0
        let [version, seen] = [0, 0]
        for (const { afterMs, what } of acts) {
          now += afterMs
          if (what === 'change') {
            directory.change(now)
            continue
          }
          const before = directory.changes()
          const next = contents.seen(directory.changedAt(), now)
          if (what !== 'look') directory.change(now)
          if (next !== version) seen = directory.changes()
          version = next
          assert.ok(seen >= before, `at ${now} ms, ${before - seen} changes were not seen`)
        }
      },
    ),
    { numRuns: 2000 },
  )
})

test('a directory that rests is not looked into any more', () => {
  const contents = createContents()
  const changed = { seconds: 5n, nanoseconds: 1 }
  const versions = [0, 60, 120, 1000, 100_000].map(now => contents.seen(changed, now))
  assert.deepEqual(versions, [1, 2, 3, 3, 3])
})

test('where times have no fraction, a directory must rest for longer', () => {
  const contents = createContents()
  const changed = { seconds: 5n, nanoseconds: 0 }
  const versions = [0, 1000, 2400, 2600, 3600].map(now => contents.seen(changed, now))
  assert.deepEqual(versions, [1, 2, 3, 4, 4])
})

test('a time that cannot be told proves nothing', () => {
  const contents = createContents()
  assert.deepEqual(
    [0, 1000, 2000].map(now => contents.seen(undefined, now)),
    [1, 2, 3],
  )
})

test('a clock that is set back is a change like any other', () => {
  const contents = createContents()
  const later = { seconds: 5n, nanoseconds: 1 }
  for (const now of [0, 200, 400]) contents.seen(later, now)
  assert.equal(contents.seen({ seconds: 4n, nanoseconds: 1 }, 600), 3)
})

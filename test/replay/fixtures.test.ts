/** Every recording of fixtures/recordings is replayed, and shows what its name says. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { inRepository } from '../cli/support.ts'
import { byLink, type Move, recordingIn, replayOf } from './support.ts'

const FOLDER = 'fixtures/recordings'
const RAW = 'app/raw@/run/pvx/raw.sock'
const ADDED = ['injecting.wanted', 'mediating.steady']
const REMOVED = ['tearing-down.closing', 'released']
const FOLLOWED = ['mediating.changing', 'mediating.steady']

/** The states of each link, in order; a retry that fails as before is not told again. */
const STORIES: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  backoff: {
    'app/raw@/opt/pvx/raw.sock': ['injecting.wanted', 'pending.waiting', 'released'],
    [RAW]: [...ADDED, ...REMOVED],
  },
  conflict: {
    [RAW]: [...ADDED, ...REMOVED],
    'app/second@/run/pvx/raw.sock': ['pending.blocked', ...ADDED, ...REMOVED],
  },
  'consumer-restart': {
    [RAW]: [...ADDED, 'tearing-down.renewing', 'injecting.wanted', 'pending.waiting', ...ADDED, ...REMOVED],
  },
  'deleted-socket': { [RAW]: [...ADDED, ...ADDED, ...REMOVED] },
  'denied-role': {
    [RAW]: [...ADDED, ...REMOVED],
    'app/guest@/run/pvx/guest.sock': ['pending.blocked', ...ADDED, ...REMOVED],
  },
  drain: {
    [RAW]: [...ADDED, ...REMOVED],
    'app/other@/run/pvx/other.sock': [...ADDED, ...REMOVED],
  },
  'flapping-provider': {
    [RAW]: [...ADDED, ...Array.from({ length: 6 }, () => FOLLOWED).flat(), ...REMOVED],
  },
  'joined-late': {
    [RAW]: [...ADDED, ...ADDED, ...REMOVED],
    'app/other@/run/pvx/other.sock': ADDED,
  },
  'malformed-graph': { [RAW]: [...ADDED, ...REMOVED] },
  'provider-late': { [RAW]: [...ADDED, ...FOLLOWED, ...REMOVED] },
  'pv-ctrl-away': { [RAW]: [...ADDED, ...REMOVED] },
  'target-occupied': { [RAW]: ['injecting.wanted', 'pending.blocked', ...ADDED, ...REMOVED] },
  'unknown-type': {
    [RAW]: [...ADDED, ...REMOVED],
    'app/odd@/run/pvx/odd': ['pending.blocked', 'released'],
  },
}

const storyOf = (moves: readonly Move[]): readonly string[] => {
  const states: string[] = []
  for (const { to } of moves) {
    const [before, last] = states.slice(-2)
    states.push(to)
    const isAnotherRound = to.startsWith('pending') && last === 'injecting.wanted' && before === to
    if (isAnotherRound) states.splice(-2)
  }
  return states
}

const read = (name: string): string => readFileSync(inRepository(`${FOLDER}/${name}`), 'utf8')

describe('fixtures/recordings', () => {
  it('has no recording that nothing is expected of, and none is missing', () => {
    const names = readdirSync(inRepository(FOLDER)).filter(name => name.endsWith('.rec'))
    assert.deepEqual(
      names.sort(),
      Object.keys(STORIES)
        .map(name => `${name}.rec`)
        .sort(),
    )
    for (const name of names) assert.ok(read('README.md').includes(`\`${name}\``), name)
  })

  it('has no path of the machine on which they were made', () => {
    for (const name of Object.keys(STORIES)) assert.doesNotMatch(read(`${name}.rec`), /\/tmp\//, name)
  })

  for (const [name, story] of Object.entries(STORIES)) {
    describe(`${name}.rec`, () => {
      const recording = recordingIn(read(`${name}.rec`))

      it('is whole, and holds transitions to be compared with', () => {
        assert.deepEqual([recording.torn, recording.unknown], [false, 0])
        assert.ok(recording.lines.some(({ line }) => line.kind === 'transition'))
      })

      it('is replayed as it was recorded', async () => {
        assert.deepEqual((await replayOf(recording)).divergences, [])
      })

      it('shows what it is to show', async () => {
        const { moves } = await replayOf(recording)
        const stories = Object.entries(byLink(moves)).map(([link, each]) => [link, storyOf(each)])
        assert.deepEqual(Object.fromEntries(stories), story)
      })

      it('gives the same bytes when it is replayed again', async () => {
        const [first, second] = [await replayOf(recording), await replayOf(recording)]
        assert.equal(JSON.stringify(second), JSON.stringify(first))
      })
    })
  }
})

describe('what the recordings are there to show', () => {
  const transitionsOf = async (name: string): Promise<readonly Move[]> =>
    (await replayOf(recordingIn(read(`${name}.rec`)))).moves

  it('a link that keeps failing is tried less and less often', async () => {
    const tries = (await transitionsOf('backoff')).filter(({ event }) => event === 'after retryDelay')
    const failures = (await transitionsOf('backoff')).filter(({ event }) => event === 'inject: Left')
    const waits = tries.map(({ t }, index) => t - (failures[index]?.t ?? 0))
    assert.ok(waits.length >= 3)
    for (const [index, wait] of waits.entries()) {
      // Up to a quarter less than it doubles to.
      const most = 250 * 2 ** index
      assert.ok(wait <= most && wait >= 0.75 * most - 1, waits.join(', '))
    }
  })

  it('a target that somebody else has is tried again at each resync', async () => {
    const tries = (await transitionsOf('target-occupied')).filter(({ to }) => to === 'injecting.wanted')
    assert.ok(tries.length >= 2)
    for (const { event } of tries) assert.equal(event, 'link.wanted')
  })

  it('a role that is denied names the rule', async () => {
    const denied = (await transitionsOf('denied-role')).find(({ to }) => to === 'pending.blocked')
    assert.equal(denied?.reason, 'denied by rule 1: deny role=guest')
  })

  it('the loser of a conflict names the winner, and takes over', async () => {
    const moves = byLink(await transitionsOf('conflict'))['app/second@/run/pvx/raw.sock'] ?? []
    assert.equal(moves[0]?.reason, `${RAW} has the target`)
  })
})

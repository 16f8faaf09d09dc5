/** A log that cannot be flooded: what is said at once, what is counted, and that the last of it is always told. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { logOfLink, type QuietLog, quietLog } from '../../src/toolbox/quiet-log.ts'
import { type ManualClock, manualClock } from '../support/clock.ts'
import { fakeLog, type LogLine } from '../support/fakes.ts'

const BURST = 3
const EVERY_MS = 1000
const A = { link: 'app/a@/a' }
const B = { link: 'app/b@/b' }
const HELD = 'log lines were held back'

interface Bench {
  readonly clock: ManualClock
  readonly log: QuietLog
  /** What a reader sees above `debug`. */
  readonly lines: () => readonly LogLine[]
  readonly said: () => readonly string[]
  readonly all: readonly LogLine[]
}

const bench = (isLevelEnabled?: (level: string) => boolean): Bench => {
  const clock = manualClock()
  const sink = fakeLog()
  const log = quietLog(sink, {
    clock,
    burstLines: BURST,
    everyMs: EVERY_MS,
    ...(isLevelEnabled === undefined ? {} : { isLevelEnabled }),
  })
  const lines = (): readonly LogLine[] => sink.lines.filter(({ level }) => level !== 'debug')
  return { clock, log, lines, said: () => lines().map(({ message }) => message), all: sink.lines }
}

const repeat = (count: number, line: (n: number) => void): void => {
  for (let n = 0; n < count; n += 1) line(n)
}

describe('lines about one link', () => {
  test('pass as they come up to the burst', () => {
    const { log, lines } = bench()
    repeat(BURST, n => log.info({ ...A, n }, 'moved'))
    assert.deepEqual(
      lines(),
      [0, 1, 2].map(n => ({ level: 'info', facts: { ...A, n }, message: 'moved' })),
    )
  })

  test('beyond the burst are held back, and one line tells how many, and the last', () => {
    const { clock, log, lines } = bench()
    repeat(BURST + 5, n => log.info({ ...A, n }, 'moved'))
    assert.equal(lines().length, BURST)
    clock.advance(EVERY_MS - 1)
    assert.equal(lines().length, BURST)
    clock.advance(1)
    assert.deepEqual(lines().slice(BURST), [
      {
        level: 'info',
        facts: { ...A, suppressed: 5, last: [{ msg: 'moved', times: 5, n: 7 }] },
        message: HELD,
      },
    ])
  })

  test('without end are one line for each while, for ever', () => {
    const { clock, log, lines } = bench()
    repeat(10_000, () => {
      log.info(A, 'moved')
      clock.advance(EVERY_MS / 100)
    })
    assert.ok(lines().length <= BURST + 100 + 1, `${lines().length} lines`)
    assert.ok(lines().length >= 100, `${lines().length} lines`)
  })

  test('are all there at debug', () => {
    const { log, all } = bench()
    repeat(BURST + 5, n => log.warn({ ...A, n }, 'moved'))
    assert.equal(all.length, BURST + 5)
    assert.deepEqual(all.at(-1), { level: 'debug', facts: { ...A, n: 7 }, message: 'moved' })
  })

  test('take nothing from another link', () => {
    const { log, lines } = bench()
    repeat(50, () => log.info(A, 'moved'))
    repeat(BURST, () => log.info(B, 'moved'))
    assert.equal(lines().filter(({ facts }) => 'link' in facts && facts.link === B.link).length, BURST)
  })

  test('of a kind that is new pass even when there is no budget left', () => {
    const { log, said } = bench()
    repeat(BURST + 1, () => log.info(A, 'moved'))
    log.error(A, 'failed')
    log.error(A, 'failed')
    assert.deepEqual(said(), ['moved', 'moved', 'moved', 'failed'])
  })

  for (const [name, one, other] of [
    ['state', { to: 'mediating' }, { to: 'pending.blocked' }],
    ['verdict', { verdict: 'Admitted' }, { verdict: 'Denied' }],
    ['errno', { errno: 'ENOENT' }, { errno: 'EACCES' }],
    ['event', { audit: 'call' }, { audit: 'signal' }],
    ['error', { error: { _tag: 'PeerGone' } }, { error: { _tag: 'TargetOccupied' } }],
  ] as const) {
    test(`with another ${name} are of another kind`, () => {
      const { log, lines } = bench()
      repeat(BURST + 1, () => log.info({ ...A, ...one }, 'moved'))
      log.info({ ...A, ...other }, 'moved')
      assert.equal(lines().length, BURST + 1)
    })
  }

  test("with another reason are not: the words may be anybody's", () => {
    const { log, lines } = bench()
    repeat(BURST + 5, n => log.info({ ...A, reason: `${n}` }, 'moved'))
    assert.equal(lines().length, BURST)
  })

  test('can have so many kinds and no more', () => {
    const { clock, log, lines } = bench()
    repeat(1000, n => log.warn(A, `message ${n}`))
    assert.ok(lines().length <= BURST + 32, `${lines().length} lines`)
    clock.advance(EVERY_MS)
    const last = lines().at(-1)?.facts
    assert.ok(last !== undefined && 'last' in last && Array.isArray(last.last))
    assert.ok(last.last.length <= 33)
  })

  test('of a new kind say how many of their message came before, which are not told again as if newer', () => {
    const { clock, log, lines } = bench()
    repeat(BURST + 4, () => log.info({ ...A, to: 'mediating' }, 'moved'))
    log.info({ ...A, to: 'released' }, 'moved')
    assert.deepEqual(lines().at(-1)?.facts, { ...A, to: 'released', suppressed: 4 })
    clock.advance(10 * EVERY_MS)
    assert.equal(lines().length, BURST + 1)
  })

  test('are told by message, each with its last, at the level of the worst', () => {
    const { clock, log, lines } = bench()
    repeat(BURST, () => log.info(A, 'moved'))
    log.error({ ...A, n: 0, err: new Error('a bug') }, 'failed')
    repeat(2, n => log.info({ ...A, n }, 'moved'))
    repeat(3, n => log.error({ ...A, n, err: new Error('a bug') }, 'failed'))
    clock.advance(EVERY_MS)
    assert.deepEqual(lines().at(-1), {
      level: 'error',
      facts: {
        ...A,
        suppressed: 5,
        last: [
          { msg: 'moved', times: 2, n: 1 },
          { msg: 'failed', times: 3, n: 2, err: 'a bug' },
        ],
      },
      message: HELD,
    })
  })

  test('have their budget back after a while without any', () => {
    const { clock, log, lines } = bench()
    repeat(BURST + 1, () => log.info(A, 'moved'))
    clock.advance((BURST + 1) * EVERY_MS)
    const before = lines().length
    repeat(BURST, () => log.info(A, 'moved'))
    assert.equal(lines().length, before + BURST)
  })

  test('below the level of the log use nothing up', () => {
    const { log, said } = bench(level => level !== 'info')
    repeat(50, () => log.info(A, 'moved'))
    repeat(BURST, () => log.warn(A, 'failed'))
    assert.deepEqual(said(), ['failed', 'failed', 'failed'])
  })
})

describe('lines about what clients of a link cause', () => {
  test('share one budget, and held back are counted, but not there at debug', () => {
    const clock = manualClock()
    const sink = fakeLog()
    const log = quietLog(sink, { clock, burstLines: 1, everyMs: EVERY_MS, ofClients: true })
    repeat(1000, n => log.warn({ n }, 'refused'))
    repeat(3, n => log.warn({ n }, 'gone'))
    assert.deepEqual(
      sink.lines.map(({ message }) => message),
      ['refused', 'gone'],
    )
    clock.advance(EVERY_MS)
    assert.deepEqual(sink.lines.at(-1)?.facts, {
      suppressed: 1001,
      last: [
        { msg: 'refused', times: 999, n: 999 },
        { msg: 'gone', times: 2, n: 2 },
      ],
    })
  })
})

describe('lines about no link', () => {
  test('have a budget for each message', () => {
    const { log, said } = bench()
    repeat(50, n => log.warn({ entry: n }, 'rejected'))
    repeat(BURST, () => log.warn({}, 'unreadable'))
    assert.equal(said().filter(message => message === 'rejected').length, BURST)
    assert.equal(said().filter(message => message === 'unreadable').length, BURST)
  })

  test('that are held back are told as well', () => {
    const { clock, log, lines } = bench()
    repeat(50, n => log.warn({ entry: n }, 'rejected'))
    clock.advance(EVERY_MS)
    assert.deepEqual(lines().at(-1), {
      level: 'warn',
      facts: { suppressed: 47, last: [{ msg: 'rejected', times: 47, entry: 49 }] },
      message: HELD,
    })
  })
})

describe('the log', () => {
  test('that is given up tells what it holds back, and keeps no timer', () => {
    const { clock, log, said } = bench()
    repeat(BURST + 1, () => log.info(A, 'moved'))
    log.flush()
    log.flush()
    assert.deepEqual(said(), ['moved', 'moved', 'moved', HELD])
    assert.equal(clock.armed, 0)
  })

  test('knows no more links than so many at a time, and those beyond share a budget', () => {
    const { clock, log, lines } = bench()
    const links = 20_000
    repeat(links, n => log.info({ link: `app/${n}@/x` }, 'moved'))
    const told = lines().length
    assert.ok(told < 16_384 + 2 * BURST, `${told} lines`)
    clock.advance(BURST * EVERY_MS)
    const before = lines().length
    repeat(1000, n => log.info({ link: `net/${n}@/y` }, 'moved'))
    assert.equal(lines().length, before + 1000)
  })

  test('of a link says so in each line, whatever the line says', () => {
    const sink = fakeLog()
    const log = logOfLink(sink, A.link)
    log.info({ link: 'another', n: 1 }, 'moved')
    assert.deepEqual(sink.lines, [{ level: 'info', facts: { ...A, n: 1 }, message: 'moved' }])
  })
})

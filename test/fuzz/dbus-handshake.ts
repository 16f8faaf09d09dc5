/**
 * Handshakes of `dbus` links: any lines of either end, cut anywhere. Whatever a client says, its bus is only ever told the daemon's own
 * words until the messages begin, and where reads of the client are cut makes no difference to anybody.
 */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { DbusStage, GUID, line } from '../support/dbus-stage.ts'

/** In texts `⏎` stands for CRLF, and `␀` for the NUL. `to`: how much of it comes at a time. */
const Step = t.type({ side: t.keyof({ consumer: null, provider: null }), text: t.string, piece: t.number })
type Step = t.TypeOf<typeof Step>

export const Handshakes = t.readonlyArray(Step)
type Handshakes = t.TypeOf<typeof Handshakes>

const CLIENT_LINES = [
  'AUTH EXTERNAL 30',
  'AUTH EXTERNAL',
  'AUTH EXTERNAL 3x',
  'AUTH ANONYMOUS 30',
  'AUTH',
  'DATA',
  'DATA 30',
  'CANCEL',
  'ERROR "no"',
  'NEGOTIATE_UNIX_FD',
  'BEGIN',
  'BEGIN x',
  'begin',
  '',
  ' AUTH EXTERNAL 30',
  'x'.repeat(300),
]

const BUS_LINES = [
  `OK ${GUID}`,
  'OK',
  'OK zz',
  'AGREE_UNIX_FD',
  'ERROR "no"',
  'REJECTED EXTERNAL',
  'DATA',
  '',
  'x'.repeat(300),
]

const odd = fc.oneof(
  fc.constantFrom('␀', '\n', '\r', '\r\n\n', '\x7f', 'ÿ', '\t', '⏎⏎'),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map(each => String.fromCharCode(each)), maxLength: 12 }),
)

const texts = (lines: readonly string[]): fc.Arbitrary<string> =>
  fc
    .array(
      fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom(...lines).map(each => `${each}⏎`) },
        { weight: 1, arbitrary: odd },
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map(all => all.join(''))

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      side: fc.constant('consumer' as const),
      text: texts(CLIENT_LINES),
      piece: fc.constantFrom(1, 3, 10_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      side: fc.constant('provider' as const),
      text: texts(BUS_LINES),
      piece: fc.constantFrom(1, 3, 10_000),
    }),
  },
)

export const handshakes: fc.Arbitrary<Handshakes> = fc
  .tuple(fc.boolean(), fc.array(step, { maxLength: 10 }))
  .map(([isGood, steps]) =>
    isGood ? [{ side: 'consumer' as const, text: '␀AUTH EXTERNAL 30⏎', piece: 10_000 }, ...steps] : steps,
  )

const playedWith = (steps: Handshakes, pieceOf: (step: Step) => number): DbusStage => {
  const stage = new DbusStage()
  for (const one of steps) {
    const bytes = line(one.text)
    const piece = pieceOf(one)
    for (let at = 0; at < bytes.length; at += piece) stage.sends(one.side, bytes.subarray(at, at + piece))
  }
  return stage
}

/** All that a bus may ever hear before the messages. */
const OWN_WORDS = /^AUTH EXTERNAL 31303030⏎(?:NEGOTIATE_UNIX_FD⏎)?(?:BEGIN⏎)?/

const isOwnWords = (text: string): boolean => {
  if (text === '') return true
  const [whole = ''] = OWN_WORDS.exec(text) ?? []
  // Behind BEGIN come messages, and no text of ours makes a whole one.
  return whole === text
}

export const nobodySpeaksForUs = (steps: Handshakes): void => {
  const stage = playedWith(steps, ({ piece }) => piece)
  assert.ok(isOwnWords(stage.text('provider')), `the bus was told ${stage.text('provider')}`)
  // The client's alone: a bus that says what nobody asked it for is noticed sooner or later.
  const whole = playedWith(steps, ({ side, piece }) => (side === 'consumer' ? 1_000_000 : piece))
  const bytewise = playedWith(steps, ({ side, piece }) => (side === 'consumer' ? 1 : piece))
  for (const other of [whole, bytewise]) {
    assert.equal(other.text('provider'), stage.text('provider'))
    assert.equal(other.text('consumer'), stage.text('consumer'))
    assert.equal(other.closing, stage.closing)
    assert.deepEqual(other.reports, stage.reports)
  }
  stage.commands.elapse(200_000)
  if (!stage.text('provider').endsWith('BEGIN⏎'))
    assert.notEqual(stage.closing, undefined, 'it may wait for ever')
}

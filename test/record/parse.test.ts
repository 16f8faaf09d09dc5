/** From a file to a recording: what is taken, what is left out, and what makes it useless. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { E } from '../../src/fp.ts'
import { describeRecordingError } from '../../src/record/errors.ts'
import { FORMAT, type Recording } from '../../src/record/format.ts'
import { parseRecording } from '../../src/record/parse.ts'

const HEADER = { format: FORMAT, version: 1, startedAt: '2030-01-01T00:00:00.000Z' }

const textOf = (...lines: readonly unknown[]): string =>
  lines.map(line => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('')

const taken = (text: string): Recording => {
  const recording = parseRecording(text)
  return E.isRight(recording) ? recording.right : assert.fail(describeRecordingError(recording.left))
}

const refused = (text: string): string => {
  const recording = parseRecording(text)
  return E.isLeft(recording) ? describeRecordingError(recording.left) : assert.fail('it was taken')
}

describe('a recording', () => {
  it('may have no line but its header', () => {
    assert.deepEqual(taken(textOf(HEADER)), { header: HEADER, lines: [], torn: false, unknown: 0 })
  })

  it('keeps the numbers of its lines, empty ones counted', () => {
    const same = { t: 1, kind: 'same-graph' }
    assert.deepEqual(taken(textOf(HEADER, '', same, same)).lines, [
      { number: 3, line: same },
      { number: 4, line: same },
    ])
  })

  it('has graphs as text, or as base64 where they are none', () => {
    const lines = [
      { t: 0, kind: 'graph', body: '[]' },
      { t: 1, kind: 'graph', base64: '/w==' },
    ]
    assert.deepEqual(
      taken(textOf(HEADER, ...lines)).lines.map(({ line }) => line),
      lines,
    )
  })

  it('leaves out a last line that is torn, wherever it tore', () => {
    const whole = textOf(HEADER, { t: 1, kind: 'same-graph' })
    const last = JSON.stringify({ t: 2, kind: 'process-exited', pid: 77 })
    for (let cut = 1; cut < last.length; cut += 1) {
      const recording = taken(whole + last.slice(0, cut))
      assert.deepEqual([recording.lines.length, recording.torn], [1, true], last.slice(0, cut))
    }
    assert.deepEqual([taken(whole + last).lines.length, taken(whole + last).torn], [2, false])
  })

  it('leaves out an end that a disk has filled with zeroes', () => {
    const recording = taken(`${textOf(HEADER, { t: 1, kind: 'same-graph' })}\0\0\0\0`)
    assert.deepEqual([recording.lines.length, recording.torn], [1, true])
  })

  it('leaves out lines of a kind that a later version may have, and counts them', () => {
    const recording = taken(textOf(HEADER, { t: 1, kind: 'earthquake' }, { t: 2, kind: 'same-graph' }))
    assert.deepEqual([recording.lines.length, recording.unknown], [1, 1])
  })

  it('may have come by way of Windows', () => {
    const text = textOf(HEADER, { t: 1, kind: 'same-graph' }).replaceAll('\n', '\r\n')
    const recording = taken(`${text}\r\n`)
    assert.deepEqual([recording.lines.length, recording.torn], [1, false])
  })

  it('takes fields that it does not know', () => {
    assert.equal(
      taken(textOf({ ...HEADER, colour: 'red' }, { t: 1, kind: 'same-graph', mood: 1 })).lines.length,
      1,
    )
  })

  it('of a graph alone is a recording of one read', () => {
    for (const body of ['[]', '\n [ {"type":"unix"} ]\n', '[{"torn":']) {
      assert.deepEqual(taken(body).lines, [{ number: 1, line: { t: 0, kind: 'graph', body } }])
    }
  })
})

describe('what is no recording', () => {
  const rows: readonly (readonly [string, string, RegExp])[] = [
    ['nothing at all', '', /first line is neither/],
    ['another JSON', '{"a":1}\n', /first line is neither/],
    ['text', 'hello\n[]', /first line is neither/],
    ['a later version', textOf({ ...HEADER, version: 2 }), /version 2, which a later pv-xconnect has made/],
    ['a header without its time', textOf({ ...HEADER, startedAt: 'noon' }), /startedAt is no time: "noon"/],
    ['a header with a wrong seed', textOf({ ...HEADER, seed: 'x' }), /its header: seed/],
    ['a line in the middle that is none', textOf(HEADER, '{"t":', { t: 1, kind: 'same-graph' }), /line 2/],
    ['a line without a kind', textOf(HEADER, { t: 1 }, { t: 1, kind: 'same-graph' }), /line 2: kind/],
    [
      'a line without its time',
      textOf(HEADER, { kind: 'same-graph' }, { t: 1, kind: 'same-graph' }),
      /line 2: same-graph: t/,
    ],
    [
      'time that goes back',
      textOf(
        HEADER,
        { t: 5, kind: 'same-graph' },
        { t: 4, kind: 'same-graph' },
        { t: 9, kind: 'same-graph' },
      ),
      /line 3: it goes back in time, from 5 to 4/,
    ],
    [
      'an effect with an error that has no words',
      textOf(
        HEADER,
        {
          t: 1,
          kind: 'effect',
          link: 'a',
          call: 'onLinkAdded',
          result: { _tag: 'Left', left: { _tag: 'Odd' } },
        },
        { t: 2, kind: 'same-graph' },
      ),
      /line 2: effect: /,
    ],
    [
      'a time that depends on where it is read',
      textOf({ ...HEADER, startedAt: '2030-01-01 12:00' }),
      /startedAt is no time: "2030-01-01 12:00"/,
    ],
    [
      'a time beyond all time',
      textOf(HEADER, { t: 1e300, kind: 'same-graph' }, '{}'),
      /line 2: same-graph: t: 1e\+300/,
    ],
    [
      'a wall clock that shows no time',
      textOf(HEADER, '{"t":1,"kind":"clock","wall":1e999}', '{}'),
      /line 2: clock: wall: Infinity/,
    ],
    [
      'a limit of 0, with which a retry would never end',
      textOf({ ...HEADER, config: { limits: { retryMs: 0 } } }),
      /its header: config.limits.retryMs: 0/,
    ],
    [
      'a pid that is none',
      textOf(HEADER, { t: 1, kind: 'process-exited', pid: -4 }, '{}'),
      /line 2: process-exited: pid/,
    ],
  ]
  for (const [name, text, words] of rows) {
    it(`${name}: says why`, () => assert.match(refused(text), words))
  }

  it('never throws, whatever it is', () => {
    const value = fc.jsonValue({ maxDepth: 3 })
    const kind = fc.constantFrom(
      'graph',
      'effect',
      'plugins',
      'opinion',
      'joined',
      'policy',
      'transition',
      'x',
    )
    const line = fc.oneof(
      fc.string(),
      value,
      fc.record({ t: value, kind, link: value, result: value, types: value }),
    )
    fc.assert(
      fc.property(fc.array(line, { maxLength: 5 }), fc.boolean(), (lines, withHeader) => {
        const texts = lines.map(each => (typeof each === 'string' ? each : JSON.stringify(each)))
        parseRecording([...(withHeader ? [JSON.stringify(HEADER)] : []), ...texts].join('\n'))
      }),
      { numRuns: 500 },
    )
  })
})

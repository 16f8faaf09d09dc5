import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { E } from '../../src/fp.ts'
import { decodeOptions, type Options } from './arguments.ts'

const MEASURES = ['bulk', 'start']

const optionsOf = (...args: readonly string[]): Options => {
  const decoded = decodeOptions(args, MEASURES)
  if (E.isLeft(decoded)) throw new Error(decoded.left.join('; '))
  return decoded.right
}

const problemsOf = (...args: readonly string[]): string => {
  const decoded = decodeOptions(args, MEASURES)
  if (E.isRight(decoded)) throw new Error('nothing is wrong with it')
  return decoded.left.join('\n')
}

describe('the options of the benchmark', () => {
  test('all have defaults', () => {
    assert.deepEqual(optionsOf(), {
      settings: { rounds: 5, window: { warmMs: 200, forMs: 1000 }, quick: false },
      only: null,
      peers: [],
      jsonFile: null,
      help: false,
    })
  })

  test('--quick makes rounds few and short, unless they are given', () => {
    assert.deepEqual(optionsOf('--quick').settings, {
      rounds: 2,
      window: { warmMs: 40, forMs: 200 },
      quick: true,
    })
    assert.equal(optionsOf('--quick', '--rounds', '7').settings.rounds, 7)
  })

  test('--seconds may be a fraction', () => {
    assert.deepEqual(optionsOf('--seconds', '0.5').settings.window, { warmMs: 100, forMs: 500 })
  })

  test('--peer may be repeated, and is a whole command', () => {
    assert.deepEqual(optionsOf('--peer', 'a -x', '--peer', 'b').peers, ['a -x', 'b'])
  })

  test('--only takes several names', () => {
    assert.deepEqual(optionsOf('--only', 'bulk,start').only, ['bulk', 'start'])
  })

  test('every mistake is reported at once', () => {
    const problems = problemsOf('--rounds', '0', '--seconds', 'x', '--only', 'bulk,swim', '--peer', ' ')
    assert.match(problems, /--rounds is "0"/)
    assert.match(problems, /--seconds is "x"/)
    assert.match(problems, /there is no measure swim; there are bulk, start/)
    assert.match(problems, /--peer is empty/)
  })

  test('an unknown option is refused by its name', () => {
    assert.match(problemsOf('--speed'), /--speed/)
  })
})

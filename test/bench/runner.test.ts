import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Lane, Trial } from './contract.ts'
import { runTrials } from './runner.ts'

const silent = (): void => undefined

/** Lanes that note whose turn it was, and give how many turns they have had. */
const noting = (order: string[], ...names: readonly string[]): readonly Lane[] =>
  names.map(name => {
    let turns = 0
    return {
      contender: name,
      role: 'tool',
      sample: async () => {
        order.push(name)
        turns += 1
        return { turns }
      },
    }
  })

const trial = (lanes: readonly Lane[]): Trial => ({ figures: [], lanes })

const failing = (contender: string, inRound: number): Lane => {
  let round = 0
  return {
    contender,
    role: 'ours',
    sample: async () => {
      round += 1
      if (round === inRound) throw new Error('3 bytes were lost')
      return { round }
    },
  }
}

describe('the rounds of a measure', () => {
  test('go through all trials, each time with another one first', async () => {
    const order: string[] = []
    await runTrials('m', [trial(noting(order, 'a', 'b')), trial(noting(order, 'x', 'y'))], 3, silent)
    assert.equal(order.join(''), 'abxy' + 'bayx' + 'abxy')
  })

  test('keep the samples of each in the order of the rounds', async () => {
    const { trials } = await runTrials('m', [trial(noting([], 'a', 'b'))], 3, silent)
    const turns = [{ turns: 1 }, { turns: 2 }, { turns: 3 }]
    assert.deepEqual(
      trials[0]?.rows.map(({ contender, samples }) => [contender, samples]),
      [
        ['a', turns],
        ['b', turns],
      ],
    )
  })

  test('leave out whoever failed, and keep what it gave before', async () => {
    const { trials, problems } = await runTrials('m', [trial([failing('f', 2)])], 3, silent)
    assert.deepEqual(trials[0]?.rows[0]?.samples, [{ round: 1 }, undefined, undefined])
    assert.deepEqual(problems, [{ measure: 'm', contender: 'f', role: 'ours', what: '3 bytes were lost' }])
  })

  test('go on for the others when one failed', async () => {
    const order: string[] = []
    await runTrials('m', [trial([failing('f', 1), ...noting(order, 'a')])], 3, silent)
    assert.equal(order.join(''), 'aaa')
  })

  test('are told one by one', async () => {
    const told: string[] = []
    await runTrials('m', [], 2, (round, rounds) => told.push(`${round} of ${rounds}`))
    assert.deepEqual(told, ['1 of 2', '2 of 2'])
  })
})

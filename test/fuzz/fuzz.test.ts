/** The fuzzer itself finds what is there to be found; and what was found once is tried again for ever. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { crashFiles, keepCrash, readCrash } from './crashes.ts'
import { runTarget } from './supervisor.ts'
import { Found, type Target } from './target.ts'
import { loadTarget, targetNames } from './targets.ts'

const BROKEN = fileURLToPath(new URL('./broken/', import.meta.url))

const broken = (target: string, patienceMs = 60_000) =>
  runTarget({ target, folder: BROKEN, seed: 1, seconds: 60, patienceMs })

const foundBy = async (target: Target, seed: number): Promise<Found> => {
  try {
    await target.run(seed)
  } catch (why) {
    if (why instanceof Found) return why
    throw why
  }
  return assert.fail('nothing was found')
}

describe('the fuzzer', () => {
  it('finds an input that breaks an invariant, and makes it small', async () => {
    const { finding, rounds } = await broken('errs')
    assert.deepEqual(finding?.culprit, { check: 'small', input: 1000 })
    assert.match(finding?.reason ?? '', /small does not hold: 1000 is large/)
    assert.equal(rounds, 1)
  })

  it('finds the same from the same seed', async () => {
    const target = await loadTarget('errs', BROKEN)
    const [first, second] = [await foundBy(target, 7), await foundBy(target, 7)]
    assert.deepEqual([first.check, first.input], [second.check, second.input])
  })

  it('names the input that ends the process', async () => {
    const { finding } = await broken('dies')
    assert.match(finding?.reason ?? '', /SIGSEGV/)
    assert.equal(finding?.culprit?.check, 'letters')
    assert.equal(String(finding?.culprit?.input).length, 3)
  })

  it('names the input that blocks the process', async () => {
    const { finding } = await broken('blocks', 1000)
    assert.match(finding?.reason ?? '', /longer than 1 s/)
    assert.ok(Number(finding?.culprit?.input) > 50)
  })

  it('finds that requests behind the first one are anonymous, where they are', async () => {
    const { finding } = await broken('forgets')
    assert.equal(finding?.culprit?.check, 'reading')
    assert.match(finding?.reason ?? '', /identity of /)
    assert.equal(String(finding?.culprit?.input).split('HTTP/1.1').length, 3, 'two requests are enough')
  })

  it('counts what it tried, for as long as it was told to', async () => {
    const { finding, tallies, rounds } = await runTarget({ target: 'arguments', seed: 1, seconds: 0 })
    assert.equal(finding, undefined)
    assert.equal(rounds, 1)
    assert.equal(tallies['line']?.inputs, 500)
  })

  it('keeps what it found in a file, from which it is tried again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pvx-crashes-'))
    try {
      const target = await loadTarget('errs', BROKEN)
      const { check, seed, input, message } = await foundBy(target, 1)
      keepCrash('errs', { check, seed, input, reason: message }, folder)
      keepCrash('errs', { check, seed: 2, input, reason: 'again' }, folder)
      const files = crashFiles(folder)
      assert.deepEqual(
        files.map(file => file.target),
        ['errs'],
      )
      const kept = readCrash(files[0]?.path ?? '')
      await assert.rejects(target.replay(kept.check, kept.input), /1000 is large/)
      await target.replay('small', 999)
      await assert.rejects(target.replay('small', 'many'), /has no such inputs/)
      await assert.rejects(target.replay('smaller', 999), /has no check smaller/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

/** Whole rounds are for `npm run fuzz`; these show that targets and program still fit together. */
const SHARE = 0.1

describe('fuzz targets', () => {
  for (const name of targetNames()) {
    it(`${name} holds for some inputs`, async () => (await loadTarget(name)).run(20_251, undefined, SHARE))
  }
})

describe('inputs that once broke an invariant', () => {
  for (const { target, path } of crashFiles()) {
    it(`${target} holds for ${basename(path)}`, async () => {
      const { check, input } = readCrash(path)
      assert.ok(targetNames().includes(target), `${relative('.', path)} is of no target`)
      await (await loadTarget(target)).replay(check, input)
    })
  }
})

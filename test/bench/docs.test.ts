/** docs/benchmarks.md says what the benchmark does: measures and options are compared both ways. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { USAGE } from './arguments.ts'
import { MEASURES } from './measures/index.ts'

const page = readFileSync('docs/benchmarks.md', 'utf8')

const wordsOf = (text: string, pattern: RegExp): readonly string[] =>
  [...text.matchAll(pattern)].flatMap(([, word]) => word ?? [])

describe('docs/benchmarks.md', () => {
  test('has a row for each measure, in their order', () => {
    const figures = page.slice(page.indexOf('## The figures'), page.indexOf('## An example'))
    assert.deepEqual(
      wordsOf(figures, /^\| `([a-z-]+)` \|/gm),
      MEASURES.map(({ name }) => name),
    )
  })

  test('names no option that does not exist', () => {
    const known = wordsOf(USAGE, /(--[a-z]+)/g)
    for (const option of wordsOf(page, /(?:^|[ `])(--[a-z]+)/gm)) assert.ok(known.includes(option), option)
  })

  test('shows every measure in its example', () => {
    const example = page.slice(page.indexOf('## An example'), page.indexOf('## `--json'))
    for (const { name, title } of MEASURES) assert.ok(example.includes(`${name}: ${title}`), name)
  })
})

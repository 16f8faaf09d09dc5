import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { E } from '../../src/fp.ts'
import type { ReadError } from '../../src/graph/errors.ts'
import { sourceOf } from '../../src/graph/source.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'

const entry = '{"type":"unix","name":"n","consumer":"c","socket":"/s"}'

const reading = async (...bodies: readonly (string | ReadError)[]): Promise<readonly string[]> => {
  const left = [...bodies]
  const source = sourceOf(async () => {
    const next = left.shift() ?? ''
    return typeof next === 'string' ? E.right(Buffer.from(next)) : E.left(next)
  }, DEFAULT_LIMITS)
  const tags: string[] = []
  while (left.length > 0) {
    const result = await source.read()()
    tags.push(E.isLeft(result) ? result.left._tag : result.right._tag)
  }
  return tags
}

describe('graph source', () => {
  it('a body equal to the last one is unchanged, one that differs in a blank is decoded', async () => {
    assert.deepEqual(await reading(`[${entry}]`, `[${entry}]`, `[${entry} ]`), [
      'Graph',
      'Unchanged',
      'Graph',
    ])
  })

  it('a failed read does not make the same graph news', async () => {
    const gone: ReadError = { _tag: 'Unreachable', socketPath: '/x', errno: 'ENOENT' }
    assert.deepEqual(await reading('[]', gone, '{}', '[]'), [
      'Graph',
      'Unreachable',
      'NotAnArray',
      'Unchanged',
    ])
  })
})

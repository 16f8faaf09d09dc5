import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createCatalogue } from '../../src/plugin/catalogue.ts'
import { aLink } from '../support/builders.ts'
import { fakePlugin } from '../support/fakes.ts'

describe('plugin catalogue', () => {
  it('a plugin is loaded when its type first appears, once', async () => {
    let loads = 0
    const plugin = fakePlugin('unix')
    const catalogue = createCatalogue({
      unix: async () => {
        loads += 1
        return { default: plugin }
      },
    })
    assert.equal(catalogue.supports('unix'), true)
    assert.equal(catalogue.plugin('unix'), undefined)
    await Promise.all([catalogue.load(['unix']), catalogue.load(['unix', 'unix'])])
    assert.equal(loads, 1)
    assert.equal(catalogue.plugin('unix'), plugin)
    assert.equal(catalogue.canChange('unix'), true)
  })

  it('the export may be called plugin too', async () => {
    const plugin = fakePlugin('unix')
    const catalogue = createCatalogue({ unix: async () => ({ plugin }) })
    await catalogue.load(['unix'])
    assert.equal(catalogue.plugin('unix'), plugin)
  })

  it('an unknown type is unsupported, those that every object inherits too', async () => {
    const catalogue = createCatalogue({})
    await catalogue.load(['gpio', 'constructor', '__proto__'])
    for (const type of ['gpio', 'constructor', '__proto__']) {
      assert.equal(catalogue.supports(type), false)
      assert.equal(catalogue.canChange(type), false)
    }
  })

  const broken: readonly (readonly [string, () => Promise<unknown>, string])[] = [
    ['throws while it loads', () => Promise.reject(new Error('no such file')), 'no such file'],
    ['exports nothing', async () => ({}), 'it exports no plugin'],
    ['is for another type', async () => ({ default: fakePlugin('rest') }), 'it says it is for type "rest"'],
    [
      'lacks a handler',
      async () => ({ default: { ...fakePlugin('unix'), onLinkRemoved: undefined } }),
      'onLinkRemoved is missing',
    ],
    [
      'has a handler that is none',
      async () => ({ default: { ...fakePlugin('unix'), admits: 'yes' } }),
      'admits is no function',
    ],
    ['has no name', async () => ({ default: { ...fakePlugin('unix'), name: 1 } }), 'its name is no string'],
  ]
  for (const [name, loader, message] of broken) {
    it(`a plugin that ${name} blocks its own type only, and says why`, async () => {
      const catalogue = createCatalogue({ unix: loader, rest: async () => ({ default: fakePlugin('rest') }) })
      await catalogue.load(['unix', 'rest'])
      assert.equal(catalogue.supports('unix'), false)
      assert.equal(catalogue.failure('unix'), `plugin unix failed to load: ${message}`)
      assert.deepEqual(catalogue.admits(aLink().build()), {
        _tag: 'Unsupported',
        reason: catalogue.failure('unix'),
      })
      assert.equal(catalogue.supports('rest'), true)
    })
  }

  it("a plugin's opinion that throws is a refusal", async () => {
    const admits = () => {
      throw new Error('oops')
    }
    const catalogue = createCatalogue({ unix: async () => ({ default: fakePlugin('unix', { admits }) }) })
    await catalogue.load(['unix'])
    assert.deepEqual(catalogue.admits(aLink().build()), {
      _tag: 'Unsupported',
      reason: 'plugin unix failed: oops',
    })
  })
})

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SimulatedClock } from 'xstate'
import { createCatalogue, type PluginCatalogue } from '../../src/plugin/catalogue.ts'
import type { Complaint, Found } from '../../src/plugin/folder.ts'
import { aLink } from '../support/builders.ts'
import { fakeLog, fakePlugin, type LogLine, settled } from '../support/fakes.ts'

interface Bench {
  readonly catalogue: PluginCatalogue
  readonly clock: SimulatedClock
  readonly lines: readonly LogLine[]
  /** What the folder has, by type. */
  readonly there: Map<string, Found | Promise<Found>>
  complaints: readonly Complaint[]
  /** How often it was looked for a type. */
  readonly looks: Map<string, number>
  changes: number
  /** As a pass does: the types of a graph, and what came of it. */
  wants(types: readonly string[], again?: boolean): Promise<void>
  /** Why a link of the type is not admitted; `undefined` where it would be. */
  refusal(type: string): string | undefined
  said(): readonly unknown[]
}

const bench = (): Bench => {
  const clock = new SimulatedClock()
  const log = fakeLog()
  const b: Bench = {
    clock,
    lines: log.lines,
    there: new Map(),
    complaints: [],
    looks: new Map(),
    changes: 0,
    catalogue: createCatalogue(
      { unix: async () => ({ default: fakePlugin('unix') }) },
      {
        folder: {
          path: '/plugins',
          find: async type => {
            b.looks.set(type, (b.looks.get(type) ?? 0) + 1)
            return (await b.there.get(type)) ?? { _tag: 'Absent' }
          },
          complaints: async () => b.complaints,
          culprit: () => undefined,
        },
        clock,
        log,
        loadMs: 5000,
      },
    ),
    wants: async (types, again) => {
      await b.catalogue.load(types, again)
      await settled()
    },
    refusal: type => {
      if (b.catalogue.supports(type)) return undefined
      const opinion = b.catalogue.admits(aLink().ofType(type).build())
      return opinion?._tag === 'Unsupported' ? opinion.reason : 'nobody has it'
    },
    said: () => b.lines.map(({ facts }) => ('reason' in facts ? facts.reason : facts)),
  }
  b.catalogue.onChange(() => {
    b.changes += 1
  })
  return b
}

const moduleOf = (load: () => Promise<unknown>, version = '1'): Found => ({
  _tag: 'Module',
  path: '/plugins/tally/index.mjs',
  version,
  load,
})

const tally = fakePlugin('tally')
const good = moduleOf(async () => ({ default: tally }))
const refused: Found = { _tag: 'Refused', reason: 'it is open to all' }

/** A promise and how to keep it. */
const promised = <A>(): { readonly promise: Promise<A>; readonly keep: (value: A) => void } => {
  let keep: (value: A) => void = () => undefined
  const promise = new Promise<A>(resolve => {
    keep = resolve
  })
  return { promise, keep }
}

describe("third parties' plugins", () => {
  it('one that is there is loaded, once, and the change is told', async () => {
    const b = bench()
    b.there.set('tally', good)
    await b.wants(['tally'])
    assert.equal(b.catalogue.plugin('tally'), tally)
    assert.equal(b.refusal('tally'), undefined)
    assert.equal(b.catalogue.canChange('tally'), true)
    assert.equal(b.changes, 1)
    await b.wants(['tally'], true)
    assert.equal(b.looks.get('tally'), 1)
  })

  it('nobody waits for it: built-in plugins are there at once, and its links say that it is loading', async () => {
    const b = bench()
    const { promise, keep } = promised<unknown>()
    b.there.set(
      'tally',
      moduleOf(() => promise),
    )
    await b.catalogue.load(['unix', 'tally'])
    assert.ok(b.catalogue.plugin('unix') !== undefined)
    assert.equal(b.refusal('tally'), 'plugin tally is still loading')
    const before = b.catalogue.revision()
    keep({ default: tally })
    await settled()
    assert.equal(b.refusal('tally'), undefined)
    assert.notEqual(b.catalogue.revision(), before)
  })

  it('one that takes too long is named, and taken when it comes after all', async () => {
    const b = bench()
    const { promise, keep } = promised<unknown>()
    b.there.set(
      'tally',
      moduleOf(() => promise),
    )
    await b.wants(['tally'])
    b.clock.increment(4999)
    assert.equal(b.refusal('tally'), 'plugin tally is still loading')
    b.clock.increment(1)
    assert.equal(b.refusal('tally'), 'plugin tally did not load within 5 s')
    assert.equal(b.changes, 1)
    await b.wants(['tally'], true)
    assert.equal(b.refusal('tally'), 'plugin tally did not load within 5 s')
    keep({ default: tally })
    await settled()
    assert.equal(b.refusal('tally'), undefined)
    assert.equal(b.changes, 2)
  })

  it('a file system that does not answer is no other case, and is not asked again meanwhile', async () => {
    const b = bench()
    const { promise, keep } = promised<Found>()
    b.there.set('tally', promise)
    await b.wants(['tally'])
    b.clock.increment(5000)
    assert.equal(b.refusal('tally'), 'plugin tally did not load within 5 s')
    await b.wants(['tally'], true)
    assert.equal(b.looks.get('tally'), 1)
    keep(good)
    await settled()
    assert.equal(b.refusal('tally'), undefined)
  })

  it('one that hung is given up for a newer file', async () => {
    const b = bench()
    const { promise, keep } = promised<unknown>()
    b.there.set(
      'tally',
      moduleOf(() => promise, 'hangs'),
    )
    await b.wants(['tally'])
    b.clock.increment(5000)
    b.there.set('tally', good)
    await b.wants(['tally'], true)
    assert.equal(b.catalogue.plugin('tally'), tally)
    keep({ default: fakePlugin('tally') })
    await settled()
    assert.equal(b.catalogue.plugin('tally'), tally)
  })

  it('one that hung is of no interest any more when its newer file has failed', async () => {
    const b = bench()
    const { promise, keep } = promised<unknown>()
    b.there.set(
      'tally',
      moduleOf(() => promise, 'hangs'),
    )
    await b.wants(['tally'])
    b.clock.increment(5000)
    b.there.set(
      'tally',
      moduleOf(() => Promise.reject(new Error('oops'))),
    )
    await b.wants(['tally'], true)
    keep({ default: tally })
    await settled()
    assert.match(b.refusal('tally') ?? '', /failed to load: oops/)
  })

  it('one that is refused says why, once, and is looked at again when asked', async () => {
    const b = bench()
    b.there.set('tally', refused)
    await b.wants(['tally'])
    await b.wants(['tally'])
    await b.wants(['tally'], true)
    assert.equal(b.refusal('tally'), 'plugin tally is refused: it is open to all')
    assert.deepEqual(b.said(), ['plugin tally is refused: it is open to all'])
    assert.equal(b.looks.get('tally'), 2)
    b.there.set('tally', good)
    await b.wants(['tally'], true)
    assert.equal(b.refusal('tally'), undefined)
  })

  it('one that is absent is like any unknown type, until it is put there', async () => {
    const b = bench()
    await b.wants(['tally'])
    assert.equal(b.refusal('tally'), 'nobody has it')
    assert.deepEqual(b.said(), [])
    b.there.set('tally', good)
    await b.wants(['tally'])
    assert.equal(b.refusal('tally'), 'nobody has it')
    await b.wants(['tally'], true)
    assert.equal(b.refusal('tally'), undefined)
  })

  it('one that failed is tried again only when its file is another one', async () => {
    const b = bench()
    let loads = 0
    const fails = async (): Promise<unknown> => {
      loads += 1
      throw new Error('oops')
    }
    b.there.set('tally', moduleOf(fails, '1'))
    await b.wants(['tally'])
    const reason = 'plugin tally failed to load: oops (/plugins/tally/index.mjs)'
    assert.equal(b.refusal('tally'), reason)
    b.there.set('tally', refused)
    await b.wants(['tally'], true)
    b.there.set('tally', moduleOf(fails, '1'))
    await b.wants(['tally'], true)
    assert.equal(b.refusal('tally'), reason)
    assert.equal(loads, 1)
    b.there.set('tally', moduleOf(fails, '2'))
    await b.wants(['tally'], true)
    assert.equal(loads, 2)
  })

  it('one that lies about its type is no plugin', async () => {
    const b = bench()
    b.there.set(
      'tally',
      moduleOf(async () => ({ default: fakePlugin('unix') })),
    )
    await b.wants(['tally'])
    assert.match(b.refusal('tally') ?? '', /failed to load: it says it is for type "unix"/)
  })

  it('whatever a module throws is words in the end', async () => {
    const b = bench()
    b.there.set(
      'tally',
      moduleOf(() => Promise.reject(Object.create(null))),
    )
    await b.wants(['tally'])
    assert.match(b.refusal('tally') ?? '', /failed to load: it threw something that has no words/)
  })

  it('a member that throws when it is looked at costs its type only', async () => {
    const b = bench()
    let looks = 0
    const touchy = {
      ...fakePlugin('tally'),
      get onLinkChanged() {
        looks += 1
        if (looks > 1) throw new Error('oops')
        return undefined
      },
    }
    b.there.set(
      'tally',
      moduleOf(async () => ({ default: touchy })),
    )
    await b.wants(['tally'])
    assert.equal(b.refusal('tally'), undefined)
    assert.equal(b.catalogue.canChange('tally'), false)
  })

  it('a built-in type is never looked for', async () => {
    const b = bench()
    b.there.set('unix', good)
    await b.wants(['unix'], true)
    assert.equal(b.looks.get('unix'), undefined)
  })

  it('what is wrong with the folder is said once per change', async () => {
    const b = bench()
    b.complaints = [{ plugin: 'unix', reason: 'built in' }]
    await b.wants([])
    await b.wants([], true)
    assert.deepEqual(b.said(), ['built in'])
    b.complaints = [{ reason: 'open to all' }]
    await b.wants([], true)
    assert.deepEqual(b.said(), ['built in', 'open to all'])
    b.complaints = [{ plugin: 'unix', reason: 'built in' }]
    await b.wants([], true)
    assert.deepEqual(b.said(), ['built in', 'open to all', 'built in'])
  })

  it('types that came of nothing are forgotten with their links', async () => {
    const b = bench()
    await b.wants(['a', 'b'])
    await b.wants(['b'])
    await b.wants(['a', 'b'])
    assert.deepEqual(
      [...b.looks],
      [
        ['a', 2],
        ['b', 1],
      ],
    )
  })
})

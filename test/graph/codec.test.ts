import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { E } from '../../src/fp.ts'
import { decodeGraph } from '../../src/graph/codec.ts'
import { describeReadError } from '../../src/graph/errors.ts'
import type { Graph } from '../../src/model/graph.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import { keyOf } from '../../src/model/link.ts'

/** From `build/test/graph` to the sources' fixtures. */
const bodyOf = (name: string): Buffer =>
  readFileSync(new URL(`../../../fixtures/graphs/${name}.json`, import.meta.url))

const decoded = (body: Uint8Array | string): Graph => {
  const graph = decodeGraph(body, DEFAULT_LIMITS)
  if (E.isLeft(graph)) throw new Error(describeReadError(graph.left))
  return graph.right
}

const failureOf = (body: Uint8Array | string, limits = DEFAULT_LIMITS): string => {
  const graph = decodeGraph(body, limits)
  return E.isLeft(graph) ? graph.left._tag : 'a graph'
}

const decodedOne = (entry: object): Graph => decoded(JSON.stringify([entry]))

const good = (n: number) => ({ type: 'unix', name: `n${n}`, consumer: 'app', socket: '/s', target: `/t${n}` })

describe('graph codec: good fixtures', () => {
  it("the specification's own example is a link without a provider name", () => {
    const { links, rejected } = decoded(bodyOf('specification-example'))
    assert.deepEqual(rejected, [])
    assert.deepEqual(links, [
      {
        type: 'rest',
        name: 'network-manager',
        consumer: 'webapp',
        consumer_pid: 1201,
        provider: null,
        provider_pid: 1100,
        socket: '/run/nm/api.sock',
        target: '/run/nm/api.sock',
        role: 'monitor',
        interface: '/run/nm/api.sock',
        uid: null,
      },
    ])
  })

  it('all five types decode, in order, with the uid where it is given', () => {
    const { links, rejected } = decoded(bodyOf('five-types'))
    assert.deepEqual(rejected, [])
    assert.deepEqual(
      links.map(({ type }) => type),
      ['unix', 'rest', 'dbus', 'wayland', 'drm'],
    )
    assert.equal(links[2]?.uid, 1004)
    assert.equal(links[4]?.provider_pid, 0)
  })

  it('a pid is a number, a numeric string, or nobody: never the host by accident', () => {
    const { links } = decoded(bodyOf('pids-in-every-spelling'))
    const pids = Object.fromEntries(links.map(l => [l.name, [l.consumer_pid, l.provider_pid]]))
    assert.deepEqual(pids, {
      number: [12, 0],
      string: [12, 0],
      negative: [null, null],
      absent: [null, null],
      null: [null, null],
      words: [null, null],
      odd: [null, null],
      zeros: [null, null],
      nested: [null, null],
      huge: [null, null],
    })
  })

  it('the target defaults to an absolute interface, else to a path of its own, for drm to the device', () => {
    const { links, rejected } = decoded(bodyOf('target-defaults'))
    assert.deepEqual(rejected, [])
    assert.deepEqual(
      links.map(({ target }) => target),
      ['/run/from/interface', '/tmp/pvx_c_n.sock', '/dev/dri/card0', '/given', '@consumer', '/t'],
    )
    assert.equal(links[2]?.role, 'any')
    assert.equal(links[2]?.interface, 'drm')
    assert.equal(links[5]?.socket, '/run/{role}/{consumer}/{name}.sock')
  })

  it('an empty array is a graph', () => {
    assert.deepEqual(decoded(bodyOf('nothing-assigned')), { links: [], rejected: [] })
  })
})

describe('graph codec: rejected entries', () => {
  it('garbage is rejected with its index and never hides a good entry', () => {
    const { links, rejected } = decoded(bodyOf('good-among-garbage'))
    assert.deepEqual(
      links.map(({ name }) => name),
      ['good', '__proto__'],
    )
    assert.deepEqual(
      rejected.map(({ index }) => index),
      [0, 1, 2, 3, 4, 5, 7, 8],
    )
    assert.equal(rejected[0]?.reason, 'expected an object, got null')
    assert.equal(rejected[6]?.reason, 'socket: expected a string, got nothing')
    assert.equal(rejected[7]?.reason, 'type: expected a string, got nothing')
  })

  it('a rejected entry is called what it calls itself, where that can be read', () => {
    const { rejected } = decoded(
      JSON.stringify([
        { consumer: 'app', name: 'raw' },
        { consumer: 'app', name: 7 },
        { consumer: 'a'.repeat(256), name: 'raw' },
        null,
      ]),
    )
    assert.deepEqual(
      rejected.map(({ called }) => called),
      ['app/raw', undefined, undefined, undefined],
    )
  })

  it('a path that is not absolute and normalised is rejected, and the reason names the field', () => {
    const { links, rejected } = decoded(bodyOf('bad-paths'))
    assert.deepEqual(links, [])
    const expected = [
      /^socket: expected an absolute path, got "run\/s"$/,
      /^socket: expected a path without \.\. in it/,
      /^target: expected a path without \. in it/,
      /^target: expected a path without empty components/,
      /^target: expected a path without empty components or a trailing slash/,
      /^target: expected a path below the root/,
      /^socket: expected a string without NUL/,
      /^socket: expected well-formed Unicode/,
      /^socket: expected an absolute path, got "@s"$/,
      /^socket: expected an abstract name of 1 to 107 bytes/,
      /^name: expected no slash/,
      /^consumer: expected no slash/,
      /^interface \(taken as the target\): expected a path without \.\./,
    ]
    for (const [index, pattern] of expected.entries()) assert.match(rejected[index]?.reason ?? '', pattern)
    assert.equal(rejected.length, expected.length)
  })

  it('a uid that is present but no uid refuses the link', () => {
    const { links, rejected } = decoded(bodyOf('bad-uids'))
    assert.deepEqual(
      links.map(({ name, uid }) => [name, uid]),
      [
        ['ok', 1000],
        ['string', 1000],
        ['null', null],
      ],
    )
    assert.equal(rejected.length, 4)
    assert.equal(rejected[0]?.reason, 'uid: expected a uid from 0 to 4294967294, got -1')
  })

  it('an entry with the key of an earlier one is rejected and names it', () => {
    const { links, rejected } = decoded(bodyOf('repeated-entry'))
    assert.deepEqual(
      links.map(({ socket }) => socket),
      ['/first', '/s'],
    )
    assert.deepEqual(rejected, [{ index: 2, reason: 'repeats entry 0 (c/n@/t)' }])
  })

  it('strings, paths, components and abstract names have their longest', () => {
    const lengths: readonly (readonly [object, number])[] = [
      [{ ...good(1), role: 'r'.repeat(4096) }, 1],
      [{ ...good(1), role: 'r'.repeat(4097) }, 0],
      [{ ...good(1), socket: `/${'d'.repeat(255)}` }, 1],
      [{ ...good(1), socket: `/${'d'.repeat(256)}` }, 0],
      [{ ...good(1), socket: `/${'€'.repeat(86)}` }, 0],
      [{ ...good(1), socket: `${'/aaaaaaaaa'.repeat(409)}/bbbb` }, 1],
      [{ ...good(1), socket: `${'/aaaaaaaaa'.repeat(409)}/bbbbb` }, 0],
      [{ ...good(1), target: `@${'x'.repeat(107)}` }, 1],
      [{ ...good(1), target: `@${'x'.repeat(108)}` }, 0],
    ]
    for (const [entry, count] of lengths) assert.equal(decodedOne(entry).links.length, count)
  })

  it('a value in a reason is cut, and a deeply nested one is only named', () => {
    const long = decodedOne({ ...good(1), socket: 'x'.repeat(500) }).rejected[0]?.reason ?? ''
    assert.ok(long.length < 140, long)
    const deep = `[{"consumer":${'['.repeat(100_000)}${']'.repeat(100_000)}}]`
    assert.match(decoded(deep).rejected[0]?.reason ?? '', /consumer: expected a string, got an array/)
  })
})

describe('graph codec: failed reads', () => {
  const cases = [
    ['not-an-array', 'NotAnArray'],
    ['cut-short', 'NotJson'],
    ['not-utf8', 'NotUtf8'],
    ['empty-body', 'NotJson'],
  ] as const
  for (const [name, tag] of cases) {
    it(`${name} is a failed read`, () => assert.equal(failureOf(bodyOf(name)), tag))
  }

  it('a body over the limit and too many links are failed reads, the limits themselves are not', () => {
    const two = JSON.stringify([good(1), good(2)])
    const limits = { ...DEFAULT_LIMITS, graphBodyBytes: two.length, graphLinks: 2 }
    assert.equal(failureOf(two, limits), 'a graph')
    assert.equal(failureOf(`${two} `, limits), 'BodyTooLarge')
    assert.equal(failureOf(JSON.stringify([1, 2, 3]), limits), 'TooManyLinks')
  })

  it('nesting of any depth is an answer or a failed read, never an exception', () => {
    const depth = 1_000_000
    const inner = failureOf(`${'['.repeat(depth)}${']'.repeat(depth)}`)
    assert.ok(inner === 'a graph' || inner === 'NotJson')
    assert.equal(failureOf('['.repeat(depth)), 'NotJson')
  })
})

describe('graph codec: properties', () => {
  const garbage = fc.oneof(
    fc.jsonValue(),
    fc.record({ type: fc.jsonValue(), name: fc.jsonValue(), consumer: fc.jsonValue() }),
    fc.tuple(fc.string(), fc.jsonValue()).map(([socket, uid]) => ({ ...good(999), socket, uid })),
  )

  it('any mix of good and garbage keeps every good entry', () => {
    fc.assert(
      fc.property(fc.array(fc.option(garbage, { nil: undefined }), { maxLength: 20 }), slots => {
        const entries = slots.map((slot, n) => (slot === undefined ? good(n) : slot))
        const { links, rejected } = decoded(JSON.stringify(entries))
        const keys = new Set(links.map(keyOf))
        slots.forEach((slot, n) => {
          if (slot === undefined) assert.ok(keys.has(keyOf(good(n))))
        })
        assert.equal(links.length + rejected.length, entries.length)
      }),
    )
  })

  it('no body makes it throw', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map(text => Buffer.from(text)),
        ),
        body => {
          decodeGraph(body, DEFAULT_LIMITS)
        },
      ),
    )
  })
})

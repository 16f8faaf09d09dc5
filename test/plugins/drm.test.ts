/** Who may have which DRM device: the whole table, and that nothing else is ever given. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import plugin from '../../plugins/drm/index.ts'
import { judge, nameProblem } from '../../plugins/drm/rules.ts'
import { E } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { DeviceNode, NodeRequest, Toolbox } from '../../src/toolbox/contract.ts'
import { aLink, type LinkBuilder } from '../support/builders.ts'
import { failureOf } from '../support/descriptors.ts'
import { fakeWorld } from '../support/fakes.ts'

const device = (minor: number, changes: Partial<DeviceNode> = {}): DeviceNode => ({
  type: 'character',
  major: 226,
  minor,
  kernelName: null,
  ...changes,
})

const CARD = device(0)
const RENDER = device(128)

const verdictOf = (role: string, path: string, node: DeviceNode): string => {
  const judged = judge(role, path, node)
  if (E.isRight(judged)) return judged.right
  const error = judged.left
  return error._tag === 'DeviceRefused' || error._tag === 'DeviceAbsent' ? error.reason : error._tag
}

describe('by role and kind', () => {
  const TABLE: Readonly<Record<string, readonly [card: boolean, render: boolean]>> = {
    master: [true, false],
    render: [false, true],
    any: [true, true],
    admin: [true, true],
    other: [false, true],
    Master: [false, true],
    '': [false, true],
  }
  for (const [role, [card, render]] of Object.entries(TABLE)) {
    it(`${JSON.stringify(role)} gets ${[card ? 'a card' : '', render ? 'a render node' : ''].filter(Boolean).join(' and ')}`, () => {
      const refused = (name: string, number: string) => `role ${role} may not get ${name} (${number})`
      assert.equal(verdictOf(role, '/dev/dri/card0', CARD), card ? 'primary' : refused('card0', '226:0'))
      assert.equal(
        verdictOf(role, '/dev/dri/renderD128', RENDER),
        render ? 'render' : refused('renderD128', '226:128'),
      )
      // A name that says nothing changes nothing.
      assert.equal(verdictOf(role, '/dev/gpu', CARD), card ? 'primary' : refused('gpu', '226:0'))
    })
  }
})

describe('by what it is', () => {
  const CASES: readonly (readonly [what: string, path: string, node: DeviceNode, verdict: string])[] = [
    ['the last card', '/dev/dri/card63', device(63), 'primary'],
    ['a control node', '/dev/dri/controlD64', device(64), 'it is neither a card nor a render node (226:64)'],
    ['the last control node', '/x', device(127), 'it is neither a card nor a render node (226:127)'],
    ['the last of the old render nodes', '/dev/dri/renderD191', device(191), 'render'],
    ['the null device', '/dev/dri/card0', device(3, { major: 1 }), 'it is no DRM device (1:3)'],
    ['a disk', '/dev/dri/card0', device(0, { type: 'block', major: 8 }), 'it is a block device (8:0)'],
    ['a block device of that number', '/x', device(0, { type: 'block' }), 'it is a block device (226:0)'],
    [
      "a card under a render node's name",
      '/dev/dri/renderD128',
      CARD,
      'it is called renderD128, but is a primary node (226:0)',
    ],
    [
      "a render node under a card's name",
      '/dev/dri/card0',
      RENDER,
      'it is called card0, but is a render node (226:128)',
    ],
    ['a card with a name alike', '/dev/dri/renderD128-old', CARD, 'primary'],
    ['a new card', '/dev/dri/card70', device(192, { kernelName: 'dri/card70' }), 'primary'],
    ['a new render node', '/x', device(300, { kernelName: 'dri/renderD300' }), 'render'],
    [
      'a new card called a render node',
      '/dev/dri/renderD192',
      device(192, { kernelName: 'dri/card70' }),
      'it is called renderD192, but is a primary node (226:192)',
    ],
    ['a new node without a driver', '/x', device(192), 'no driver has 226:192'],
    [
      'a new node of no kind',
      '/x',
      device(192, { kernelName: 'accel/accel0' }),
      'it is neither a card nor a render node (226:192)',
    ],
    [
      'a new node with a strange name',
      '/x',
      device(192, { kernelName: 'dri/card0/x' }),
      'it is neither a card nor a render node (226:192)',
    ],
  ]
  for (const [what, path, node, verdict] of CASES) {
    it(`${what} is ${verdict}`, () => assert.equal(verdictOf('admin', path, node), verdict))
  }

  it('waits for a driver, and for nothing else', () => {
    const tagOf = (node: DeviceNode): InjectError['_tag'] => failureOf(judge('admin', '/x', node))._tag
    assert.equal(tagOf(device(192)), 'DeviceAbsent')
    for (const node of [device(64), device(0, { major: 1 }), device(0, { type: 'block' })])
      assert.equal(tagOf(node), 'DeviceRefused')
  })
})

const anyNode = fc.record({
  type: fc.constantFrom('character' as const, 'block' as const),
  major: fc.oneof(fc.constant(226), fc.nat(4095)),
  minor: fc.oneof(fc.nat(255), fc.nat(1_048_575)),
  kernelName: fc.oneof(
    fc.constant(null),
    fc.constantFrom('dri/card0', 'dri/renderD128', 'dri/controlD64', 'input/event0', 'dri/', 'card0'),
    fc.string(),
  ),
})
const anyRole = fc.oneof(
  fc.constantFrom('master', 'render', 'any', 'admin', 'other', '__proto__'),
  fc.string(),
)
const anyPath = fc.oneof(
  fc.constantFrom('/dev/dri/card0', '/dev/dri/renderD128', '/dev/dri/card', '/card1/x'),
  fc.string().map(text => `/${text}`),
)

describe('whatever is asked for', () => {
  it('only DRM character devices are given, of a kind that the role may get and the name does not deny', () => {
    fc.assert(
      fc.property(anyRole, anyPath, anyNode, (role, path, node) => {
        const judged = judge(role, path, node)
        if (E.isLeft(judged)) return
        const kind = judged.right
        assert.deepEqual([node.type, node.major], ['character', 226])
        if (node.minor < 192) assert.equal(kind, node.minor < 64 ? 'primary' : 'render')
        assert.ok(node.minor < 64 || node.minor >= 128)
        if (kind === 'primary') assert.ok(['master', 'any', 'admin'].includes(role))
        else assert.notEqual(role, 'master')
        assert.doesNotMatch(path, kind === 'primary' ? /\/renderD\d+$/ : /\/card\d+$/)
      }),
      { numRuns: 2000 },
    )
  })

  it('what is refused by its name would have been refused by its device', () => {
    fc.assert(
      fc.property(anyRole, anyPath, anyNode, (role, path, node) => {
        if (nameProblem(role, path) !== null) assert.ok(E.isLeft(judge(role, path, node)))
      }),
      { numRuns: 2000 },
    )
  })
})

/** What the plugin asks a toolbox for. */
const askedFor = async (link: LinkBuilder): Promise<NodeRequest | InjectError> => {
  let asked: NodeRequest | undefined
  const box: Toolbox = {
    ...fakeWorld().host.toolboxFor(link.build()),
    injectNode: request => async () => {
      asked = request
      return E.left({ _tag: 'PluginFailed', plugin: 'test', message: 'asked' })
    },
  }
  const answer = await plugin.onLinkAdded(link.build(), box)()
  return asked ?? failureOf(answer)
}

const link = aLink().ofType('drm').socket('/dev/dri/card0').at('/dev/dri/card0')

describe('a drm link', () => {
  it('asks for the node as it is written, whatever braces are in it', async () => {
    const asked = await askedFor(link.socket('/dev/{role}/card0').at('/x/{name}'))
    assert.ok('judge' in asked)
    assert.deepEqual([asked.provider.socket, asked.target], ['/dev/{role}/card0', '/x/{name}'])
  })

  it('is refused to the host, which has its devices already', async () => {
    assert.deepEqual(await askedFor(link.running(0)), {
      _tag: 'AddressInvalid',
      field: 'consumer_pid',
      value: '0',
      reason: 'the host has its devices already',
    })
  })

  it('may have the host as its provider', async () =>
    assert.ok('judge' in (await askedFor(link.from('host', 0)))))

  it('is denied by its name alone where that is enough', () => {
    const verdict = (role: string, socket: string) =>
      plugin.admits?.(link.withRole(role).socket(socket).build())
    assert.deepEqual(verdict('render', '/dev/dri/card0'), {
      _tag: 'Denied',
      rule: 'drm: role render may not get card0',
    })
    assert.equal(verdict('master', '/dev/dri/renderD128')?._tag, 'Denied')
    assert.equal(verdict('render', '/dev/gpu')?._tag, 'Admitted')
    assert.equal(verdict('any', '/dev/dri/card0')?._tag, 'Admitted')
  })
})

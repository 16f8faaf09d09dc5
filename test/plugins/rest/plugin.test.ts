/** The rest plugin's decisions: what it asks of the toolbox for a link, and which links it cannot serve. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import plugin from '../../../plugins/rest/index.ts'
import { E } from '../../../src/fp.ts'
import { isRetryable } from '../../../src/model/errors.ts'
import type { Link } from '../../../src/model/link.ts'
import type { SocketRequest } from '../../../src/toolbox/contract.ts'
import { socketAskedFor } from '../../support/asked-for.ts'
import { aLink } from '../../support/builders.ts'
import { failureOf, must } from '../../support/descriptors.ts'
import { fakeWorld, placeOf } from '../../support/fakes.ts'

const rest = (fields: Partial<Link> = {}): Link => ({ ...aLink().ofType('rest').build(), ...fields })

const askedFor = (link: Link): Promise<SocketRequest> => socketAskedFor(plugin, link)

test('a link is a stream socket without descriptors, whose requests wait for their provider and may end', async () => {
  const link = rest()
  const { session, ...request } = await askedFor(link)
  assert.equal(typeof session, 'function')
  assert.deepEqual(request, {
    kind: 'stream',
    target: link.target,
    provider: { pid: link.provider_pid, socket: link.socket },
    descriptors: 'none',
    dialing: { graceMs: 2000, retryMaxMs: 200, backlogMs: 5000 },
    graceMs: 10_000,
  })
})

test('a provider on an abstract name is asked for by it', async () =>
  assert.equal((await askedFor(rest({ socket: '@net/api' }))).provider.socket, '@net/api'))

describe('a link that cannot be told to its provider', () => {
  const cases: readonly (readonly [string, keyof Link, Partial<Link>])[] = [
    ['an empty consumer', 'consumer', { consumer: '' }],
    ['a consumer of 256 bytes', 'consumer', { consumer: 'x'.repeat(256) }],
    ['a consumer of 128 letters of two bytes', 'consumer', { consumer: 'ä'.repeat(128) }],
    ['a role of 256 bytes', 'role', { role: 'x'.repeat(256) }],
  ]
  for (const [what, field, fields] of cases) {
    test(`${what}: is refused, and waiting does not help`, async () => {
      const world = fakeWorld()
      const link = rest(fields)
      const error = failureOf(await plugin.onLinkAdded(link, world.host.toolboxFor(link))())
      assert.ok(error._tag === 'AddressInvalid' && error.field === field, JSON.stringify(error))
      assert.equal(isRetryable(error), false)
      assert.equal(world.planted.size, 0)
    })
  }

  test('is none where names have 255 bytes, or the role is empty', async () => {
    await askedFor(rest({ consumer: 'x'.repeat(255), role: 'x'.repeat(255) }))
    await askedFor(rest({ role: '' }))
  })
})

test('a provider that moved is followed with the planted socket in its place', async () => {
  const world = fakeWorld()
  const link = rest()
  const box = world.host.toolboxFor(link)
  const mediation = must(await plugin.onLinkAdded(link, box)())
  const moved = { ...aLink().ofType('rest').from('net', 300).socket('/run/new.sock').build() }
  const changed = must((await plugin.onLinkChanged?.(moved, mediation, box)()) ?? E.left('cannot change'))
  assert.equal(changed.id, mediation.id)
  assert.equal(world.planted.get(placeOf(link))?.provider.socket, '/run/new.sock')
  assert.equal(world.injections, 1)
})

test('a link that is removed is withdrawn', async () => {
  const world = fakeWorld()
  const link = rest()
  const box = world.host.toolboxFor(link)
  const mediation = must(await plugin.onLinkAdded(link, box)())
  await plugin.onLinkRemoved(link, mediation, box)()
  assert.equal(world.planted.size, 0)
})

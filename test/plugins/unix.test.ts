/** The unix plugin's decisions: what a link's option string and socket mean. No toolbox does anything here. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import plugin from '../../plugins/unix/index.ts'
import { optionsOf } from '../../plugins/unix/options.ts'
import { E } from '../../src/fp.ts'
import type { Link } from '../../src/model/link.ts'
import { providerSocketOf } from '../../src/model/provider-socket.ts'
import { aLink } from '../support/builders.ts'
import { failureOf, must } from '../support/descriptors.ts'
import { fakeWorld, placeOf } from '../support/fakes.ts'

/** What an option string gives: a kind, or what is said of the option that is refused. */
const OPTIONS: readonly (readonly [string, string])[] = [
  ['', 'detected'],
  ['unix', 'detected'],
  ['unix+stream', 'stream'],
  ['unix+seqpacket', 'seqpacket'],
  // Not ours to read: a label for people, or an older graph's path.
  ['org.example.Api', 'detected'],
  ['unixish+stream', 'detected'],
  ['UNIX+stream', 'detected'],
  ['dbus+stream', 'detected'],
  ['/run/old.sock', 'detected'],
  // Of the contract, but not of this version.
  ['unix+dgram', 'dgram: not supported by this version'],
  ['unix+nofds', 'nofds: not supported by this version'],
  ['unix+greeting', 'greeting: not supported by this version'],
  ['unix+creds', 'creds: not supported by this version'],
  ['unix+role-creds', 'role-creds: not supported by this version'],
  ['unix+peercred', 'peercred: not supported by this version'],
  ['unix+role-peercred', 'role-peercred: not supported by this version'],
  ['unix+stream+creds', 'creds: not supported by this version'],
  ['unix+creds+stream', 'creds: not supported by this version'],
  // Unknown, repeated, contradicting.
  ['unix+', ': not an option of unix links'],
  ['unix+stream+', ': not an option of unix links'],
  ['unix+fast', 'fast: not an option of unix links'],
  ['unix+Stream', 'Stream: not an option of unix links'],
  ['unix+ stream', ' stream: not an option of unix links'],
  ['unix+stream+stream', 'stream: given twice'],
  ['unix+stream+seqpacket', 'seqpacket: contradicts stream'],
  ['unix+seqpacket+stream', 'stream: contradicts seqpacket'],
  // Names that every object has are no options.
  ['unix+constructor', 'constructor: not an option of unix links'],
  ['unix+toString', 'toString: not an option of unix links'],
  ['unix+__proto__', '__proto__: not an option of unix links'],
]

for (const [value, expected] of OPTIONS) {
  test(`the interface ${JSON.stringify(value)} means ${JSON.stringify(expected)}`, () => {
    const options = optionsOf(value)
    const said = E.isRight(options)
      ? options.right.kind
      : options.left._tag === 'OptionRefused'
        ? `${options.left.option}: ${options.left.reason}`
        : options.left._tag
    assert.equal(said, expected)
  })
}

const withFields = (fields: Partial<Link>): Link => ({ ...aLink().build(), ...fields })

const SOCKETS: readonly (readonly [string, string])[] = [
  ['/run/api.sock', '/run/api.sock'],
  ['/run/{role}/api.sock', '/run/admin/api.sock'],
  ['/run/{consumer}-{name}.{role}', '/run/my_app-api.v1.admin'],
  ['/run/{role}/{role}', '/run/admin/admin'],
  ['/run/{other}/{}/{role', '/run/{other}/{}/{role'],
  ['/run/{{role}}', '/run/{admin}'],
  ['/run/{ROLE}', '/run/{ROLE}'],
  ['@svc/{role}', '@svc/admin'],
  ['@{role}-{consumer}-{name}', '@admin-my_app-api.v1'],
]

for (const [socket, expected] of SOCKETS) {
  test(`the socket ${socket} of a link stands for ${expected}`, () => {
    const link = withFields({ socket, role: 'admin', consumer: 'my_app', name: 'api.v1' })
    assert.equal(must(providerSocketOf(link)), expected)
  })
}

test('what a marker is replaced by is not searched for markers again', () =>
  assert.equal(
    must(providerSocketOf(withFields({ socket: '/run/{role}', role: 'name', name: 'role' }))),
    '/run/name',
  ))

const UNSAFE = ['', '.', '..', 'a/b', '../../etc', 'a b', 'a\0b', 'ä', 'a\n', '$&', '{name}', 'x'.repeat(65)]

for (const field of ['role', 'consumer', 'name'] as const) {
  for (const value of UNSAFE) {
    test(`a ${field} ${JSON.stringify(value.slice(0, 12))} may not become part of a path`, () => {
      const error = failureOf(providerSocketOf(withFields({ socket: `/run/{${field}}`, [field]: value })))
      assert.equal(error._tag, 'AddressInvalid')
      assert.ok(error._tag === 'AddressInvalid' && error.field === field && error.value === value)
    })
  }

  test(`an unsafe ${field} does no harm where the socket does not use it`, () =>
    assert.equal(must(providerSocketOf(withFields({ socket: '/run/x', [field]: '../..' }))), '/run/x'))
}

test('an abstract name that its markers make longer than 107 bytes is refused, one that is as long is not', () => {
  const link = (fill: number): Link =>
    withFields({ socket: `@${'x'.repeat(fill)}{role}`, role: 'r'.repeat(64) })
  assert.equal(must(providerSocketOf(link(43))).length, 108)
  const error = failureOf(providerSocketOf(link(44)))
  assert.ok(error._tag === 'AddressInvalid' && error.field === 'socket', JSON.stringify(error))
  assert.match(error.reason, /1 to 107 bytes/)
})

test('64 letters are still a safe value', () =>
  assert.equal(
    must(providerSocketOf(withFields({ socket: '{role}', role: 'x'.repeat(64) }))),
    'x'.repeat(64),
  ))

test('a link is planted at its target, for the socket that its markers give', async () => {
  const world = fakeWorld()
  const link = withFields({ socket: '/run/{role}.sock', role: 'admin' })
  must(await plugin.onLinkAdded(link, world.host.toolboxFor(link))())
  assert.deepEqual(world.planted.get(placeOf(link))?.provider, {
    pid: link.provider_pid,
    socket: '/run/admin.sock',
  })
})

test('a link with an option that cannot be given plants nothing', async () => {
  const world = fakeWorld()
  const link = withFields({ interface: 'unix+creds' })
  assert.equal(failureOf(await plugin.onLinkAdded(link, world.host.toolboxFor(link))())._tag, 'OptionRefused')
  assert.equal(world.planted.size, 0)
})

test('a provider that moved is followed with the planted socket in its place', async () => {
  const world = fakeWorld()
  const link = aLink().build()
  const box = world.host.toolboxFor(link)
  const mediation = must(await plugin.onLinkAdded(link, box)())
  const moved = aLink().from('net', 300).socket('/run/{name}/new.sock').build()
  const changed = must((await plugin.onLinkChanged?.(moved, mediation, box)()) ?? E.left('cannot change'))
  assert.equal(changed.id, mediation.id)
  assert.equal(world.planted.get(placeOf(link))?.provider.socket, '/run/api/new.sock')
  assert.equal(world.injections, 1)
})

test('a link that is removed is withdrawn', async () => {
  const world = fakeWorld()
  const link = aLink().build()
  const box = world.host.toolboxFor(link)
  const mediation = must(await plugin.onLinkAdded(link, box)())
  await plugin.onLinkRemoved(link, mediation, box)()
  assert.equal(world.planted.size, 0)
})

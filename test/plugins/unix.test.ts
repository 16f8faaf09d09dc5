/** The unix plugin's decisions: what a link's option string and socket mean. No toolbox does anything here. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { greetingFor } from '../../plugins/unix/greeting.ts'
import plugin from '../../plugins/unix/index.ts'
import { optionsOf, type UnixOptions } from '../../plugins/unix/options.ts'
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
  ['unix+dgram', 'dgram'],
  ['unix+nofds', 'detected, no descriptors'],
  ['unix+greeting', 'detected, greeting'],
  ['unix+creds', 'detected, credentials of the writer'],
  ['unix+role-creds', 'detected, credentials of the role'],
  ['unix+peercred', 'detected, as peer'],
  ['unix+role-peercred', 'detected, as role'],
  ['unix+stream+creds', 'stream, credentials of the writer'],
  ['unix+creds+stream', 'stream, credentials of the writer'],
  ['unix+dgram+creds+nofds', 'dgram, no descriptors, credentials of the writer'],
  ['unix+role-creds+dgram', 'dgram, credentials of the role'],
  ['unix+greeting+creds+peercred', 'detected, greeting, credentials of the writer, as peer'],
  ['unix+seqpacket+role-peercred+greeting', 'seqpacket, greeting, as role'],
  ['unix+creds+role-creds', 'role-creds: contradicts creds'],
  ['unix+role-creds+creds', 'creds: contradicts role-creds'],
  ['unix+peercred+role-peercred', 'role-peercred: contradicts peercred'],
  ['unix+role-peercred+peercred', 'peercred: contradicts role-peercred'],
  ['unix+dgram+greeting', 'greeting: contradicts dgram: a datagram socket has no connections'],
  ['unix+peercred+dgram', 'peercred: contradicts dgram: a datagram socket has no connections'],
  ['unix+role-peercred+dgram', 'role-peercred: contradicts dgram: a datagram socket has no connections'],
  ['unix+creds+creds', 'creds: given twice'],
  ['unix+nofds+nofds', 'nofds: given twice'],
  // Unknown, repeated, contradicting.
  ['unix+', ': not an option of unix links'],
  ['unix+stream+', ': not an option of unix links'],
  ['unix+fast', 'fast: not an option of unix links'],
  ['unix+Stream', 'Stream: not an option of unix links'],
  ['unix+ stream', ' stream: not an option of unix links'],
  ['unix+stream+stream', 'stream: given twice'],
  ['unix+stream+seqpacket', 'seqpacket: contradicts stream'],
  ['unix+seqpacket+stream', 'stream: contradicts seqpacket'],
  ['unix+stream+dgram', 'dgram: contradicts stream'],
  // Names that every object has are no options.
  ['unix+constructor', 'constructor: not an option of unix links'],
  ['unix+toString', 'toString: not an option of unix links'],
  ['unix+__proto__', '__proto__: not an option of unix links'],
]

const inWords = ({ kind, refusesDescriptors, greets, credentials, dialAs }: UnixOptions): string =>
  [
    kind,
    ...(refusesDescriptors ? ['no descriptors'] : []),
    ...(greets ? ['greeting'] : []),
    ...(credentials === 'none' ? [] : [`credentials of the ${credentials}`]),
    ...(dialAs === 'daemon' ? [] : [`as ${dialAs}`]),
  ].join(', ')

for (const [value, expected] of OPTIONS) {
  test(`the interface ${JSON.stringify(value)} means ${JSON.stringify(expected)}`, () => {
    const options = optionsOf(value)
    const said = E.isRight(options)
      ? inWords(options.right)
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

/** The greeting that a link's provider gets for a process with these ids. */
const greetingOf = (fields: Partial<Link>): string =>
  Buffer.from(must(greetingFor(withFields(fields)))({ pid: 17, uid: 1000, gid: 100 })).toString('latin1')

test('the greeting is one line of JSON, to the byte', () =>
  assert.equal(
    greetingOf({ consumer: 'app', role: 'any', name: 'raw' }),
    '{"pvx":1,"consumer":"app","role":"any","service":"raw","pid":17,"uid":1000,"gid":100}\n',
  ))

for (const name of ['a"b\\c', 'zwei\nZeilen', 'Küche', '🎥', '\u2028', '\u007f', '","uid":0,"x":"'])
  test(`a name ${JSON.stringify(name)} stays a name in the greeting, in ASCII`, () => {
    const line = greetingOf({ consumer: name })
    assert.match(line, /^\{"pvx":1,[ -~]*\}\n$/)
    assert.deepEqual(JSON.parse(line), {
      pvx: 1,
      consumer: name,
      role: withFields({}).role,
      service: withFields({}).name,
      pid: 17,
      uid: 1000,
      gid: 100,
    })
  })

test('names that leave no room for the greeting block the link', () => {
  assert.ok(E.isRight(greetingFor(withFields({ consumer: 'x'.repeat(800) }))))
  assert.equal(failureOf(greetingFor(withFields({ consumer: 'x'.repeat(1000) })))._tag, 'OptionRefused')
  assert.equal(failureOf(greetingFor(withFields({ role: 'ü'.repeat(200) })))._tag, 'OptionRefused')
})

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
  const link = withFields({ interface: 'unix+creds+role-creds' })
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

/** What the `interface` of a dbus link may say, and what it means. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Scope } from '../../../plugins/dbus/filter/scope.ts'
import { prefixesOf, wantedNameOf } from '../../../plugins/dbus/filter/wanted-name.ts'

describe('the interface of a dbus link', () => {
  for (const text of ['', 'dbus', '/run/dbus/system_bus_socket']) {
    test(`"${text}" filters nothing`, () => {
      assert.deepEqual(wantedNameOf(text), { _tag: 'Right', right: null })
    })
  }

  for (const [text, name, below] of [
    ['org.example', 'org.example', false],
    ['org.example.Service', 'org.example.Service', false],
    ['org.example.Service.*', 'org.example.Service', true],
    ['org.ex-ample._1.S', 'org.ex-ample._1.S', false],
    [`a.${'b'.repeat(253)}`, `a.${'b'.repeat(253)}`, false],
  ] as const) {
    test(`${text.slice(0, 30)} is a name to filter for`, () => {
      assert.deepEqual(wantedNameOf(text), { _tag: 'Right', right: { name, below } })
    })
  }

  for (const text of [
    'org',
    'org.*',
    '*',
    '.*',
    'org..example',
    '.org.example',
    'org.example.',
    'org.example*',
    'org.*.example',
    'org.example.*.*',
    'org.example .*',
    ' org.example',
    'org.example\n',
    'org.1example',
    ':1.7',
    'dbus ',
    'DBus',
    'org/example',
    'org.exämple',
    "org.example'",
    `a.${'b'.repeat(254)}`,
  ]) {
    test(`${JSON.stringify(text.slice(0, 30))} is refused`, () => {
      assert.equal(wantedNameOf(text)._tag, 'Left')
    })
  }
})

describe('names before the dots of the wanted one', () => {
  for (const [name, prefixes] of [
    ['org.example', []],
    ['org.example.Service', ['org.example']],
    ['org.example.a.b.C', ['org.example', 'org.example.a', 'org.example.a.b']],
    ['org.freedesktop.DBus.Extra', ['org.freedesktop']],
  ] as const) {
    test(`of ${name} they are ${prefixes.join(', ') || 'none'}`, () => {
      assert.deepEqual(prefixesOf({ name, below: false }), prefixes)
    })
  }
})

describe('the scope of a name', () => {
  const scope = new Scope({ name: 'org.example.Service', below: false })
  const wide = new Scope({ name: 'org.example.Service', below: true })

  for (const [name, within] of [
    ['org.example.Service', true],
    ['org.example.Service.Part', true],
    ['org.example.ServiceEvil', false],
    ['org.example.Servic', false],
    ['org.example', false],
    ['org.example.Service2.Part', false],
    ['xorg.example.Service', false],
    ['', false],
  ] as const) {
    test(`${name || 'nothing'} is ${within ? '' : 'not '}within it`, () => {
      assert.equal(scope.within(name), within)
      assert.equal(wide.within(name), within)
    })
  }

  test('a bus name below is a service only if it was asked for', () => {
    assert.equal(scope.standingOf('org.example.Service.Part'), 'none')
    assert.equal(wide.standingOf('org.example.Service.Part'), 'service')
    assert.equal(wide.standingOf('org.example.ServiceEvil'), 'none')
  })

  test('a name before its dots may have it as an interface', () => {
    assert.equal(scope.standingOf('org.example'), 'prefix')
    assert.equal(scope.standingOf('org'), 'none')
  })

  test('the bus is no service, whatever was asked for', () => {
    assert.equal(
      new Scope({ name: 'org.freedesktop', below: true }).standingOf('org.freedesktop.DBus'),
      'none',
    )
    assert.equal(
      new Scope({ name: 'org.freedesktop.DBus', below: false }).standingOf('org.freedesktop.DBus'),
      'none',
    )
  })
})

/** How the files of a configuration make one policy, in a folder that stands for a provider's root. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import {
  type Gathered,
  type GatherLimits,
  gather,
  isUnchanged,
  MAIN_FILES,
  MOST_INCLUDED_DEPTH,
} from '../../../../plugins/dbus/policy/gather.ts'
import { DEFAULT_LIMITS } from '../../../../src/model/limits.ts'
import { folderFiles } from '../../../support/folder-files.ts'
import { CONFIGURATIONS } from './configurations.ts'

const SOCKET = '/run/dbus/system_bus_socket'
const [MAIN = '', LEGACY = ''] = MAIN_FILES
const NOBODY = { uidOf: () => undefined, gidOf: () => undefined }

let root = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pvx-policy-'))
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

const write = (path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

const owning = (name: string): string => `<policy context="default"><allow own="${name}"/></policy>`

const config = (content: string, listen = `unix:path=${SOCKET}`): string =>
  `<busconfig><listen>${listen}</listen>${content}</busconfig>`

/** An included file needs no address. */
const part = (content: string): string => `<busconfig>${content}</busconfig>`

const gathered = (limits: Partial<GatherLimits> = {}, socket = SOCKET): Gathered =>
  gather(folderFiles(root), NOBODY, socket, { ...DEFAULT_LIMITS, ...limits })

/** The names of the own rules in their order, or why there are none. */
const owned = (result: Gathered): readonly string[] | string =>
  result.outcome.kind === 'loaded'
    ? result.outcome.rules.map(({ rule }) => (rule.kind === 'own' ? (rule.name ?? '*') : rule.kind))
    : result.outcome.reason

const rootOnly = (name: string): number | undefined => (name === 'root' ? 0 : undefined)
const NAMES = { uidOf: rootOnly, gidOf: rootOnly }

describe('one file', () => {
  for (const { name, text, isTaken } of CONFIGURATIONS) {
    test(`${isTaken ? 'may have' : 'may not have'} ${name}`, () => {
      write(MAIN, text.replaceAll('@LISTEN@', `unix:path=${SOCKET}`))
      write('/etc/passwd', '')
      const { outcome } = gather(folderFiles(root), NAMES, SOCKET, DEFAULT_LIMITS)
      assert.equal(outcome.kind, isTaken ? 'loaded' : 'malformed', 'reason' in outcome ? outcome.reason : '')
    })
  }

  test('says where each rule stands and how it is written', () => {
    write(
      MAIN,
      `<busconfig>\n<listen>unix:path=${SOCKET}</listen>\n<policy user="7">\n <deny\n  own="a.b"/>\n</policy></busconfig>`,
    )
    const { outcome } = gathered()
    assert.ok(outcome.kind === 'loaded')
    assert.deepEqual(outcome.rules[0]?.rule.origin, {
      file: MAIN,
      line: 4,
      source: '<deny\n  own="a.b"/>',
      policy: 'user="7"',
    })
  })

  test('is refused with the line of its flaw', () => {
    write(MAIN, config('\n\n<policy context="default">\n<allow own="*" user="*"/></policy>'))
    assert.match(String(owned(gathered())), /system\.conf: line 4, <allow>: own, own_prefix, user/)
  })

  test('is refused when it is nested as deep as a megabyte allows', () => {
    write(MAIN, '<a>'.repeat(300_000))
    assert.match(String(owned(gathered())), /nested too deeply/)
    write(MAIN, `${'<a>'.repeat(500)}${'</a>'.repeat(500)}`)
    assert.match(String(owned(gathered())), /nested too deeply/)
  })

  test('may have a line end of two characters, or of the old kind, in each place of a megabyte', () => {
    const policy = '\r\n<policy context="default">\r<allow own="a.A"/>\r\n</policy>'
    const flawed = `${policy}<policy/>`
    write(MAIN, config(`${'\r\n'.repeat(500_000)}${policy}`))
    assert.deepEqual(owned(gathered()), ['a.A'])
    write(MAIN, config(flawed))
    assert.match(String(owned(gathered())), /line 4, <policy>/)
  })

  test('is refused when it declares entities, before any of them is expanded', () => {
    const levels = Array.from({ length: 30 }, (_, at) => `<!ENTITY e${at + 1} "${`&e${at};`.repeat(10)}">`)
    const bomb = `<!ENTITY e0 "boom">${levels.join('')}`
    const file = '<!ENTITY e30 SYSTEM "/etc/passwd">'
    for (const declared of [bomb, file]) {
      for (const content of [config(''), '<busconfig><user>&e30;</user></busconfig>']) {
        write(MAIN, `<!DOCTYPE busconfig [${declared}]>${content}`)
        assert.match(String(owned(gathered())), /declarations of its own|entity/i)
      }
    }
  })

  test('is refused when it is no UTF-8', () => {
    mkdirSync(dirname(join(root, MAIN)), { recursive: true })
    writeFileSync(join(root, MAIN), Buffer.concat([Buffer.from(config('')), Buffer.from([0xff])]))
    assert.match(String(owned(gathered())), /not UTF-8/)
  })
})

describe('the main file', () => {
  test('is the first that is there', () => {
    write(LEGACY, config(owning('legacy.Name')))
    assert.deepEqual(owned(gathered()), ['legacy.Name'])
    write(MAIN, config(owning('main.Name')))
    assert.deepEqual(owned(gathered()), ['main.Name'])
  })

  test('is missing: there is no policy', () => {
    assert.deepEqual(gathered().outcome.kind, 'inactive')
    assert.deepEqual([...gathered().stamps.keys()], [MAIN, LEGACY])
  })

  for (const [listen, socket] of [
    ['unix:path=/var/run/dbus/system_bus_socket', SOCKET],
    [`unix:path=${SOCKET}`, '/var/run/dbus/system_bus_socket'],
    ['unix:path=/run//dbus/system_bus_socket', SOCKET],
    [`tcp:host=localhost;unix:guid=1,path=${SOCKET}`, SOCKET],
    ['unix:path=/run/dbus/system%5fbus_socket', SOCKET],
    ['unix:abstract=/bus', '@/bus'],
  ] as const) {
    test(`is of the bus on ${socket} when it listens on ${listen}`, () => {
      write(MAIN, config(owning('a.B'), listen))
      assert.deepEqual(owned(gathered({}, socket)), ['a.B'])
    })
  }

  for (const listen of [
    'unix:path=/run/other',
    'tcp:path=/run/dbus/system_bus_socket',
    'unix:dir=/run/dbus',
    '%',
    'x',
  ]) {
    test(`is of another bus when it listens on ${listen}`, () => {
      write(MAIN, config(owning('a.B'), listen))
      assert.equal(gathered().outcome.kind, 'inactive')
    })
  }

  test('may have its address from a file that it includes', () => {
    write(MAIN, part(`${owning('a.B')}<include>listen.conf</include>`))
    write(`${dirname(MAIN)}/listen.conf`, config(''))
    assert.deepEqual(owned(gathered()), ['a.B'])
  })
})

describe('files that are included', () => {
  test('stand where they are included, relative to the file that does', () => {
    write(MAIN, config(`${owning('a.1')}<include>sub/two.conf</include>${owning('a.4')}`))
    write(`${dirname(MAIN)}/sub/two.conf`, part(`${owning('a.2')}<include>three.conf</include>`))
    write(`${dirname(MAIN)}/sub/three.conf`, part(owning('a.3')))
    assert.deepEqual(owned(gathered()), ['a.1', 'a.2', 'a.3', 'a.4'])
  })

  test('of a folder are those that end in .conf, in the order of their bytes', () => {
    write(MAIN, config('<includedir>system.d</includedir><includedir>/etc/dbus-1/system.d</includedir>'))
    const folder = `${dirname(MAIN)}/system.d`
    for (const name of ['b.conf', 'B.conf', 'a.conf', '.conf', 'c.conf.bak', 'conf']) {
      write(`${folder}/${name}`, part(owning(`n.${name.charCodeAt(0)}`)))
    }
    assert.deepEqual(owned(gathered()), ['n.46', 'n.66', 'n.97', 'n.98'])
  })

  test('with a flaw count for nothing in a folder, with what they include, and are named', () => {
    write(MAIN, config('<includedir>system.d</includedir>'))
    const folder = `${dirname(MAIN)}/system.d`
    write(`${folder}/a.conf`, part(owning('a.A')))
    write(`${folder}/b.conf`, part(`${owning('b.B')}<include>c.conf</include><allow/>`))
    write(`${folder}/c.conf`, part(owning('c.C')))
    const result = gathered()
    assert.deepEqual(owned(result), ['a.A', 'c.C'])
    assert.deepEqual(result.warnings, [`${folder}/b.conf: line 1, <allow>: it is not known here`])
  })

  test('with a flaw spoil the file that includes them by name', () => {
    write(MAIN, config('<include ignore_missing="yes">/etc/more.conf</include>'))
    assert.deepEqual(owned(gathered()), [])
    write('/etc/more.conf', part('<allow/>'))
    assert.match(String(owned(gathered())), /more\.conf: line 1/)
  })

  test('may not include themselves, however many are between', () => {
    write(MAIN, config('<include>/etc/a.conf</include>'))
    write('/etc/a.conf', part('<include>/etc/b.conf</include>'))
    write('/etc/b.conf', part('<include ignore_missing="yes">/etc/a.conf</include>'))
    assert.match(String(owned(gathered())), /a\.conf includes itself/)
  })

  test('may not include each other too deep', () => {
    const chain = (length: number): void => {
      write(MAIN, config('<include>/etc/1.conf</include>'))
      for (let at = 1; at <= length; at += 1) {
        write(
          `/etc/${at}.conf`,
          part(at === length ? owning('a.B') : `<include>/etc/${at + 1}.conf</include>`),
        )
      }
    }
    chain(MOST_INCLUDED_DEPTH)
    assert.deepEqual(owned(gathered()), ['a.B'])
    chain(MOST_INCLUDED_DEPTH + 1)
    assert.match(String(owned(gathered())), /more than 16 deep/)
  })
})

describe('the bounds of a policy', () => {
  const folder = `${dirname(MAIN)}/system.d`

  test('leave out a file of a folder that is too long', () => {
    write(MAIN, config('<includedir>system.d</includedir>'))
    write(`${folder}/a.conf`, part(owning('a.A')))
    write(`${folder}/b.conf`, part(`${owning('b.B')}${' '.repeat(2000)}`))
    const result = gathered({ dbusPolicyFileBytes: 1024 })
    assert.deepEqual(owned(result), ['a.A'])
    assert.match(result.warnings.join(), /b\.conf: it is too long/)
  })

  test('refuse all where all files together have too many bytes', () => {
    write(MAIN, config('<includedir>system.d</includedir>'))
    for (const name of ['a', 'b', 'c']) write(`${folder}/${name}.conf`, part(' '.repeat(900)))
    assert.match(String(owned(gathered({ dbusPolicyFileBytes: 1024 }))), /more than 2048 bytes/)
  })

  test('refuse all where there are too many files', () => {
    write(MAIN, config('<includedir>system.d</includedir>'))
    for (let at = 0; at < 4; at += 1) write(`${folder}/${at}.conf`, part(''))
    assert.deepEqual(owned(gathered({ dbusPolicyFiles: 5 })), [])
    assert.match(String(owned(gathered({ dbusPolicyFiles: 4 }))), /more than 4 files/)
    assert.match(String(owned(gathered({ dbusPolicyFiles: 3 }))), /too many files/)
  })

  test('refuse all where there are too many rules', () => {
    write(MAIN, config(owning('a.A').repeat(10)))
    assert.equal(owned(gathered({ dbusPolicyRules: 10 })).length, 10)
    assert.match(String(owned(gathered({ dbusPolicyRules: 9 }))), /more than 9 rules/)
  })
})

describe('a change', () => {
  const isSame = (result: Gathered): boolean => isUnchanged(folderFiles(root), result)

  test('is seen in a file, in a folder, and where nothing was', () => {
    write(
      MAIN,
      config('<includedir>system.d</includedir><include ignore_missing="yes">/etc/local.conf</include>'),
    )
    write(`${dirname(MAIN)}/system.d/a.conf`, part(''))
    const first = gathered()
    assert.ok(isSame(first))
    write('/etc/unrelated.conf', '')
    assert.ok(isSame(first))
    write('/etc/local.conf', part(''))
    assert.ok(!isSame(first))
    const second = gathered()
    write(`${dirname(MAIN)}/system.d/b.conf`, part(''))
    assert.ok(!isSame(second))
    const third = gathered()
    write(MAIN, config('  '))
    assert.ok(!isSame(third))
  })
})

/** The verbs that ask a daemon: what they show, and what they say when there is none to be asked. */
import assert from 'node:assert/strict'
import { chmodSync, linkSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Terminal } from '../../src/cli/command.ts'
import { main } from '../../src/cli/main.ts'
import type { Answerer } from '../../src/control/routes.ts'
import { type ControlServer, openControlServer } from '../../src/control/server.ts'
import { E } from '../../src/fp.ts'
import { EMPTY_GRAPH } from '../../src/model/graph.ts'
import { NOTHING_COUNTED } from '../../src/model/mediation.ts'
import { type Bench, bench, serving } from '../control/support.ts'
import { aGraph, aLink } from '../support/builders.ts'
import { eventually } from '../support/eventually.ts'
import { fakeLog } from '../support/fakes.ts'
import { needsRoot } from '../support/privileges.ts'
import { type Ran, runInPlace, scratchDirectory, spawnBundle } from './support.ts'

const NOBODY = 65534

const app = aLink('app').named('raw')
const web = aLink('web').named('bus').running(null)
const lost = aLink('usb').named('cam').ofType('drm')

describe('a verb that asks the daemon', () => {
  let scratch: ReturnType<typeof scratchDirectory>
  let path: string
  let close: (() => void)[]
  beforeEach(() => {
    scratch = scratchDirectory()
    path = join(scratch.path, 'control.sock')
    close = []
  })
  afterEach(() => {
    for (const each of close) each()
    scratch.remove()
  })

  const serve = async (answer: Answerer): Promise<ControlServer> => {
    const opened = await openControlServer({ path, answer, log: fakeLog(), version: '1.2.3' })
    if (E.isLeft(opened)) return assert.fail(JSON.stringify(opened.left))
    close.push(opened.right.close)
    return opened.right
  }

  const listenAs = async (server: Server): Promise<void> => {
    await new Promise<void>(resolve => server.listen(path, resolve))
    close.push(() => server.close())
  }

  const links = (...args: readonly string[]): Promise<Ran> =>
    runInPlace(['links', '--control', path, ...args])

  const described = (...args: readonly string[]): Promise<Ran> =>
    runInPlace(['describe', '--control', path, ...args])

  const three = async (): Promise<Bench> => {
    const b = await serving(app, web, lost)
    await serve(b.answer)
    return b
  }

  describe('links', () => {
    test('shows every link and why one does not work, and ends with 0 all the same', async () => {
      await three()
      const { code, out, err } = await links()
      assert.deepEqual([code, err], [0, ''])
      const lines = out.split('\n')
      assert.match(
        lines[0] ?? '',
        /^STATE +TYPE +CONSUMER +NAME +PROVIDER +TARGET +ROLE +SINCE +OPEN +TOTAL +REASON$/,
      )
      assert.match(lines[1] ?? '', /^mediating +unix +app +raw +net +\/run\/pv\/api\.sock +any +\S+ +0 +0$/)
      assert.match(lines[2] ?? '', /^pending\.blocked +drm +usb .* no plugin for type "drm"$/)
      assert.match(lines[3] ?? '', /^pending\.waiting +unix +web .* the consumer is not running$/)
      assert.equal(lines[5], '3 links, 1 mediating')
    })

    test('says that there is none', async () => {
      await serve((await serving()).answer)
      assert.equal((await links()).out, 'There are no links.\n')
    })

    test('as JSON has every field', async () => {
      await three()
      const { out } = await links('--json')
      const { links: all } = JSON.parse(out) as { links: { key: string; reason: string | null }[] }
      assert.deepEqual(
        all.map(({ reason }) => reason),
        [null, 'no plugin for type "drm"', 'the consumer is not running'],
      )
    })

    test('shows only those that are asked for', async () => {
      await three()
      assert.match((await links('--state', 'pending')).out, /2 links, 0 mediating/)
      assert.match((await links('--consumer=app')).out, /1 link, 1 mediating/)
      assert.equal((await links('--consumer=app', '--state=injecting')).out, 'There are no links.\n')
      assert.equal((await links('--state=works')).code, 2)
      assert.equal((await links('--consumer=')).code, 2)
    })

    test('spells out control characters in names', async () => {
      await serve((await serving(aLink('a\x1b[2Jb').named('\u202ex'))).answer)
      const { out } = await links()
      assert.ok(out.includes('a\\x1b[2Jb') && out.includes('\\u202ex'))
    })
  })

  describe('links --watch', () => {
    interface Watching {
      readonly out: () => string
      readonly err: () => string
      readonly stop: () => void
      readonly ended: Promise<number>
    }

    const watch = (columns: number | undefined, ...args: readonly string[]): Watching => {
      let out = ''
      let err = ''
      let stop: () => void = () => undefined
      const stopped = new Promise<NodeJS.Signals>(resolve => {
        stop = () => resolve('SIGINT')
      })
      const terminal: Terminal = {
        out: text => {
          out += text
        },
        err: text => {
          err += text
        },
        columns,
        rows: columns === undefined ? undefined : 24,
        variables: {},
        readStdin: async () => Buffer.alloc(0),
        stopAsked: () => stopped,
      }
      const ended = main(['links', '--watch', '--control', path, ...args], terminal)
      return { out: () => out, err: () => err, stop, ended }
    }

    test('on a terminal keeps the table in its place, and leaves the last one behind', async () => {
      const b = await three()
      const watching = watch(120)
      await eventually('it is drawn', () => watching.out().includes('3 links, 1 mediating'))
      await b.shows(aGraph(app))
      await eventually('it is drawn anew', () => watching.out().includes('1 link, 1 mediating'))
      watching.stop()
      assert.equal(await watching.ended, 0)
      assert.ok(watching.out().startsWith('\x1b[?1049h'))
      const [, after = ''] = watching.out().split('\x1b[?1049l')
      assert.match(after, /^STATE.*\nmediating .*\n\n1 link, 1 mediating\n$/)
    })

    test('elsewhere prints a table when a state or a reason changes, and not when only time has passed', async () => {
      const b = await three()
      const watching = watch(undefined)
      await eventually('a first one is printed', () => watching.out().includes('3 links'))
      await b.shows(aGraph(app, web, lost))
      await b.shows(EMPTY_GRAPH)
      await eventually('the next one is printed', () => watching.out().includes('There are no links'))
      watching.stop()
      assert.equal(await watching.ended, 0)
      assert.equal(watching.out().match(/STATE|There are/g)?.length, 2)
      assert.ok(!watching.out().includes('\x1b'))
    })

    test('as JSON prints a line for each change', async () => {
      const b = await three()
      const watching = watch(undefined, '--json')
      await eventually('a first one is printed', () => watching.out() !== '')
      await b.shows(EMPTY_GRAPH)
      await eventually('the next one is printed', () => watching.out().includes('{"links":[]}'))
      watching.stop()
      await watching.ended
      const lines = watching.out().trimEnd().split('\n')
      assert.deepEqual(
        lines.map(line => (JSON.parse(line) as { links: unknown[] }).links.length),
        [3, 0],
      )
    })

    test('waits for a daemon that goes away to come back, and says so once', async () => {
      await three()
      const watching = watch(undefined)
      await eventually('it is printed', () => watching.out().includes('3 links'))
      close.pop()?.()
      await eventually('it is missed', () => watching.err() !== '')
      await serve((await serving(app)).answer)
      await eventually('it is back', () => watching.out().includes('1 link, 1 mediating'))
      watching.stop()
      assert.equal(await watching.ended, 0)
      assert.match(watching.err(), /^pv-xconnect links: no daemon answers on .*: there is no such socket\n$/)
    })

    test('ends when nobody reads it any more', async () => {
      const b = await three()
      const watching = spawnBundle(['links', '--control', path, '--watch', '--json'])
      await watching.saw('{')
      watching.child.stdout?.destroy()
      await b.shows(EMPTY_GRAPH)
      assert.equal((await watching.ended).code, 0)
    })

    test('ends with 1 if there is no daemon to begin with', async () => {
      const watching = watch(undefined)
      assert.equal(await watching.ended, 1)
    })
  })

  describe('describe', () => {
    test('shows all about a link, uncut', async () => {
      await three()
      const { code, out } = await runInPlace(['describe', 'raw', '--control', path], { columns: 60 })
      assert.equal(code, 0)
      assert.match(out, /^app\/raw@\/run\/pv\/api\.sock\n {2}State: {5}mediating\.steady for /)
      assert.match(out, /\nConditions:\n {2}TYPE +STATUS +REASON +FOR +MESSAGE\n {2}Admitted +True/)
      assert.match(
        out,
        /\nTransitions, from the oldest:\n {2}AGO .*\n.* injecting\.wanted +the graph wants it so\n/,
      )
      assert.match(out, /\nWhat to do:\n {2}Nothing, for the daemon: /)
      const [, advice = ''] = out.split('What to do:\n')
      for (const line of advice.split('\n')) assert.ok(line.length <= 60, line)
    })

    test('shows a device node as one, and no traffic, because none passes', async () => {
      const b = await three()
      for (const { link, mediation } of b.world.planted.values()) {
        if (link.name === 'raw') Object.assign(mediation.planted, { kind: 'node', represents: '226:0' })
      }
      const { out } = await described('raw')
      assert.match(out, /\n {2}Planted: +node of 226:0, inode \d+ of device 1\n/)
      assert.doesNotMatch(out, /Traffic:|Bytes:|Passed:/)
      const table = (await runInPlace(['links', '--control', path])).out
      assert.match(table, /\nmediating +\S+ +app +raw .* - +-/)
    })

    test('shows what the protocol of the link counted and timed', async () => {
      const b = await three()
      for (const { link, mediation } of b.world.planted.values()) {
        if (link.name !== 'raw') continue
        const figures = [
          { of: 'protocol', name: 'errors', help: 'E.', labels: { status: '400' }, kind: 'total', value: 3 },
        ]
        const histograms = [{ name: 'response', help: 'R.', bucketsMs: [5], counts: [1, 0], sumMs: 3 }]
        Object.assign(mediation, { counters: () => ({ ...NOTHING_COUNTED, figures, histograms }) })
      }
      const { out } = await described('raw')
      assert.match(out, /\nCounted:\n {2}WHAT .*\n {2}errors +status 400 +3 +E\.\n/)
      assert.match(out, /\nTimed:\n {2}WHAT .*\n {2}response +1 +3 ms +≤ 5 ms .*\n\nConditions:\n/)
    })

    test('says nothing of what there is none of', async () => {
      await three()
      const { out } = await described('cam')
      for (const absent of ['Planted', 'Attempts', 'Counted', 'Timed'])
        assert.ok(!out.includes(absent), absent)
      assert.match(out, /Verdict: {3}Unsupported: no plugin for type "drm"/)
      assert.match(out, /Traffic: {3}none yet/)
    })

    test('as JSON has every field, what happened and what to do among them', async () => {
      await three()
      const { out } = await described('raw', '--json')
      const { transitions, advice } = JSON.parse(out) as { transitions: unknown[]; advice: string[] }
      assert.deepEqual([transitions.length, advice.length], [2, 1])
    })

    test('asks back where a name fits two links', async () => {
      await three()
      const { code, out, err } = await described('/run/pv/api.sock')
      assert.deepEqual([code, out], [2, ''])
      assert.match(err, /fits 3 links; say more of the one that is meant:\n {2}app\/raw@/)
    })

    test('looks for a link that is not there among the rejected and those named alike', async () => {
      const b = bench()
      b.controller.start()
      await b.shows({ ...aGraph(app), rejected: [{ index: 4, reason: 'target: odd', called: 'web/bus' }] })
      await serve(b.answer)
      const rejected = await described('web/bus@/run/bus')
      assert.equal(rejected.code, 1)
      assert.match(
        rejected.err,
        /Entry 4 of the graph looks like it, web\/bus, but was rejected: target: odd\./,
      )
      const near = await described('rwa')
      assert.match(near.err, /there is no link rwa; did you mean raw\?\n/)
      assert.match(near.err, /The graph has 1 rejected entry, by another name or none/)
      assert.match(near.err, /The graph in force has 1 link, which pv-xconnect links shows/)
    })

    test('says that a link is gone', async () => {
      const b = await three()
      const key = 'app/raw@/run/pv/api.sock'
      await b.shows(EMPTY_GRAPH)
      assert.match(
        (await described(key)).err,
        /The link "app\/raw@.*" is gone since .*: the graph no longer has it/,
      )
    })

    test('says that Pantavisor cannot be reached, or the policy not be taken', async () => {
      const b = bench()
      b.controller.start()
      b.conditions = [
        {
          type: 'PolicyValid',
          status: 'False',
          reason: 'PolicyMalformed',
          message: 'policy.json is no policy',
          lastTransitionTime: 0,
        },
      ]
      await b.controller.kick('asked')
      await serve(b.answer)
      const { code, err } = await described('raw')
      assert.equal(code, 1)
      assert.match(err, /The daemon has not read any graph yet, so it knows of no link\./)
      assert.match(err, /Pantavisor's graph cannot be read: .*ENOENT\./)
      assert.match(err, /The policy file cannot be taken: policy\.json is no policy\./)
    })

    test('needs to be told of which link', async () => {
      assert.equal((await runInPlace(['describe'])).code, 2)
      assert.equal((await runInPlace(['describe', 'a', 'b'])).code, 2)
    })
  })

  describe('without a daemon', () => {
    const complaints = async (): Promise<string> => {
      const [listed, one] = [await links(), await described('raw')]
      assert.deepEqual([listed.code, listed.out, one.code, one.out], [1, '', 1, ''])
      assert.equal(listed.err.replace('pv-xconnect links', ''), one.err.replace('pv-xconnect describe', ''))
      return listed.err
    }

    test('says that there is no socket, and what to do', async () => {
      assert.match(
        await complaints(),
        /no daemon answers on .*: there is no such socket\n {2}Start pv-xconnect, or give .* --control PATH\.\n$/,
      )
    })

    test('says that the daemon is gone, or the thing no socket', async () => {
      await serve(async () => assert.fail())
      // A socket whose daemon was killed: its name stays.
      linkSync(path, `${path}.kept`)
      close.pop()?.()
      linkSync(`${path}.kept`, path)
      assert.match(await complaints(), /it was left by a daemon that is gone/)
      rmSync(path)
      writeFileSync(path, '')
      assert.match(await complaints(), /it is no socket/)
    })

    test("says that Pantavisor's socket is another one", async () => {
      await listenAs(createHttpServer((_, response) => response.end('[]')))
      assert.match(await complaints(), /is no control API of pv-xconnect: it calls itself nothing\n {2}Give/)
    })

    test('says that something speaks no HTTP, or nothing at all', async () => {
      await listenAs(createServer(socket => socket.end('220 mail\r\n')))
      assert.match(await complaints(), /is no control API of pv-xconnect: Parse Error/)
      close.pop()?.()
      await listenAs(createServer(socket => socket.destroy()))
      assert.match(await complaints(), /is no control API of pv-xconnect: it closed the connection/)
    })

    test('says that a daemon of another version answers in another form', async () => {
      await serve(async () => ({ status: 200, headers: {}, body: '{"links":[{"key":7}]}' }))
      assert.match(
        await complaints(),
        /its answer to \/links is of another form at links\.0\..*another version/,
      )
    })

    test('says what the daemon says, if it says no', async () => {
      await serve(async () => ({
        status: 503,
        headers: {},
        body: '{"error":"Draining","message":"It ends."}',
      }))
      assert.match(await complaints(), /: It ends\.\n$/)
    })

    test('says to whom the socket belongs', async t => {
      if (!needsRoot(t)) return
      await serve((await serving()).answer)
      chmodSync(scratch.path, 0o755)
      process.seteuid?.(NOBODY)
      try {
        assert.match(await complaints(), /may only be used by root\n {2}Try it as root\.\n$/)
      } finally {
        process.seteuid?.(0)
      }
    })
  })
})

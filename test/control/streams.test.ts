/** Answers that go on, over a real socket: what a client that does not read costs, and that nobody else pays for it. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { eventReader } from '../../src/cli/event-text.ts'
import { type ControlServer, openControlServer } from '../../src/control/server.ts'
import type { StreamEvent } from '../../src/events/event.ts'
import { E } from '../../src/fp.ts'
import { aLink } from '../support/builders.ts'
import { askControl, at } from '../support/control.ts'
import { eventually } from '../support/eventually.ts'
import { fakeLog } from '../support/fakes.ts'
import { type Bench, serving } from './support.ts'

const LIMITS = { connections: 8, patienceMs: 100, bodyBytes: 4096, streams: 3, streamBytes: 16 * 1024 }

describe('an answer that goes on', () => {
  let folder: string
  let path: string
  let server: ControlServer
  let b: Bench
  let clients: Socket[]
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'pvx-streams-'))
    path = join(folder, 'control.sock')
    clients = []
    b = await serving(aLink())
    const opened = await openControlServer({
      path,
      answer: b.routes,
      log: fakeLog(),
      version: '1.2.3',
      limits: LIMITS,
    })
    server = E.isRight(opened) ? opened.right : assert.fail()
  })
  afterEach(() => {
    for (const client of clients) client.destroy()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  interface Client {
    readonly socket: Socket
    readonly heard: () => string
    readonly events: () => readonly StreamEvent[]
    readonly isOver: () => boolean
  }

  /** One that reads, until it is told not to. */
  const client = async (url: string, method = 'GET'): Promise<Client> => {
    const socket = connect(path)
    clients.push(socket)
    let text = ''
    let over = false
    socket.on('data', chunk => {
      text += chunk
    })
    socket.on('error', () => undefined)
    socket.once('close', () => {
      over = true
    })
    socket.write(`${method} ${url} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await eventually('it is answered', () => text.includes('\r\n\r\n'))
    // Chunks are cut between events: only their lengths stand between.
    const unchunked = (): string =>
      text.slice(text.indexOf('\r\n\r\n') + 4).replace(/\r\n[0-9a-f]+\r\n|^[0-9a-f]+\r\n/g, '')
    return { socket, heard: () => text, events: () => eventReader()(unchunked()), isOver: () => over }
  }

  const happen = (count: number): void => {
    for (let n = 0; n < count; n += 1) b.events.audit('app/api', 'denied', { n, why: 'x'.repeat(100) })
  }

  it('is told as it happens, for longer than anybody is waited for', async () => {
    const { events, heard, isOver } = await client('/events')
    assert.match(heard(), /content-type: text\/event-stream/)
    happen(1)
    await eventually('it is heard', () => events().length === 2)
    await new Promise(resolve => setTimeout(resolve, 3 * LIMITS.patienceMs))
    happen(1)
    await eventually('it is heard too', () => events().length === 3)
    assert.equal(isOver(), false)
  })

  it('ends at once with what is remembered, where nothing more is wanted', async () => {
    happen(2)
    const { events, isOver } = await client('/events?follow=no')
    await eventually('it is over', isOver)
    const kinds = events().map(({ type }) => type)
    assert.equal(kinds[0], 'hello')
    assert.deepEqual(kinds.slice(-2), ['audit', 'audit'])
  })

  it('goes on where a client left off', async () => {
    happen(3)
    const last = b.events.seq()
    const socket = connect(path)
    clients.push(socket)
    let text = ''
    socket.on('data', chunk => {
      text += chunk
    })
    socket.write(`GET /events HTTP/1.1\r\nhost: x\r\nLast-Event-ID: ${last - 1}\r\n\r\n`)
    await eventually('it hears the last', () => text.includes(`id: ${last}\n`))
    assert.ok(!text.includes(`id: ${last - 1}\n`))
  })

  it('to a client that does not read is bounded, and is told of the gap when it reads again', async () => {
    const lazy = await client('/events')
    const keen = await client('/events')
    lazy.socket.pause()
    let told = 0
    // Less in a turn than may wait: whoever reads between turns hears all.
    for (let rounds = 0; rounds < 500; rounds += 1) {
      happen(20)
      told += 20
      await new Promise(resolve => setImmediate(resolve))
    }
    await eventually('the one that reads has heard all', () => keen.events().length === told + 1)
    lazy.socket.resume()
    const missed = await eventually('the other hears what it missed', () =>
      lazy.events().find(event => event.type === 'missed'),
    )
    const heard = lazy.events().filter(({ type }) => type === 'audit').length
    assert.ok(lazy.heard().length < keen.heard().length / 2)
    assert.ok(
      missed.type === 'missed' && heard < told && missed.count + heard === told,
      `${heard} of ${told}`,
    )
  })

  it('is not given to more than so many at once, and is again when one has gone', async () => {
    const all = await Promise.all(Array.from({ length: LIMITS.streams }, () => client('/events')))
    const refused = await askControl(path, '/events')
    assert.deepEqual([refused.status, at(refused.json, 'error')], [503, 'TooManyListeners'])
    assert.equal((await askControl(path, '/links')).status, 200)
    all[0]?.socket.destroy()
    await eventually('there is room', async () => {
      const { heard, socket } = await client('/events')
      const ok = heard().startsWith('HTTP/1.1 200')
      if (!ok) socket.destroy()
      return ok
    })
  })

  it('is not cut by others that come and stall', async () => {
    const { events, isOver } = await client('/events')
    for (let n = 0; n < 3 * LIMITS.connections; n += 1) clients.push(connect(path))
    await new Promise(resolve => setTimeout(resolve, 2 * LIMITS.patienceMs))
    happen(1)
    await eventually('it is heard', () => events().length === 2)
    assert.equal(isOver(), false)
  })

  it('is not begun for a HEAD', async () => {
    const { isOver, heard } = await client('/events', 'HEAD')
    await eventually('it is over', isOver)
    assert.match(heard(), /^HTTP\/1.1 200/)
  })

  it('cannot be asked for in ways that mean nothing', async () => {
    for (const query of ['follow=perhaps', 'since=yesterday', 'since=-1']) {
      const answer = await askControl(path, `/events?${query}`)
      assert.deepEqual([answer.status, at(answer.json, 'error')], [400, 'BadQuery'], query)
    }
  })

  it('of a recording ends where it can no longer be whole', async () => {
    const { socket, isOver } = await client('/recording')
    await eventually('it listens', () => b.listeners.size === 1)
    socket.pause()
    for (let n = 0; n < 20_000; n += 1) for (const listener of b.listeners) listener(`{"n":${n}}\n`)
    socket.resume()
    await eventually('it is over', isOver)
    await eventually('nobody listens', () => b.listeners.size === 0)
  })

  it('of a recording may begin with more than may wait: a graph of thousands of links', async () => {
    const line = `${JSON.stringify({ kind: 'graph', body: 'x'.repeat(1024 * 1024) })}\n`
    b.recordingBegins = Array.from({ length: 4 }, () => line)
    const { heard, isOver } = await client('/recording')
    for (const listener of b.listeners) listener('{"kind":"ended"}\n')
    await eventually('all of it is heard', () => heard().includes('"ended"') || undefined)
    assert.equal(heard().split('"graph"').length, 5)
    assert.equal(isOver(), false)
  })

  it('stops listening when its client goes', async () => {
    const { socket } = await client('/recording')
    await eventually('it listens', () => b.listeners.size === 1)
    socket.destroy()
    await eventually('nobody listens', () => b.listeners.size === 0)
  })
})

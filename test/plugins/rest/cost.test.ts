/**
 * What a rest session costs: commands a message, looks at each byte, bytes that need no look at all. Counted, never timed.
 * Many small pieces, and many small chunks, must not cost more than their bytes.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { restSessions } from '../../../plugins/rest/session.ts'
import { DEFAULT_LIMITS } from '../../../src/model/limits.ts'
import type { ByteView, Commands, Session, Side } from '../../../src/relay/contract.ts'
import { response, wire } from '../../support/rest-stage.ts'

/** Counts commands by their name, and takes note of what they consume. */
class Tally {
  readonly commands: Commands
  readonly calls = new Map<string, number>()
  readonly unseen: [Side, number | 'until-end'][] = []
  consumed = 0

  constructor() {
    const called = (name: string): void => {
      this.calls.set(name, (this.calls.get(name) ?? 0) + 1)
    }
    const consume = (name: string, bytes: number): void => {
      called(name)
      this.consumed += bytes
    }
    this.commands = {
      forward: (_from, bytes) => consume('forward', bytes),
      drop: (_from, bytes) => consume('drop', bytes),
      send: () => called('send'),
      opaque: (from, bytes) => this.unseen.push([from, bytes]),
      pause: () => called('pause'),
      resume: () => called('resume'),
      dial: () => called('dial'),
      endWrite: () => called('endWrite'),
      close: () => called('close'),
      setTimer: () => called('setTimer'),
      setIdleTimer: () => called('setIdleTimer'),
      clearTimer: () => called('clearTimer'),
      count: () => called('count'),
      mark: () => called('mark'),
      observe: () => called('observe'),
      report: () => called('report'),
    }
  }
}

const sessionOn = (tally: Tally): Session => {
  const session = restSessions({ consumer: 'app', role: 'any' }, DEFAULT_LIMITS)()
  session.on({ kind: 'opened', peer: { pid: 1, uid: 0, gid: 0 } }, tally.commands)
  tally.calls.clear()
  return session
}

const NO_FDS = { count: 0, at: 0 }

/** Show all of it at once. How much of it was consumed. */
const show = (session: Session, tally: Tally, from: Side, view: ByteView): number => {
  tally.consumed = 0
  session.on({ kind: 'bytes', from, view, fds: NO_FDS }, tally.commands)
  return tally.consumed
}

/** The first `length` bytes of a view that counts how often any of them is looked at. */
const watched = (bytes: Uint8Array, length: number, looks: { count: number }): Uint8Array =>
  new Proxy(bytes, {
    get: (target, key) => {
      if (key === 'length') return length
      const value = Reflect.get(target, key, target)
      if (typeof value === 'function') return value.bind(target)
      looks.count += 1
      return value
    },
  })

const HEAD = 'GET /info HTTP/1.1⏎Host: x⏎Accept: */*⏎User-Agent: test⏎⏎'

describe('an exchange of small messages', () => {
  test('takes two writes of the input and one of the identity to the provider, and two to the consumer', () => {
    const tally = new Tally()
    const session = sessionOn(tally)
    const exchange = (): void => {
      assert.equal(show(session, tally, 'consumer', wire(HEAD)), wire(HEAD).length)
      assert.equal(show(session, tally, 'provider', wire(response('wifi'))), wire(response('wifi')).length)
    }
    exchange()
    tally.calls.clear()
    exchange()
    assert.deepEqual(Object.fromEntries(tally.calls), {
      mark: 1,
      count: 3,
      forward: 4,
      send: 1,
      setIdleTimer: 1,
      observe: 1,
      setTimer: 1,
    })
  })

  test('pauses nobody, and touches no timer more than that, while the next request has not come', () => {
    const tally = new Tally()
    const session = sessionOn(tally)
    show(session, tally, 'consumer', wire(HEAD))
    for (const text of ['HTTP/1.1 200 OK⏎Content-Length: 4⏎⏎', 'w', 'ifi'])
      show(session, tally, 'provider', wire(text))
    assert.equal(tally.calls.get('pause'), undefined)
    assert.equal(tally.calls.get('setTimer'), 1)
  })
})

describe('looks at a byte', () => {
  /** Looks at each byte, when it comes in pieces of this size and nothing is consumed before its end. */
  const looksPerByte = (text: string, piece: number): number => {
    const bytes = wire(text)
    const tally = new Tally()
    const session = sessionOn(tally)
    const looks = { count: 0 }
    for (let length = piece; length < bytes.length; length += piece) {
      assert.equal(show(session, tally, 'consumer', watched(bytes, length, looks)), 0)
    }
    show(session, tally, 'consumer', watched(bytes, bytes.length, looks))
    assert.equal(tally.calls.get('close'), undefined)
    return looks.count / bytes.length
  }
  const fields = Array.from({ length: 40 }, (_, at) => `X-Field-${at}: ${'v'.repeat(100)}⏎`).join('')
  const LONG = `GET /info HTTP/1.1⏎Host: x⏎${fields}⏎`

  test('are few in a head that comes at once', () => {
    const looks = looksPerByte(LONG, 100_000)
    assert.ok(looks < 3, `${looks}`)
  })

  test('are hardly more where a head comes byte by byte', () => {
    const looks = looksPerByte(LONG, 1)
    assert.ok(looks < 6, `${looks}`)
  })

  test('do not grow with the number of chunks, and all chunks of a view leave with one command', () => {
    const tally = new Tally()
    const session = sessionOn(tally)
    show(session, tally, 'consumer', wire('POST / HTTP/1.1⏎Host: x⏎Transfer-Encoding: chunked⏎⏎'))
    tally.calls.clear()
    const looks = { count: 0 }
    const chunks = wire('1⏎x⏎'.repeat(10_000))
    show(session, tally, 'consumer', watched(chunks, chunks.length, looks))
    assert.equal(tally.consumed, chunks.length)
    assert.deepEqual(Object.fromEntries(tally.calls), { forward: 1 })
    assert.ok(looks.count < 4 * chunks.length, `${looks.count / chunks.length} a byte`)
  })

  test('are bounded however many fields a consumer nominates', () => {
    const options = (count: number): string => Array.from({ length: count }, () => 'x').join()
    const head = (count: number): string =>
      `GET / HTTP/1.1⏎Host: x⏎Connection: ${options(count)}⏎${'x: 1⏎'.repeat(100)}⏎`
    const reason = (count: number): number | undefined => {
      const tally = new Tally()
      show(sessionOn(tally), tally, 'consumer', wire(head(count)))
      return tally.calls.get('report')
    }
    assert.equal(reason(DEFAULT_LIMITS.restFields), undefined)
    assert.equal(reason(DEFAULT_LIMITS.restFields + 1), 1)
  })
})

describe('bytes that need no look', () => {
  const LARGE = 1_000_000

  test('are all of a large request body but its last byte', () => {
    const tally = new Tally()
    const session = sessionOn(tally)
    show(session, tally, 'consumer', wire(`PUT / HTTP/1.1⏎Host: x⏎Content-Length: ${LARGE}⏎⏎abc`))
    assert.deepEqual(tally.unseen, [['consumer', LARGE - 4]])
    assert.equal(tally.calls.get('setIdleTimer'), 1)
    show(session, tally, 'consumer', wire('z'))
    show(session, tally, 'provider', wire(response('done')))
    assert.equal(tally.calls.get('close'), undefined, 'the connection goes on')
  })

  test('are a large chunk of a request, but for what ends it', () => {
    const tally = new Tally()
    const session = sessionOn(tally)
    show(session, tally, 'consumer', wire('PUT / HTTP/1.1⏎Host: x⏎Transfer-Encoding: chunked⏎⏎100000⏎abc'))
    assert.deepEqual(tally.unseen, [['consumer', 0x100000 - 3]])
    assert.equal(show(session, tally, 'consumer', wire('⏎0⏎⏎')), 7)
  })

  test('are all of a large response body but its last byte', () => {
    const tally = new Tally()
    const session = sessionOn(tally)
    show(session, tally, 'consumer', wire(HEAD))
    show(session, tally, 'provider', wire(`HTTP/1.1 200 OK⏎Content-Length: ${LARGE}⏎⏎`))
    assert.deepEqual(tally.unseen, [['provider', LARGE - 1]])
    show(session, tally, 'provider', wire('z'))
    assert.equal(tally.calls.get('setTimer'), 1, 'the next request is awaited')
  })

  test('are a large chunk of a response, but for what ends it', () => {
    const tally = new Tally()
    const session = sessionOn(tally)
    show(session, tally, 'consumer', wire(HEAD))
    show(session, tally, 'provider', wire('HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎100000⏎abc'))
    assert.deepEqual(tally.unseen, [['provider', 0x100000 - 3]])
    show(session, tally, 'provider', wire('⏎0⏎⏎'))
    assert.equal(tally.calls.get('setTimer'), 1, 'the next request is awaited')
  })

  test('are those of a response without a length once many came at once, and its end is still told', () => {
    const tally = new Tally()
    const session = sessionOn(tally)
    show(session, tally, 'consumer', wire(HEAD))
    show(session, tally, 'provider', wire('HTTP/1.1 200 OK⏎⏎few'))
    assert.deepEqual(tally.unseen, [])
    show(session, tally, 'provider', Buffer.alloc(100_000))
    assert.deepEqual(tally.unseen, [['provider', Number.MAX_SAFE_INTEGER]])
  })

  test('are none where few are left: a look is cheaper', () => {
    const tally = new Tally()
    const session = sessionOn(tally)
    show(session, tally, 'consumer', wire('PUT / HTTP/1.1⏎Host: x⏎Content-Length: 1000⏎⏎abc'))
    show(session, tally, 'provider', wire('HTTP/1.1 200 OK⏎Content-Length: 1000⏎⏎abc'))
    assert.deepEqual(tally.unseen, [])
  })
})

/** Reading the graph again and again: an answer that is the same is not read anew, one that differs anywhere is. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { graphReader } from '../../src/graph/client.ts'
import { eventually } from '../support/eventually.ts'

const OK = 'HTTP/1.1 200 OK\r\n'
const withLength = (body: string, headers = ''): string =>
  `${OK}${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

interface Reading {
  /** What was read; the very same buffer as before is `same`. */
  readonly read: string
  /** How often it was asked for. */
  readonly asked: number
}

interface Bench {
  /** Read once from a server that answers like this. */
  readonly read: (answer: string | ((socket: Socket) => void)) => Promise<Reading>
  readonly open: ReadonlySet<Socket>
  readonly errors: readonly Error[]
}

const withReader = async (body: (bench: Bench) => Promise<void>, graphTimeoutMs = 5000): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), 'pvx-same-'))
  const socketPath = join(directory, 'pv-ctrl')
  const open = new Set<Socket>()
  const errors: Error[] = []
  let answer: (socket: Socket) => void = () => undefined
  let asked = 0
  const server = createServer({ allowHalfOpen: true }, socket => {
    open.add(socket)
    socket.on('error', error => errors.push(error))
    socket.on('close', () => open.delete(socket))
    // The other side has closed.
    socket.on('end', () => socket.end())
    socket.once('data', () => {
      asked += 1
      answer(socket)
    })
  })
  await new Promise<void>(resolve => server.listen(socketPath, resolve))
  const reader = graphReader({ socketPath, limits: { graphBodyBytes: 1_000_000, graphTimeoutMs } })
  let last: Buffer | undefined
  const read: Bench['read'] = async how => {
    answer = typeof how === 'string' ? socket => void socket.end(how) : how
    asked = 0
    const result = await reader()
    if (result._tag === 'Left') return { read: result.left._tag, asked }
    const same = result.right === last
    last = result.right
    return { read: same ? 'same' : String(result.right), asked }
  }
  try {
    await body({ read, open, errors })
  } finally {
    for (const socket of open) socket.destroy()
    await new Promise(resolve => server.close(resolve))
    rmSync(directory, { recursive: true })
  }
}

const DATES = ['Mon, 23 Nov 2026 15:58:19 GMT', 'Mon, 23 Nov 2026 15:58:20 GMT'] as const

describe('graph reader: the same answer', () => {
  const answers: readonly (readonly [string, string, string])[] = [
    ['with a length', withLength('[]'), withLength('[]')],
    [
      'in chunks',
      `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n`,
      `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n`,
    ],
    ['of another date', withLength('[]', `Date: ${DATES[0]}\r\n`), withLength('[]', `Date: ${DATES[1]}\r\n`)],
    [
      'of bare line feeds',
      `HTTP/1.1 200 OK\nContent-Length: 2\n\n[]`,
      `HTTP/1.1 200 OK\nContent-Length: 2\n\n[]`,
    ],
  ]
  for (const [name, first, second] of answers) {
    it(`an answer ${name} is asked for once and not read again`, () =>
      withReader(async ({ read }) => {
        assert.deepEqual(await read(first), { read: '[]', asked: 1 })
        assert.deepEqual(await read(second), { read: 'same', asked: 1 })
      }))
  }

  it('an answer that comes byte by byte is the same', () =>
    withReader(async ({ read }) => {
      const answer = withLength('[ ]', `Date: ${DATES[0]}\r\n`)
      await read(answer)
      const bytewise = (socket: Socket): void => {
        const next = (at: number): void => {
          if (at < answer.length) socket.write(answer.slice(at, at + 1), () => setImmediate(next, at + 1))
        }
        next(0)
      }
      assert.deepEqual(await read(bytewise), { read: 'same', asked: 1 })
    }))

  it('an answer larger than what is read at once is the same, and different where one of its bytes is', () =>
    withReader(async ({ read }) => {
      const body = `["${'x'.repeat(300_000)}"]`
      await read(withLength(body))
      assert.equal((await read(withLength(body))).read, 'same')
      for (const at of [2, 65_536, 150_000, 300_001]) {
        const other = `${body.slice(0, at)}y${body.slice(at + 1)}`
        assert.equal((await read(withLength(other))).read, other)
        assert.equal((await read(withLength(other))).read, 'same')
      }
    }))

  it('it leaves no connection open, though the server would', () =>
    withReader(async ({ read, open }) => {
      for (let i = 0; i < 3; i += 1) await read(socket => socket.write(withLength('[]')))
      await eventually('its connections are closed', () => open.size === 0)
    }))
})

describe('graph reader: another answer', () => {
  it('every byte of an answer counts, but for its date', () =>
    withReader(async ({ read }) => {
      const first = withLength('[1]', `Date: ${DATES[0]}\r\n`)
      const [start, end] = [first.indexOf(DATES[0]), first.indexOf(DATES[0]) + DATES[0].length]
      for (let at = 0; at < first.length; at += 1) {
        await read(first)
        const other = `${first.slice(0, at)}${first[at] === '0' ? '1' : '0'}${first.slice(at + 1)}`
        const got = await read(other)
        assert.equal(got.asked, 1)
        assert.equal(got.read === 'same', at >= start && at < end, `byte ${at}`)
      }
    }))

  it('a date in the body is no date', () =>
    withReader(async ({ read }) => {
      await read(withLength(`[\r\nDate: ${DATES[0]}\r\n]`))
      const other = `[\r\nDate: ${DATES[1]}\r\n]`
      assert.deepEqual(await read(withLength(other)), { read: other, asked: 1 })
    }))

  it('a body that has grown is read', () =>
    withReader(async ({ read }) => {
      await read(`${OK}\r\n[]`)
      assert.deepEqual(await read(`${OK}\r\n[] `), { read: '[] ', asked: 1 })
    }))

  it('a failure is told as what it is, and forgotten with the next good answer', () =>
    withReader(async ({ read }) => {
      await read(withLength('[]'))
      assert.equal((await read(`${OK}Content-Length: 9\r\n\r\n[]`)).read, 'Truncated')
      assert.equal((await read('HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n[]')).read, 'BadStatus')
      assert.equal((await read(withLength('[]').slice(0, -1))).read, 'Truncated')
      assert.equal((await read(withLength('[]'))).read, 'same')
    }))

  it('a server that begins like before and does not go on times out', () =>
    withReader(async ({ read }) => {
      await read(withLength('[]'))
      assert.equal((await read(socket => socket.write(withLength('[]').slice(0, -1)))).read, 'TimedOut')
    }, 50))

  it('a server is not cut off in the middle of an answer that differs', () =>
    withReader(async ({ read, open, errors }) => {
      await read(withLength('[]'))
      // More than the kernel keeps for a socket, so that it is still being written when the difference is seen.
      const body = `["${'x'.repeat(900_000)}"]`
      assert.equal((await read(withLength(body))).read, body)
      await eventually('its connections are closed', () => open.size === 0)
      assert.deepEqual(errors, [])
    }))
})

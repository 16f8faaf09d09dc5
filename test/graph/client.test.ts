import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { E } from '../../src/fp.ts'
import { readGraph } from '../../src/graph/client.ts'
import type { ReadError } from '../../src/graph/errors.ts'
import { describeReadError } from '../../src/graph/errors.ts'

interface Served {
  readonly result: E.Either<ReadError, Buffer>
  readonly request: string
}

const LIMIT = 1000

/** One read from a server that answers the first request as told. */
const readFrom = async (answer: (socket: Socket) => void, timeoutMs = 5000): Promise<Served> => {
  const directory = mkdtempSync(join(tmpdir(), 'pvx-client-'))
  const socketPath = join(directory, 'pv-ctrl')
  let request = ''
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, socket => {
    open.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => open.delete(socket))
    socket.on('data', chunk => {
      request += chunk.toString()
      if (request.endsWith('\r\n\r\n')) answer(socket)
    })
  })
  await new Promise<void>(resolve => server.listen(socketPath, resolve))
  try {
    const result = await readGraph({
      socketPath,
      limits: { graphBodyBytes: LIMIT, graphTimeoutMs: timeoutMs },
    })()
    return { result, request }
  } finally {
    for (const socket of open) socket.destroy()
    await new Promise(resolve => server.close(resolve))
    rmSync(directory, { recursive: true })
  }
}

const bodyOf = ({ result }: Served): string =>
  result._tag === 'Right' ? result.right.toString() : describeReadError(result.left)

const tagOf = ({ result }: Served): string => (result._tag === 'Left' ? result.left._tag : 'a body')

const OK = 'HTTP/1.1 200 OK\r\n'

describe('graph client: whole answers', () => {
  const answers: readonly (readonly [string, string])[] = [
    ['with a length', `${OK}Content-Length: 2\r\n\r\n[]`],
    ['with neither length nor chunks, ended by the connection', `${OK}\r\n[]`],
    ['as HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\n[]'],
    ['in chunks', `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n`],
    ['with blanks at the ends of header lines', 'HTTP/1.1 200 OK \r\nContent-Length: 2 \r\n\r\n[]'],
    ['without a reason phrase', 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n[]'],
    ['with bytes after its length', `${OK}Content-Length: 2\r\n\r\n[]\r\n`],
  ]
  for (const [name, answer] of answers) {
    it(`an answer ${name} is read`, async () => {
      assert.equal(bodyOf(await readFrom(socket => socket.end(answer))), '[]')
    })
  }

  it('an answer is read byte by byte', async () => {
    const answer = `${OK}Content-Length: 2\r\n\r\n[]`
    const served = await readFrom(socket => {
      const next = (at: number): void => {
        if (at < answer.length) socket.write(answer.slice(at, at + 1), () => setImmediate(next, at + 1))
      }
      next(0)
    })
    assert.equal(bodyOf(served), '[]')
  })

  it('a server that keeps the connection open does not keep us', async () => {
    const served = await readFrom(socket => socket.write(`${OK}Content-Length: 2\r\n\r\n[]`))
    assert.equal(bodyOf(served), '[]')
  })

  it('it asks for the graph and says that it will close', async () => {
    const { request } = await readFrom(socket => socket.end(`${OK}\r\n[]`))
    assert.match(request, /^GET \/xconnect-graph HTTP\/1\.1\r\n/)
    assert.match(request, /\r\nconnection: close\r\n/i)
  })

  it('a body of just the limit is read, one byte more is not', async () => {
    const body = (n: number) => `${OK}Content-Length: ${n}\r\n\r\n${'x'.repeat(n)}`
    assert.equal(bodyOf(await readFrom(socket => socket.end(body(LIMIT)))).length, LIMIT)
    assert.equal(tagOf(await readFrom(socket => socket.end(body(LIMIT + 1)))), 'TooLarge')
  })
})

describe('graph client: failed reads', () => {
  const failures: readonly (readonly [string, string, string])[] = [
    ['shorter than its length', `${OK}Content-Length: 9\r\n\r\n[]`, 'Truncated'],
    ['cut between chunks', `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n`, 'Truncated'],
    ['cut in its head', 'HTTP/1.1 200 OK\r\nContent-Le', 'Truncated'],
    ['that is nothing at all', '', 'Truncated'],
    ['with another status', 'HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n[]', 'BadStatus'],
    ['that is not HTTP', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', 'BadAnswer'],
  ]
  for (const [name, answer, tag] of failures) {
    it(`an answer ${name} is ${tag}`, async () => {
      assert.equal(tagOf(await readFrom(socket => socket.end(answer))), tag)
    })
  }

  it('an endless answer is cut at the limit', async () => {
    const served = await readFrom(socket => {
      socket.write(`${OK}\r\n`)
      const more = (): void => {
        if (socket.writable) socket.write('x'.repeat(100), () => setImmediate(more))
      }
      more()
    })
    assert.equal(tagOf(served), 'TooLarge')
  })

  it('a server that never answers, or never ends, times out', async () => {
    assert.equal(tagOf(await readFrom(() => undefined, 50)), 'TimedOut')
    assert.equal(tagOf(await readFrom(socket => socket.write(`${OK}\r\n[`), 50)), 'TimedOut')
  })

  it('a socket that is not there is unreachable, with the errno', async () => {
    const socketPath = join(tmpdir(), 'pvx-nobody-here')
    const result = await readGraph({ socketPath, limits: { graphBodyBytes: 10, graphTimeoutMs: 1000 } })()
    assert.deepEqual(result, { _tag: 'Left', left: { _tag: 'Unreachable', socketPath, errno: 'ENOENT' } })
  })
})

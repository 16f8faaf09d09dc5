/** The control API over a real Unix socket: who gets the place, and what clients can and cannot do to the daemon. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Answerer } from '../../src/control/routes.ts'
import { json } from '../../src/control/routes.ts'
import { type ControlLimits, type ControlServer, openControlServer } from '../../src/control/server.ts'
import { E } from '../../src/fp.ts'
import { aLink } from '../support/builders.ts'
import { askControl, at, type ControlAnswer, linkUrl } from '../support/control.ts'
import { eventually } from '../support/eventually.ts'
import { fakeLog } from '../support/fakes.ts'
import { serving } from './support.ts'

const LIMITS: ControlLimits = {
  connections: 64,
  patienceMs: 5000,
  bodyBytes: 4096,
  streams: 4,
  streamBytes: 64 * 1024,
}
/** Clients that stall in a test are cut in no time. */
const HASTY: ControlLimits = { ...LIMITS, patienceMs: 100 }

const hello: Answerer = async ({ method, url, body }) => json(200, { method, url, body })

/** All that a client hears until the server ends the connection. */
const untilEnd = (socket: Socket): Promise<string> =>
  new Promise(resolve => {
    let heard = ''
    socket.on('data', chunk => {
      heard += chunk
    })
    socket.on('error', () => undefined)
    socket.once('close', () => resolve(heard))
  })

describe('the control server', () => {
  let folder: string
  let path: string
  let log: ReturnType<typeof fakeLog>
  let servers: ControlServer[]
  let clients: Socket[]
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pvx-control-'))
    path = join(folder, 'control.sock')
    log = fakeLog()
    servers = []
    clients = []
  })
  afterEach(() => {
    for (const server of servers) server.close()
    for (const client of clients) client.destroy()
    rmSync(folder, { recursive: true, force: true })
  })

  const attempt = async (answer: Answerer = hello, limits = LIMITS): ReturnType<typeof openControlServer> => {
    const opened = await openControlServer({ path, answer, log, version: '1.2.3', limits })
    if (E.isRight(opened)) servers.push(opened.right)
    return opened
  }

  const open = async (answer?: Answerer, limits?: ControlLimits): Promise<ControlServer> => {
    const opened = await attempt(answer, limits)
    return E.isRight(opened) ? opened.right : assert.fail(JSON.stringify(opened.left))
  }

  const refusedBecause = async (): Promise<string> => {
    const opened = await attempt()
    return E.isLeft(opened) ? opened.left._tag : assert.fail('it was opened')
  }

  const client = async (): Promise<Socket> => {
    const socket = connect(path)
    clients.push(socket)
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return socket
  }

  const said = async (text: string): Promise<string> => {
    const socket = await client()
    const heard = untilEnd(socket)
    socket.write(text)
    return heard
  }

  const answers = async (): Promise<boolean> => (await askControl(path, '/x')).status === 200

  describe('takes its place', () => {
    it('with mode 0600, whatever the umask, which it leaves as it was', async () => {
      const umask = process.umask(0)
      try {
        await open()
        assert.equal(process.umask(), 0)
      } finally {
        process.umask(umask)
      }
      assert.ok(lstatSync(path).isSocket())
      assert.equal(lstatSync(path).mode & 0o777, 0o600)
      assert.deepEqual(readdirSync(folder), ['control.sock'])
    })

    it('in a folder that it makes, one deep, with mode 0755', async () => {
      path = join(folder, 'made', 'control.sock')
      const umask = process.umask(0o077)
      try {
        await open()
      } finally {
        process.umask(umask)
      }
      assert.equal(lstatSync(join(folder, 'made')).mode & 0o777, 0o755)
      assert.ok(await answers())
      path = join(folder, 'no', 'such', 'place')
      assert.equal(await refusedBecause(), 'ControlRefused')
    })

    it('in a folder that is there, whose mode it leaves alone', async () => {
      chmodSync(folder, 0o700)
      await open()
      assert.equal(lstatSync(folder).mode & 0o777, 0o700)
    })

    it('from a socket that nobody listens on', async () => {
      await open()
      linkSync(path, join(folder, 'kept'))
      servers.pop()?.close()
      linkSync(join(folder, 'kept'), path)
      await open()
      assert.ok(await answers())
    })

    it('not from one that somebody listens on, whatever it speaks', async () => {
      const other = createServer().listen(path)
      await new Promise(resolve => other.once('listening', resolve))
      const { ino } = lstatSync(path)
      assert.equal(await refusedBecause(), 'ControlInUse')
      assert.equal(lstatSync(path).ino, ino)
      other.close()
    })

    it('not from a daemon like itself, which goes on', async () => {
      await open()
      assert.equal(await refusedBecause(), 'ControlInUse')
      assert.ok(await answers())
      assert.deepEqual(readdirSync(folder), ['control.sock'])
    })

    it('not from a file, a folder or a symlink', async () => {
      writeFileSync(path, 'precious')
      assert.equal(await refusedBecause(), 'ControlOccupied')
      assert.equal(readFileSync(path, 'utf8'), 'precious')
      rmSync(path)
      mkdirSync(path)
      assert.equal(await refusedBecause(), 'ControlOccupied')
      rmSync(path, { recursive: true })
      symlinkSync('elsewhere', path)
      assert.equal(await refusedBecause(), 'ControlOccupied')
      assert.ok(lstatSync(path).isSymbolicLink())
    })

    it('once, where two want it at the same moment', async () => {
      const opened = await Promise.all([attempt(), attempt(), attempt()])
      assert.equal(opened.filter(E.isRight).length, 1)
      assert.ok(await answers())
    })

    it('at a path as long as an address can be', async () => {
      path = join(folder, 'x'.repeat(107 - folder.length - 1))
      assert.equal(path.length, 107)
      await open()
      assert.ok(await answers())
    })

    it('and gives it back when it closes, but not what somebody else has put there', async () => {
      const server = await open()
      server.close()
      server.close()
      assert.equal(existsSync(path), false)
      const robbed = await open()
      rmSync(path)
      writeFileSync(path, 'theirs')
      robbed.close()
      assert.equal(readFileSync(path, 'utf8'), 'theirs')
    })
  })

  describe('answers', () => {
    const every = [
      ['GET', '/links', 200],
      ['GET', linkUrl('app/api@/run/pv/api.sock'), 200],
      ['GET', '/graph', 200],
      ['GET', '/healthz', 200],
      ['GET', '/readyz', 200],
      ['GET', '/metrics', 200],
      ['GET', '/log-level', 200],
      ['PUT', '/log-level', 200],
      ['POST', '/reconcile', 200],
      ['PUT', '/links', 405],
      ['GET', '/nothing', 404],
      ['GET', '/links/%ff%00', 400],
      ['GET', '/links/%00', 404],
    ] as const
    for (const [method, url, status] of every) {
      it(`${method} ${url} with ${status}, its length, and whose answer it is`, async () => {
        const { answer } = await serving(aLink())
        await open(answer)
        const got = await askControl(path, url, { method, ...(method === 'PUT' ? { body: 'debug' } : {}) })
        assert.equal(got.status, status, got.body)
        assert.equal(got.headers['content-length'], String(Buffer.byteLength(got.body)))
        assert.equal(got.headers['server'], 'pv-xconnect/1.2.3')
        assert.equal(got.headers['connection'], 'close')
        if (url !== '/metrics') assert.equal(got.headers['content-type'], 'application/json')
      })
    }

    it('HEAD as GET, without the body', async () => {
      const { answer } = await serving(aLink())
      await open(answer)
      const get = await askControl(path, '/graph')
      const head = await askControl(path, '/graph', { method: 'HEAD' })
      assert.deepEqual([head.status, head.body], [200, ''])
      assert.equal(head.headers['content-length'], get.headers['content-length'])
    })

    it('a body that comes in pieces', async () => {
      await open()
      const socket = await client()
      const heard = untilEnd(socket)
      socket.write('PUT /x HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc')
      await new Promise(resolve => setImmediate(resolve))
      socket.write('def')
      assert.match(await heard, /"body":"abcdef"/)
    })

    it('a client that has ended its side', async () => {
      await open()
      const socket = await client()
      const heard = untilEnd(socket)
      socket.end('GET /x HTTP/1.1\r\n\r\n')
      assert.match(await heard, /^HTTP\/1\.1 200 /)
    })

    it('the largest key that a graph may have, though every byte is encoded', async () => {
      await open()
      const url = `/links/${'%00'.repeat(3 * 4096 + 2)}`
      assert.equal(at((await askControl(path, url)).json, 'url'), url)
    })

    it('with 500 where a handler throws, and logs it', async () => {
      await open(() => Promise.reject(new Error('a bug')))
      const { status, json: body } = await askControl(path, '/x')
      assert.deepEqual([status, at(body, 'error')], [500, 'Internal'])
      assert.equal(log.lines[0]?.level, 'error')
      assert.doesNotMatch(JSON.stringify(body), /a bug/)
    })
  })

  describe('refuses', () => {
    const tooLong = (bytes: number): Promise<ControlAnswer> =>
      askControl(path, '/x', { method: 'PUT', body: Buffer.alloc(bytes, 'x') })

    it('a body that is longer than it may be, and says how long that is', async () => {
      await open()
      assert.equal((await tooLong(4096)).status, 200)
      for (const bytes of [4097, 500_000]) {
        const { status, json: body } = await tooLong(bytes)
        assert.deepEqual([status, at(body, 'error')], [413, 'BodyTooLarge'])
        assert.match(String(at(body, 'message')), /4096 bytes/)
      }
    })

    it('a body without end, before it has come to one', async () => {
      await open()
      const socket = await client()
      const heard = untilEnd(socket)
      socket.write('PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n')
      const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`
      const pour = setInterval(() => socket.write(chunk), 1)
      assert.match(await heard, /^HTTP\/1\.1 413 |^$/)
      clearInterval(pour)
      assert.ok(await answers())
    })

    it('what is no HTTP, in words', async () => {
      await open()
      for (const garbage of [
        'hello\r\n\r\n',
        '\0\0\0\0',
        'GET /x HTTP/1.1\r\nbad header\r\n\r\n',
        '\x16\x03\x01',
      ]) {
        assert.match(await said(garbage), /^HTTP\/1\.1 400 Bad Request\r\n.*"error":"NotHttp"/s)
      }
    })

    it('headers without end', async () => {
      await open()
      const heard = await said(`GET /x HTTP/1.1\r\nX: ${'x'.repeat(70_000)}`)
      assert.match(heard, /^HTTP\/1\.1 431 .*"error":"HeadersTooLarge"/s)
    })

    it('to look at a second request of the same connection', async () => {
      await open()
      const heard = await said('GET /one HTTP/1.1\r\n\r\nGET /two HTTP/1.1\r\n\r\n')
      assert.match(heard, /"url":"\/one"/)
      assert.doesNotMatch(heard, /"url":"\/two"/)
    })
  })

  describe('is not held up by clients', () => {
    it('that never say anything, or one byte at a time', async () => {
      await open(hello, HASTY)
      const silent = untilEnd(await client())
      const slow = await client()
      const dripping = untilEnd(slow)
      const drip = setInterval(() => slow.write('G'), 20)
      assert.equal(await silent, '')
      assert.doesNotMatch(await dripping, /200 OK/)
      clearInterval(drip)
      assert.ok(await answers())
    })

    it('that announce a body and do not send it', async () => {
      await open(hello, HASTY)
      assert.equal(await said('PUT /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nab'), '')
    })

    it('that do not take their answer', async () => {
      await open(async () => json(200, 'x'.repeat(4_000_000)), HASTY)
      const socket = await client()
      socket.pause()
      socket.on('error', () => undefined)
      socket.write('GET /x HTTP/1.1\r\n\r\n')
      await eventually('it is accepted', () => acceptedBy(process.pid) === 1)
      await eventually('it is cut', () => acceptedBy(process.pid) === 0)
    })

    it('a hundred of which are idle', async () => {
      await open(hello)
      const idle = await Promise.all(Array.from({ length: 100 }, client))
      const ended = Promise.all(idle.map(untilEnd))
      assert.ok(await answers())
      const { status } = await askControl(path, '/x', { method: 'PUT', body: 'y' })
      assert.equal(status, 200)
      servers[0]?.close()
      await ended
    })

    it('that wait for a slow answer: their time does not run', async () => {
      const { answer, waiting } = held('late')
      await open(answer, HASTY)
      const silent = await client()
      const asked = askControl(path, '/x')
      await eventually('it is asked', () => waiting.length === 1)
      // Who came first and says nothing is cut meanwhile.
      await untilEnd(silent)
      waiting[0]?.()
      assert.equal((await asked).json, 'late')
    })

    it('that go away before they have asked', async () => {
      await open()
      for (const part of ['', 'GET /x', 'PUT /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nab']) {
        const socket = await client()
        socket.write(part)
        socket.destroy()
      }
      assert.ok(await answers())
      await eventually('nobody is left', () => acceptedBy(process.pid) === 0)
    })

    it('that go away while they wait, or while they are answered', async () => {
      const { answer, waiting } = held('x'.repeat(1_000_000))
      await open(answer)
      for (const when of ['before', 'after']) {
        const socket = await client()
        socket.on('error', () => undefined)
        socket.write('GET /x HTTP/1.1\r\n\r\n')
        const tell = await eventually('it is asked', () => waiting.pop())
        if (when === 'before') socket.destroy()
        tell()
        if (when === 'after') socket.once('data', () => socket.destroy())
        await eventually('nobody is left', () => acceptedBy(process.pid) === 0)
      }
      assert.deepEqual(log.lines, [])
    })

    it('when it closes', async () => {
      const server = await open(() => new Promise(() => undefined))
      const socket = await client()
      const heard = untilEnd(socket)
      socket.write('GET /x HTTP/1.1\r\n\r\n')
      server.close()
      assert.equal(await heard, '')
    })
  })
})

/** Answers only when it is told to. */
const held = (value: unknown): { readonly answer: Answerer; readonly waiting: (() => void)[] } => {
  const waiting: (() => void)[] = []
  const answer: Answerer = () => new Promise(resolve => waiting.push(() => resolve(json(200, value))))
  return { answer, waiting }
}

/** Connections that the one server of this process has accepted: they have its first name, as it has itself. */
const acceptedBy = (pid: number): number =>
  readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .filter(line => line.includes(`/.pv-xconnect-control-${pid}-`)).length - 1

/** The raw HTTP client and the recording provider, against each other: what they tell is what went over the socket. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { HOST } from './container.ts'
import { type HttpPeer, startHttpPeer } from './http-peer.ts'
import { canRunHere } from './requirements.ts'

const REQUEST = 'GET /info HTTP/1.1\r\nHost: x\r\n\r\n'

const both = (name: string, body: (peer: HttpPeer, path: string) => Promise<void>): void => {
  test(name, { timeout: 30_000 }, async t => {
    if (!canRunHere(t)) return
    const scratch = mkdtempSync(join(tmpdir(), 'pvx-http-'))
    const peer = await startHttpPeer(HOST)
    try {
      await body(peer, join(scratch, 'served.sock'))
    } finally {
      await peer.kill()
      rmSync(scratch, { recursive: true, force: true })
    }
  })
}

const served = async (peer: HttpPeer, path: string): Promise<void> => {
  await peer.listen('served', path)
  await peer.serve('served', 'http')
}

both('what a provider records is every byte that came, and how the connection ended', async (peer, path) => {
  await served(peer, path)
  const line = await peer.line(path)
  const posted = 'POST /form HTTP/1.1\r\nContent-Length: 5\r\n\r\n\xe9\x00\x01ab'
  await line.write(REQUEST + posted)
  const { text } = await line.hears('"}\n', 2)
  assert.match(text, /"request": "GET \/info HTTP\/1\.1".*"bytes": 0/)
  const digest = createHash('sha256').update(Buffer.from('\xe9\x00\x01ab', 'latin1')).digest('hex')
  assert.ok(text.includes(`"bytes": 5, "sha256": "${digest}"`), text)
  await line.halfClose()
  assert.equal((await line.hearsToEnd()).ended, 'close')
  const [record, ...others] = await peer.recorded('served')
  assert.deepEqual(others, [])
  assert.equal(record?.text, REQUEST + posted)
  assert.equal(record.ended, 'half-close')
})

both('a client that is gone is told from one that only has said all', async (peer, path) => {
  await peer.listen('led', path)
  const line = await peer.line(path)
  const upstream = await peer.accepts('led')
  await line.write('x')
  assert.equal(await upstream.state(), 'open')
  await line.halfClose()
  assert.equal(await upstream.state(), 'half-close')
  await line.close()
  assert.equal(await upstream.state(), 'close')
  assert.deepEqual((({ text, ended }) => ({ text, ended }))(await upstream.hearsToEnd()), {
    text: 'x',
    ended: 'close',
  })
})

both('bodies of any size are compared by checksum', async (peer, path) => {
  await served(peer, path)
  const line = await peer.line(path)
  await line.write('GET /bytes/3000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  const { body } = await line.hearsToEnd()
  assert.equal(body.bytes, 3_000_000)
  assert.deepEqual((await peer.recorded('served'))[0]?.sent, [body.sha256])
})

both('a provider reads chunked bodies, and sends them', async (peer, path) => {
  await served(peer, path)
  const line = await peer.line(path)
  await line.write('POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwifi\r\n0\r\nX-Sum: 9\r\n\r\n')
  assert.match((await line.hears('"}\n')).text, /"bytes": 4/)
  await line.write('GET /chunks/200000 HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.match((await line.hears('0\r\n\r\n')).text, /\r\n10000\r\n/)
})

both('many at once get their answers, and a full backlog shows', async (peer, path) => {
  await peer.listen('led', path, { backlog: 1 })
  assert.equal(await peer.backlogIsFull(path), false)
  assert.equal(await peer.backlogIsFull(path), false)
  assert.equal(await peer.backlogIsFull(path), true)
  await peer.serve('led', 'http')
  const answers = await peer.askMany(path, 'GET / HTTP/1.0\r\n\r\n', 20)
  assert.deepEqual(Object.values(answers), [20])
})

/** Bytes through a pipe between sockets, without copying them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Io } from '../../src/kernel/errno.ts'
import { openSocketPair } from '../../src/kernel/socket.ts'
import { PipePool } from '../../src/kernel/splice.ts'
import { leavesNoDescriptors, must, openDescriptors } from '../support/descriptors.ts'
import { pattern, Wire } from '../support/relay.ts'

leavesNoDescriptors()

const pair = (): readonly [Wire, Wire] => {
  const [one, other] = must(openSocketPair('stream'))
  return [new Wire(one), new Wire(other)]
}

const take = (pool: PipePool) => {
  const pipe = pool.take()
  assert.ok(pipe !== undefined)
  return pipe
}

test('what is filled in comes out again', async () => {
  const pool = new PipePool(0)
  const [source, from] = pair()
  const [to, sink] = pair()
  const pipe = take(pool)
  source.send(pattern(5000))
  assert.equal(pipe.fill(from.fd, 5000), 5000)
  assert.equal(pipe.held, 5000)
  assert.equal(pipe.drain(to.fd), 5000)
  assert.equal(pipe.held, 0)
  assert.deepEqual(await sink.take(5000), pattern(5000))
  pool.give(pipe)
  for (const wire of [source, from, to, sink]) wire.close()
})

test('no more than asked for is taken from the socket', async () => {
  const pool = new PipePool(0)
  const [source, from] = pair()
  const pipe = take(pool)
  source.send(pattern(5000))
  assert.equal(pipe.fill(from.fd, 3000), 3000)
  assert.deepEqual(await from.take(2000), pattern(5000).subarray(3000))
  pool.give(pipe)
  source.close()
  from.close()
})

test('an empty socket says to wait, an ended one that it has ended', () => {
  const pool = new PipePool(0)
  const [source, from] = pair()
  const pipe = take(pool)
  assert.equal(pipe.fill(from.fd, 100), Io.again)
  source.close()
  assert.equal(pipe.fill(from.fd, 100), 0)
  pool.give(pipe)
  from.close()
})

test('a socket that takes no more leaves the rest in the pipe', () => {
  const pool = new PipePool(0)
  const [source, from] = pair()
  const [to, sink] = pair()
  const pipe = take(pool)
  while (to.send(pattern(64 * 1024)) > 0);
  source.send(pattern(100))
  pipe.fill(from.fd, 100)
  assert.equal(pipe.drain(to.fd), Io.again)
  assert.equal(pipe.held, 100)
  pool.give(pipe)
  for (const wire of [source, from, to, sink]) wire.close()
})

test('an empty pipe is kept for the next user', () => {
  const pool = new PipePool(1)
  const pipe = take(pool)
  pool.give(pipe)
  assert.equal(take(pool), pipe)
  pipe.close()
})

test('a pipe with bytes of one connection in it is never given to another', () => {
  const pool = new PipePool(1)
  const [source, from] = pair()
  const pipe = take(pool)
  source.send('secret')
  pipe.fill(from.fd, 6)
  pool.give(pipe)
  const next = take(pool)
  assert.notEqual(next, pipe)
  assert.equal(next.held, 0)
  next.close()
  source.close()
  from.close()
})

test('more pipes than are to be kept are closed', () => {
  const pool = new PipePool(2)
  const before = openDescriptors()
  const pipes = Array.from({ length: 5 }, () => take(pool))
  for (const pipe of pipes) pool.give(pipe)
  assert.equal(openDescriptors(), before + 4)
  pool.close()
  assert.equal(openDescriptors(), before)
})

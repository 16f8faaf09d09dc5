/** A failing call's errno as a name, and as what the data plane should do about it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AT_FDCWD, O_RDONLY } from '../../src/kernel/constants.ts'
import { c, NULL } from '../../src/kernel/declarations.ts'
import { errnoName, Io, ioFailure, lastError, lastFailure } from '../../src/kernel/errno.ts'
import { openSocketPair } from '../../src/kernel/socket.ts'
import { leavesNoDescriptors, must } from '../support/descriptors.ts'

leavesNoDescriptors()

test('an errno is told by its name, with the call and the subject', () => {
  assert.ok(c.openat(AT_FDCWD, '/no/such/file', O_RDONLY, 0) < 0)
  assert.deepEqual(lastError('openat', 'consumer app'), {
    _tag: 'SyscallError',
    call: 'openat',
    errno: 'ENOENT',
    subject: 'consumer app',
  })
})

test('the number that has two names is called EAGAIN', () => {
  const [ours, theirs] = must(openSocketPair('stream'))
  assert.ok(c.recv(ours.borrowed, NULL, 0, 0) < 0)
  assert.equal(errnoName(), 'EAGAIN')
  ours.close()
  theirs.close()
})

test('nothing to read is no failure but a reason to wait', () => {
  const [ours, theirs] = must(openSocketPair('stream'))
  assert.ok(c.recv(ours.borrowed, NULL, 0, 0) < 0)
  assert.equal(ioFailure(), Io.again)
  ours.close()
  theirs.close()
})

test('an address that cannot be written to is told apart from every other failure', () => {
  const [ours, theirs] = must(openSocketPair('stream'))
  assert.ok(c.sendmsg(ours.borrowed, NULL, 0) < 0)
  assert.equal(ioFailure(), Io.fault)
  ours.close()
  theirs.close()
})

test('a failure without a meaning of its own keeps its name for the log', () => {
  assert.ok(c.recv(-1, NULL, 0, 0) < 0)
  assert.equal(ioFailure(), Io.failed)
  assert.equal(lastFailure(), 'EBADF')
})

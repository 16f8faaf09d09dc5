/** Messages on socket pairs: bytes, and descriptors at the byte they belong to. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Io } from '../../src/kernel/errno.ts'
import { closeRaw } from '../../src/kernel/fd.ts'
import {
  addCopy,
  addInput,
  beginParts,
  copyParts,
  growInput,
  INPUT_BYTES,
  inputBytes,
  MAX_PARTS,
  nextPacketBytes,
  partBytes,
  peek,
  peekRights,
  queuedBytes,
  received,
  receivePlain,
  receiveUpToRights,
  receiveWithRights,
  sendPartsTo,
  shrinkInput,
  stageInput,
} from '../../src/kernel/message.ts'
import { openSocketPair, receiveCredentials } from '../../src/kernel/socket.ts'
import { consume, leavesNoDescriptors, must, openDescriptors, parcels } from '../support/descriptors.ts'
import { pattern, Wire } from '../support/relay.ts'

leavesNoDescriptors()

const withPair = (kind: 'stream' | 'seqpacket', body: (a: Wire, b: Wire) => void): void => {
  const [one, other] = must(openSocketPair(kind))
  const a = new Wire(one)
  const b = new Wire(other)
  try {
    body(a, b)
  } finally {
    a.close()
    b.close()
  }
}

const input = (length: number): string => Buffer.from(inputBytes().subarray(0, length)).toString()
const readInfo = (fd: number): string => readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')
const arrived = (): readonly number[] => [...received.fds.subarray(0, received.fdCount)]

test('plain bytes arrive as they were sent', () =>
  withPair('stream', (a, b) => {
    assert.equal(a.send('hello'), 5)
    assert.equal(queuedBytes(b.fd), 5)
    assert.equal(receivePlain(b.fd, 0, 100), 5)
    assert.equal(input(5), 'hello')
  }))

test('bytes can be read to any place of the input buffer and sent on from there', () =>
  withPair('stream', (a, b) => {
    a.send('hello')
    assert.equal(receivePlain(b.fd, 1000, 100), 5)
    beginParts()
    addInput(1001, 3)
    assert.equal(sendPartsTo(b.fd, []), 3)
    assert.equal(receivePlain(a.fd, 0, 100), 3)
    assert.equal(input(3), 'ell')
  }))

test('nothing to read, the end and a reader who is gone are three different answers', () =>
  withPair('stream', (a, b) => {
    assert.equal(receivePlain(a.fd, 0, 10), Io.again)
    b.close()
    assert.equal(receivePlain(a.fd, 0, 10), 0)
    assert.equal(a.send('x'), Io.gone)
  }))

test('a peer that closed with unread bytes has reset the connection', () =>
  withPair('stream', (a, b) => {
    a.send('never read')
    b.close()
    assert.equal(receivePlain(a.fd, 0, 10), Io.gone)
  }))

test('descriptors arrive as the same open files', () =>
  withPair('stream', (a, b) => {
    const sent = parcels(3)
    assert.equal(a.send('x', sent.fds), 1)
    assert.equal(receiveWithRights(b.fd, 0, 100), 1)
    assert.equal(received.controlTruncated, false)
    assert.deepEqual(consume(arrived()), sent.identities)
    sent.close()
  }))

test('as many descriptors as the kernel takes arrive in order', () =>
  withPair('stream', (a, b) => {
    const sent = parcels(253)
    assert.equal(a.send('x', sent.fds), 1)
    assert.equal(receiveWithRights(b.fd, 0, 100), 1)
    assert.deepEqual(consume(arrived()), sent.identities)
    sent.close()
  }))

test('what stands in front of a message with descriptors is read without it', () =>
  withPair('stream', (a, b) => {
    const sent = parcels(1)
    a.send(pattern(100))
    a.send(pattern(10), sent.fds)
    a.send(pattern(50))
    assert.equal(queuedBytes(b.fd), 160)
    assert.equal(peek(b.fd, 1000), 110)
    assert.equal(receiveUpToRights(b.fd, 0, 110), 100)
    assert.equal(received.fdCount, 0)
    assert.deepEqual(Buffer.from(inputBytes().subarray(0, 100)), pattern(100))
    assert.equal(receiveUpToRights(b.fd, 0, 10), Io.fault)
    assert.equal(queuedBytes(b.fd), 60, 'nothing of it was consumed')
    assert.equal(receiveWithRights(b.fd, 0, 10), 10)
    assert.deepEqual(consume(arrived()), sent.identities)
    assert.equal(receiveWithRights(b.fd, 0, 1000), 50)
    assert.equal(received.fdCount, 0)
    sent.close()
  }))

test('one plain byte in front of descriptors is found as well', () =>
  withPair('stream', (a, b) => {
    const sent = parcels(1)
    a.send('p')
    a.send('r', sent.fds)
    assert.equal(peek(b.fd, 1000), 2)
    assert.equal(receiveUpToRights(b.fd, 0, 2), 1)
    assert.equal(input(1), 'p')
    assert.equal(receiveWithRights(b.fd, 0, 1), 1)
    assert.deepEqual(consume(arrived()), sent.identities)
    sent.close()
  }))

test('a look tells that descriptors are anywhere in the queue and creates none', () =>
  withPair('stream', (a, b) => {
    const sent = parcels(4)
    for (let i = 0; i < 20; i += 1) a.send('plain')
    assert.equal(peek(b.fd, 1), 1)
    assert.equal(received.controlTruncated, false)
    a.send('x', sent.fds)
    const before = openDescriptors()
    assert.equal(peek(b.fd, 1), 1)
    assert.equal(received.controlTruncated, true)
    assert.equal(openDescriptors(), before)
    assert.equal(queuedBytes(b.fd), 101)
    sent.close()
  }))

test('a look at the descriptors themselves leaves them in their message', () =>
  withPair('stream', (a, b) => {
    const sent = parcels(4)
    a.send('x', sent.fds)
    const before = openDescriptors()
    peekRights(b.fd, 1)
    assert.equal(received.controlTruncated, false)
    assert.equal(openDescriptors(), before)
    assert.equal(receiveWithRights(b.fd, 0, 1), 1)
    assert.deepEqual(consume(arrived()), sent.identities)
    sent.close()
  }))

test('descriptors that are not wanted are dropped, and a look told of them', () =>
  withPair('stream', (a, b) => {
    const sent = parcels(2)
    const before = openDescriptors()
    a.send('x', sent.fds)
    peek(b.fd, 1)
    assert.equal(received.controlTruncated, true)
    assert.equal(receivePlain(b.fd, 0, 10), 1)
    assert.equal(openDescriptors(), before)
    sent.close()
  }))

test('a received descriptor is not inherited by programs we start', () =>
  withPair('stream', (a, b) => {
    const sent = parcels(1)
    a.send('x', sent.fds)
    receiveWithRights(b.fd, 0, 1)
    const [fd] = arrived()
    const flags = /flags:\s+(\d+)/.exec(readInfo(fd ?? -1))?.[1] ?? '0'
    assert.ok((Number.parseInt(flags, 8) & 0o2000000) !== 0)
    closeRaw(fd ?? -1)
    sent.close()
  }))

test('parts of several sources leave as one message', () =>
  withPair('seqpacket', (a, b) => {
    stageInput(Buffer.from('0123456789'))
    beginParts()
    assert.ok(addInput(2, 3))
    assert.ok(addCopy(Buffer.from('-own-')))
    assert.ok(addInput(8, 2))
    assert.equal(partBytes, 10)
    assert.equal(sendPartsTo(a.fd, []), 10)
    assert.equal(receivePlain(b.fd, 0, 100), 10)
    assert.equal(input(10), '234-own-89')
  }))

test('more parts than fit are refused, not dropped', () => {
  beginParts()
  for (let i = 0; i < MAX_PARTS; i += 1) assert.ok(addCopy(Buffer.from('x')))
  assert.equal(addCopy(Buffer.from('x')), false)
  assert.equal(addInput(0, 1), false)
  assert.equal(partBytes, MAX_PARTS)
  beginParts()
})

test('what a short write left can be copied out from any position', () => {
  stageInput(Buffer.from('abcdef'))
  beginParts()
  addInput(0, 3)
  addCopy(Buffer.from('XYZ'))
  addInput(3, 3)
  for (let skip = 0; skip <= 9; skip += 1) {
    const rest = new Uint8Array(9 - skip)
    copyParts(skip, rest)
    assert.equal(Buffer.from(rest).toString(), 'abcXYZdef'.slice(skip))
  }
})

test('the length of the next packet is known before it is read', () =>
  withPair('seqpacket', (a, b) => {
    a.send(pattern(5000))
    a.send('second')
    assert.equal(nextPacketBytes(b.fd), 5000)
    assert.equal(receivePlain(b.fd, 0, 10_000), 5000)
    assert.equal(nextPacketBytes(b.fd), 6)
  }))

test('with credentials on, an empty packet is told from the end', () =>
  withPair('seqpacket', (a, b) => {
    assert.ok(receiveCredentials(b.fd))
    a.send('')
    assert.equal(nextPacketBytes(b.fd), 0)
    assert.equal(receiveWithRights(b.fd, 0, 1), 0)
    assert.equal(received.credentialed, true)
    a.endWriting()
    assert.equal(nextPacketBytes(b.fd), 0)
    assert.equal(receiveWithRights(b.fd, 0, 1), 0)
    assert.equal(received.credentialed, false)
  }))

test('a packet larger than the send buffer is told apart', () =>
  withPair('seqpacket', a => {
    stageInput(Buffer.alloc(900 * 1024))
    beginParts()
    addInput(0, 900 * 1024)
    assert.equal(sendPartsTo(a.fd, []), Io.tooLarge)
    shrinkInput()
  }))

test('the input buffer grows for one packet and shrinks again', () => {
  growInput(INPUT_BYTES * 2)
  assert.equal(inputBytes().length, INPUT_BYTES * 2)
  growInput(10)
  assert.equal(inputBytes().length, INPUT_BYTES * 2)
  shrinkInput()
  assert.equal(inputBytes().length, INPUT_BYTES)
})

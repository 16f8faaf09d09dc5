/**
 * Reading and writing sockets, descriptors included, without an allocation per message.
 *
 * One thread, so one set of buffers: `INPUT` holds what the last read brought, and is overwritten by the next one.
 * Everything the kernel is given an address of lives in native blocks of this module.
 * Descriptors that arrive are raw numbers in `received` (`control.ts`); whoever called the read owns them from then on.
 */

import {
  FIONREAD,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_PEEK,
  MSG_TRUNC,
  SIOCOUTQ,
} from './constants.ts'
import {
  CONTROL_BYTES,
  CREDENTIALS_BYTES,
  incomingControl,
  outgoingControl,
  putControl,
  received,
  takeControl,
  type Writer,
} from './control.ts'
import { c, NULL } from './declarations.ts'
import { ioFailure } from './errno.ts'
import { type BorrowedFd, closeRaw, noteReceived } from './fd.ts'
import { type Address, getWord, NativeBlock, type NativePart, setWord } from './memory.ts'
import { IOVEC, MSGHDR, SOCKADDR_UN } from './structs.ts'

export { received, receivedWriter, type Writer } from './control.ts'

/** Room of the shared input buffer. */
export const INPUT_BYTES = 256 * 1024
/** Room for bytes that are copied together before a write. */
export const OUTPUT_BYTES = 256 * 1024
/** iovecs in one write; far below IOV_MAX, and enough for a rewritten head. */
export const MAX_PARTS = 64

/** Room for small writes that are put aside together. */
const ASIDE_BYTES = 256 * 1024
/** Longest write that may be put aside. */
export const MOST_ASIDE_BYTES = 4096

const WASTE_BYTES = 64 * 1024

/** One block, so that bytes are moved inside of it by one cheap call: what was read, what is written, what is put aside. */
const shared = new NativeBlock(INPUT_BYTES + OUTPUT_BYTES + ASIDE_BYTES)
const usualInput = shared.part(0, INPUT_BYTES)
const output = shared.part(INPUT_BYTES, OUTPUT_BYTES)
const aside = shared.part(INPUT_BYTES + OUTPUT_BYTES, ASIDE_BYTES)
/** A block of its own as long as a packet needs more room. */
let input: NativePart | NativeBlock = usualInput
const waste = new NativeBlock(WASTE_BYTES)
const receiveHeader = new NativeBlock(MSGHDR.size)
const receiveParts = new NativeBlock(IOVEC.size * 2)
const sendHeader = new NativeBlock(MSGHDR.size)
const sendParts = new NativeBlock(IOVEC.size * MAX_PARTS)
const count = new NativeBlock(8)

/** Below mmap_min_addr, so no process can ever have it mapped: a copy to it faults. */
const UNMAPPED = 4096 as Address

/** The bytes of the last read. Replaced when a larger packet needs more room: ask again after every read. */
export const inputBytes = (): Uint8Array => input.bytes

/** Views of the input buffer's beginning, by their length. */
const views: Uint8Array[] = []
const MOST_VIEWS = 256
/** A view of what is longer costs little beside reading it. */
const LONGEST_CACHED_VIEW = 4096

/**
 * A view of some bytes of the last read. Small messages of a kind are of a few lengths, and to make a view costs a tenth of
 * what it costs to read one: those of the beginning are kept.
 */
export const inputView = (start: number, end: number): Uint8Array => {
  if (start > 0 || end > LONGEST_CACHED_VIEW || input !== usualInput) return input.bytes.subarray(start, end)
  const cached = views[end % MOST_VIEWS]
  if (cached?.length === end) return cached
  const view = input.bytes.subarray(0, end)
  views[end % MOST_VIEWS] = view
  return view
}

/** Room for at least this many bytes in the input buffer; what it held is lost. */
export const growInput = (bytes: number): void => {
  if (bytes <= input.size) return
  shrinkInput()
  input = new NativeBlock(bytes)
}

/** Put bytes of JavaScript's at the start of the input buffer, to be written from there as one packet. */
export const stageInput = (bytes: Uint8Array): void => {
  growInput(bytes.length)
  input.bytes.set(bytes)
}

/** Give back the room that `growInput` took for one large packet. */
export const shrinkInput = (): void => {
  if (input instanceof NativeBlock) input.free()
  input = usualInput
}

/** How many bytes wait to be read (of a stream), or an `Io` failure. */
export const queuedBytes = (fd: BorrowedFd): number =>
  c.ioctl(fd, FIONREAD, count.address) < 0 ? ioFailure() : count.data.getInt32(0, true)

/** What the other end has not read of what was sent, counted in the kernel's memory; 0 where it cannot be told. */
export const unreadBytes = (fd: BorrowedFd): number =>
  c.ioctl(fd, SIOCOUTQ, count.address) < 0 ? 0 : count.data.getInt32(0, true)

const setReceive = (address: Address, length: number, control: number): void => {
  setWord(receiveParts.data, IOVEC.base, address)
  setWord(receiveParts.data, IOVEC.length, length)
  const { data } = receiveHeader
  setWord(data, MSGHDR.parts, receiveParts.address)
  setWord(data, MSGHDR.partCount, 1)
  setWord(data, MSGHDR.control, control === 0 ? NULL : incomingControl)
  setWord(data, MSGHDR.controlLength, control)
}

const receiveMessage = (fd: BorrowedFd, flags: number): number => {
  const n = c.recvmsg(fd, receiveHeader.address, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
  if (n < 0) {
    received.fdCount = 0
    received.controlTruncated = false
    return ioFailure()
  }
  received.controlTruncated = (receiveHeader.data.getInt32(MSGHDR.flags, true) & MSG_CTRUNC) !== 0
  takeControl(getWord(receiveHeader.data, MSGHDR.controlLength))
  noteReceived(received.fdCount)
  return n
}

/** Read what carries no descriptors, or where they are not wanted: any that come are dropped by the kernel. */
export const receivePlain = (fd: BorrowedFd, at: number, length: number): number => {
  const n = c.recv(fd, input.at(at), length, MSG_DONTWAIT)
  return n < 0 ? ioFailure() : n
}

/**
 * Read at most one message to nowhere, with all descriptors it carries. Leaves the input buffer alone, which may hold what
 * somebody is looking at.
 */
export const receiveAside = (fd: BorrowedFd): number => {
  setReceive(waste.address, WASTE_BYTES, CONTROL_BYTES)
  return receiveMessage(fd, 0)
}

/** As `peek` for one byte, and as `receiveAside` with the input buffer. */
export const peekAside = (fd: BorrowedFd): number => {
  setReceive(waste.address, 1, 0)
  return receiveMessage(fd, MSG_PEEK)
}

/** Read at most one message's bytes with all descriptors they carry. */
export const receiveWithRights = (fd: BorrowedFd, at: number, length: number): number => {
  setReceive(input.at(at), length, CONTROL_BYTES)
  return receiveMessage(fd, 0)
}

/**
 * Look without taking anything: how many of at most `length` bytes there are up to the end of the first message with
 * descriptors. `received.controlTruncated` says whether descriptors are anywhere in what was seen. Creates none.
 * With `length` 1 the kernel walks the whole queue for the price of one byte.
 */
export const peek = (fd: BorrowedFd, length: number): number => {
  setReceive(input.at(0), length, 0)
  return receiveMessage(fd, MSG_PEEK)
}

/** As `peek`, of a socket that asks for credentials: they are given room, so that only descriptors lack it. */
export const peekBesideCredentials = (fd: BorrowedFd, length: number): number => {
  setReceive(input.at(0), length, CREDENTIALS_BYTES)
  return receiveMessage(fd, MSG_PEEK)
}

/** The kernel duplicates a message's descriptors for a look: count them, and say whether the table has room for all. */
export const peekRights = (fd: BorrowedFd, length: number): number => {
  setReceive(input.at(0), length, CONTROL_BYTES)
  const n = receiveMessage(fd, MSG_PEEK)
  for (let i = 0; i < received.fdCount; i += 1) closeRaw(received.fds[i] ?? -1)
  return n
}

/**
 * Whether descriptors come with the next packet, or anywhere in a stream's queue; with credentials beside them or not. For whoever
 * asks again and again: `peekRights` makes 253 descriptors each time, this one no more than credentials leave room for.
 */
export const carriesRights = (fd: BorrowedFd): boolean => {
  peekBesideCredentials(fd, 1)
  for (let i = 0; i < received.fdCount; i += 1) closeRaw(received.fds[i] ?? -1)
  return received.fdCount > 0 || received.controlTruncated
}

/** The length of the next packet, whatever the room, or an `Io` failure; an empty packet and the end are both 0. */
export const nextPacketBytes = (fd: BorrowedFd): number => {
  const n = c.recv(fd, NULL, 0, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC)
  return n < 0 ? ioFailure() : n
}

/**
 * Read what stands in front of a message with descriptors that ends `end` bytes on, and nothing of the message itself:
 * the last byte of the room is unmapped, so copying that message faults and the kernel puts it back.
 * `Io.fault`: nothing stands in front of it.
 */
export const receiveUpToRights = (fd: BorrowedFd, at: number, end: number): number => {
  setReceive(input.at(at), end - 1, CONTROL_BYTES)
  setWord(receiveParts.data, IOVEC.size + IOVEC.base, UNMAPPED)
  setWord(receiveParts.data, IOVEC.size + IOVEC.length, 1)
  setWord(receiveHeader.data, MSGHDR.partCount, 2)
  return receiveMessage(fd, 0)
}

/** Where a part lies, beside its iovec: what a short write left has to be found again. */
const partSources: (NativePart | NativeBlock)[] = []
const partOffsets = new Int32Array(MAX_PARTS)
const partLengths = new Int32Array(MAX_PARTS)
let partCount = 0
let staged = 0

/** Bytes in the parts added so far. */
export let partBytes = 0

/** Begin a write: the parts of the last one are forgotten. */
export const beginParts = (): void => {
  partCount = 0
  staged = 0
  partBytes = 0
}

const addPart = (source: NativePart | NativeBlock, offset: number, length: number): void => {
  const at = partCount * IOVEC.size
  setWord(sendParts.data, at + IOVEC.base, source.at(offset))
  setWord(sendParts.data, at + IOVEC.length, length)
  partSources[partCount] = source
  partOffsets[partCount] = offset
  partLengths[partCount] = length
  partCount += 1
  partBytes += length
}

/** Add bytes of the input buffer where they are. False: no more parts fit, write first. */
export const addInput = (offset: number, length: number): boolean => {
  if (partCount === MAX_PARTS) return false
  addPart(input, offset, length)
  return true
}

/** Add bytes of JavaScript's by copying them. False: they do not fit, write first. */
export const addCopy = (bytes: Uint8Array): boolean => {
  if (partCount === MAX_PARTS || staged + bytes.length > OUTPUT_BYTES) return false
  output.bytes.set(bytes, staged)
  addPart(output, staged, bytes.length)
  staged += bytes.length
  return true
}

/** Copy what the parts hold after their first `skip` bytes to `to`, which has room for it. */
export const copyParts = (skip: number, to: Uint8Array): void => {
  let at = 0
  let before = skip
  for (let i = 0; i < partCount; i += 1) {
    const length = partLengths[i] ?? 0
    const offset = partOffsets[i] ?? 0
    const left = Math.max(0, length - before)
    const source = partSources[i]
    if (left > 0 && source !== undefined) {
      to.set(source.bytes.subarray(offset + length - left, offset + length), at)
      at += left
    }
    before = Math.max(0, before - length)
  }
}

/**
 * Write the parts as one message, descriptors with its first byte, on behalf of a writer where one is named (SCM_CREDENTIALS,
 * unix(7)). The number of bytes taken, or an `Io` failure. More than 0: the descriptors are delivered, however short the
 * write; the caller closes its copies.
 */
export const sendPartsTo = (fd: BorrowedFd, fds: readonly number[], writer?: Writer): number => {
  const { data } = sendHeader
  setWord(data, MSGHDR.parts, sendParts.address)
  setWord(data, MSGHDR.partCount, partCount)
  const control = putControl(fds, writer)
  setWord(data, MSGHDR.control, control === 0 ? NULL : outgoingControl)
  setWord(data, MSGHDR.controlLength, control)
  const n = c.sendmsg(fd, sendHeader.address, MSG_NOSIGNAL | MSG_DONTWAIT)
  return n < 0 ? ioFailure() : n
}

const addressee = new NativeBlock(SOCKADDR_UN.size)

/** Where the datagram of the last `receiveDatagram` came from: its socket's address as the kernel gave it, empty if it has none. */
export const receivedFrom = (): Uint8Array =>
  addressee.bytes.slice(0, receiveHeader.data.getUint32(MSGHDR.nameLength, true))

/** As `receiveWithRights`, with the address of whom it is from. */
export const receiveDatagram = (fd: BorrowedFd, length: number): number => {
  setReceive(input.at(0), length, CONTROL_BYTES)
  const { data } = receiveHeader
  setWord(data, MSGHDR.name, addressee.address)
  data.setUint32(MSGHDR.nameLength, addressee.size, true)
  const n = receiveMessage(fd, 0)
  setWord(data, MSGHDR.name, NULL)
  return n
}

/** As `sendPartsTo`, from a socket that is not connected to a socket address. */
export const sendDatagram = (fd: BorrowedFd, fds: readonly number[], to: Uint8Array): number => {
  const { data } = sendHeader
  addressee.bytes.set(to)
  setWord(data, MSGHDR.name, addressee.address)
  data.setUint32(MSGHDR.nameLength, to.length, true)
  const n = sendPartsTo(fd, fds)
  setWord(data, MSGHDR.name, NULL)
  data.setUint32(MSGHDR.nameLength, 0, true)
  return n
}

/** Where the next bytes are put aside, and how many writes are there; all room is free again once none is. */
let asideEnd = 0
let asideWrites = 0

const moveAside = (): void => {
  for (let i = 0; i < partCount; i += 1) {
    const offset = partOffsets[i] ?? 0
    const length = partLengths[i] ?? 0
    const source = partSources[i]
    const to = INPUT_BYTES + OUTPUT_BYTES + asideEnd
    if (source === usualInput) shared.bytes.copyWithin(to, offset, offset + length)
    else if (source === output)
      shared.bytes.copyWithin(to, INPUT_BYTES + offset, INPUT_BYTES + offset + length)
    else if (source !== undefined) aside.bytes.set(source.bytes.subarray(offset, offset + length), asideEnd)
    asideEnd += length
  }
}

/**
 * Put the parts aside, to be sent later by `sendAside`. Where they are now, or -1: there is no room, write them at once.
 * They stay until `forgetAside`.
 */
export const putAside = (): number => {
  if (partBytes > MOST_ASIDE_BYTES || asideEnd + partBytes > ASIDE_BYTES) return -1
  const at = asideEnd
  moveAside()
  asideWrites += 1
  return at
}

/** Add the parts to what ends at `end`. False: there is no room behind it. */
export const addAside = (end: number): boolean => {
  if (end !== asideEnd || partBytes > MOST_ASIDE_BYTES || asideEnd + partBytes > ASIDE_BYTES) return false
  moveAside()
  return true
}

/** The number of bytes taken, or an `Io` failure. */
export const sendAside = (fd: BorrowedFd, at: number, length: number): number => {
  const n = c.send(fd, aside.at(at), length, MSG_NOSIGNAL | MSG_DONTWAIT)
  return n < 0 ? ioFailure() : n
}

/** What was put aside, to be kept elsewhere. */
export const asideBytes = (at: number, length: number): Uint8Array => aside.bytes.subarray(at, at + length)

/** One write that was put aside was sent, or is not wanted any more. */
export const forgetAside = (): void => {
  asideWrites -= 1
  if (asideWrites === 0) asideEnd = 0
}

/**
 * Writing lines to standard output without ever waiting for its reader.
 * A pipe or a terminal gets a file description of our own, so that making it non-blocking changes nothing for whoever
 * shares it: both can stand still for ever. Files do not block for long and are written as they are.
 */
import { fstatSync } from 'node:fs'
import {
  AT_FDCWD,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  O_WRONLY,
} from './constants.ts'
import { c } from './declarations.ts'
import { Io, ioFailure } from './errno.ts'
import { NativeBlock } from './memory.ts'

const RETRY_MS = 50

export interface Output {
  /** Takes the line or drops it; returns at once either way. */
  write(line: string): void
  /** Lines dropped so far. */
  dropped(): number
  /** Write what the reader takes now; the rest stays. */
  flush(): void
}

type Write = (from: NativeBlock, length: number) => number

const writerFor = (fd: number): Write => {
  const stat = fstatSync(fd)
  if (stat.isSocket()) return (from, length) => c.send(fd, from.address, length, MSG_DONTWAIT | MSG_NOSIGNAL)
  if (!stat.isFIFO() && !stat.isCharacterDevice()) return (from, length) => c.write(fd, from.address, length)
  const flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
  const own = c.openat(AT_FDCWD, `/proc/self/fd/${fd}`, flags, 0)
  const target = own < 0 ? fd : own
  return (from, length) => c.write(target, from.address, length)
}

/** `mostBytes` of lines are held for a reader that is behind; beyond it they are dropped and counted. */
export const openOutput = (fd: number, mostBytes: number): Output => {
  const write = writerFor(fd)
  const staging = new NativeBlock(64 * 1024)
  let backlog: Buffer[] = []
  let backlogBytes = 0
  let droppedLines = 0
  let broken = false
  let retry: NodeJS.Timeout | undefined

  /** How much of the bytes was taken; all of them, if the reader is gone for good. */
  const put = (bytes: Buffer): number => {
    let at = 0
    while (at < bytes.length && !broken) {
      const length = Math.min(staging.size, bytes.length - at)
      staging.bytes.set(bytes.subarray(at, at + length))
      const n = write(staging, length)
      if (n >= 0) {
        at += n
        continue
      }
      const failure = ioFailure()
      if (failure === Io.again) return at
      // A full disk may have room again; a reader that is gone does not come back.
      if (failure === Io.gone) broken = true
      droppedLines += 1
      return bytes.length
    }
    return bytes.length
  }

  const flush = (): void => {
    while (backlog.length > 0) {
      const [first] = backlog
      if (first === undefined) break
      const taken = put(first)
      backlogBytes -= taken
      if (taken < first.length) {
        backlog[0] = first.subarray(taken)
        schedule()
        return
      }
      backlog.shift()
    }
    backlog = []
  }

  const schedule = (): void => {
    if (retry !== undefined) return
    retry = setTimeout(() => {
      retry = undefined
      flush()
    }, RETRY_MS)
    retry.unref()
  }

  return {
    write: line => {
      if (broken) {
        droppedLines += 1
        return
      }
      const bytes = Buffer.from(line)
      if (backlogBytes + bytes.length > mostBytes) {
        droppedLines += 1
        schedule()
        return
      }
      const taken = backlog.length === 0 ? put(bytes) : 0
      if (taken === bytes.length) return
      backlog.push(bytes.subarray(taken))
      backlogBytes += bytes.length - taken
      schedule()
    },
    dropped: () => droppedLines,
    flush,
  }
}

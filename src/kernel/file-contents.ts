/**
 * Reading files and folders that a container has, once they were found in its root: whole, bounded, and without ever waiting for it.
 * Only regular files are opened: to open a FIFO may wait for its other end, and to open a device may set it going.
 */
import { type Dir, opendirSync } from 'node:fs'
import { E } from '../fp.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDONLY,
  STATX_BASIC_STATS,
  SYS,
} from './constants.ts'
import { c } from './declarations.ts'
import { lastError } from './errno.ts'
import { type BorrowedFd, OwnedFd } from './fd.ts'
import { pathOf, statusOf } from './files.ts'
import { NativeBlock } from './memory.ts'
import { STATX } from './structs.ts'

const CHUNK_BYTES = 64 * 1024
const chunk = new NativeBlock(CHUNK_BYTES)

/** Up to one byte more than asked for: whether there is more, that byte tells. */
const readFrom = (
  fd: BorrowedFd,
  mostBytes: number,
  subject: string,
): E.Either<SyscallError, Uint8Array | 'too long'> => {
  const parts: Uint8Array[] = []
  let length = 0
  while (length <= mostBytes) {
    const n = c.read(fd, chunk.address, Math.min(CHUNK_BYTES, mostBytes + 1 - length))
    if (n < 0) return E.left(lastError('read', subject))
    if (n === 0) return E.right(Buffer.concat(parts, length))
    parts.push(chunk.bytes.slice(0, n))
    length += n
  }
  return E.right('too long')
}

/** A regular file's bytes, by a descriptor for use (O_PATH). EINVAL: it is something else. A lease on it is not waited for. */
export const readWhole = (
  found: BorrowedFd,
  mostBytes: number,
  subject: string,
): E.Either<SyscallError, Uint8Array | 'too long'> => {
  const status = statusOf(found, subject)
  if (E.isLeft(status)) return status
  if (status.right.kind !== 'file') return E.left(syscallError('open', 'EINVAL', subject))
  const number = c.openat(AT_FDCWD, pathOf(found), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0)
  if (number < 0) return E.left(lastError('openat', subject))
  const fd = new OwnedFd(number)
  const bytes = readFrom(fd.borrowed, mostBytes, subject)
  fd.close()
  return bytes
}

const namesOf = (folder: Dir, mostNames: number): readonly Buffer[] | 'too many' => {
  const names: Buffer[] = []
  for (let entry = folder.readSync(); entry !== null; entry = folder.readSync()) {
    if (names.length === mostNames) return 'too many'
    names.push(Buffer.from(entry.name))
  }
  return names
}

/** Names in a folder, by a descriptor for use, sorted by their bytes. */
export const namesIn = (
  found: BorrowedFd,
  mostNames: number,
  subject: string,
): E.Either<SyscallError, readonly string[] | 'too many'> => {
  let folder: Dir | undefined
  try {
    folder = opendirSync(pathOf(found))
    const names = namesOf(folder, mostNames)
    return E.right(names === 'too many' ? names : [...names].sort(Buffer.compare).map(String))
  } catch (error) {
    return E.left(syscallError('opendir', (error as NodeJS.ErrnoException).code ?? String(error), subject))
  } finally {
    folder?.closeSync()
  }
}

const status = new NativeBlock(STATX.size)

/** A file system's clock stands still for a jiffy, at most 10 ms; without a fraction it counts in seconds, or (FAT) in two of them. */
const FINE_MS = 100
const COARSE_MS = 2500

/**
 * Differs whenever the file may: another one, another length, another time of change. One that changed just now may change
 * again at the same time by its clock, so until that has moved on, no two looks are alike. `undefined`: it cannot be looked at.
 */
export const stampOf = (found: BorrowedFd): string | undefined => {
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC
  const { data } = status
  if (c.statx(SYS.statx, found, '', flags, STATX_BASIC_STATS, status.address) < 0) return undefined
  const seconds = data.getBigInt64(STATX.changedSeconds, true)
  const nanoseconds = data.getUint32(STATX.changedNanoseconds, true)
  const device = `${data.getUint32(STATX.devMajor, true)}:${data.getUint32(STATX.devMinor, true)}`
  const file = `${device}:${data.getBigUint64(STATX.inode, true)}:${data.getBigUint64(STATX.length, true)}`
  const text = `${file}:${seconds}.${nanoseconds}`
  const now = Date.now()
  const agoMs = now - (Number(seconds) * 1000 + nanoseconds / 1e6)
  // What is later than now was made when the clock was ahead, as on a device that has yet to be told the time.
  return Math.abs(agoMs) > (nanoseconds === 0 ? COARSE_MS : FINE_MS) ? text : `${text} at ${now}`
}

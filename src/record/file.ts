/**
 * A recording on disk: lines are appended by other threads, a few times a second, and a file that has grown to its size makes
 * room for the next one, which stands by itself. Promises that nobody waits for the disk, and that one which is full,
 * slow or gone costs the recording only: it begins anew when the disk takes it again, and until then the files there are stay.
 * A file may end in the middle of a line where the daemon was killed.
 */
import { ftruncateSync, writeSync } from 'node:fs'
import { type FileHandle, open, rename } from 'node:fs/promises'
import type { LinkLog } from '../toolbox/contract.ts'
import type { Tape } from './tape.ts'

export interface RecordingFileOptions {
  readonly path: string
  /** A file that is longer, its beginning not counted, is followed by a new one. */
  readonly maxBytes: number
  /** How many older files stay beside it, as `PATH.1`, the youngest, `PATH.2` and so on. */
  readonly older: number
  readonly log: LinkLog
  /** What may wait for the disk. */
  readonly backlogBytes?: number
  /** How long after a failure it is tried again. */
  readonly againMs?: number
}

export interface RecordingFile {
  /** Write what is still held, at once. Nothing is recorded afterwards. */
  close(): void
}

/** What a kill may cost. */
const FLUSH_MS = 100
const BACKLOG_BYTES = 4 * 1024 * 1024
const AGAIN_MS = 60_000
const OWNER_ONLY = 0o600

const errnoOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)

export const recordTo = (tape: Tape, options: RecordingFileOptions): RecordingFile => {
  const { path, log, backlogBytes = BACKLOG_BYTES, againMs = AGAIN_MS } = options
  let segment: Segment | undefined
  let again: NodeJS.Timeout | undefined
  let closed = false

  const failed = (which: Segment, why: string): void => {
    if (segment !== which) return
    segment = undefined
    which.abandon()
    log.error({ file: path, reason: why, againMs }, 'nothing is recorded until the file can be written again')
    if (!closed) again = setTimeout(begin, againMs).unref()
  }

  const begin = (): void => {
    const next: Segment = startSegment(tape, {
      ...options,
      backlogBytes,
      onFull: () => {
        segment = undefined
        next.finish()
        begin()
      },
      onFailure: why => failed(next, why),
    })
    segment = next
  }

  begin()
  return {
    close: () => {
      closed = true
      clearTimeout(again)
      segment?.finishNow()
      segment = undefined
    },
  }
}

interface SegmentOptions extends RecordingFileOptions {
  readonly backlogBytes: number
  readonly onFull: () => void
  readonly onFailure: (why: string) => void
}

/** One file, from its first line to its last. */
interface Segment {
  /** Nothing more is heard; what was heard is still written. */
  finish(): void
  /** The same, before it returns. */
  finishNow(): void
  /** Nothing more is written. The lines that are whole stay. */
  abandon(): void
}

/** Older files move on by one name; the oldest is replaced. */
const makeRoom = async (path: string, older: number): Promise<void> => {
  const names = [path, ...Array.from({ length: older }, (_, index) => `${path}.${index + 1}`)]
  for (let to = names.length - 1; to > 0; to -= 1) {
    await rename(names[to - 1] ?? path, names[to] ?? path).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error
    })
  }
}

const startSegment = (tape: Tape, options: SegmentOptions): Segment => {
  const { path, maxBytes, older, backlogBytes, onFull, onFailure } = options
  let handle: FileHandle | undefined
  let held: string[] = []
  let heldBytes = 0
  /** Of whole lines that are on their way or there. */
  let taken = 0
  let beginningBytes = Number.POSITIVE_INFINITY
  /** What a thread is writing, and where. */
  let writing: { readonly bytes: Buffer; readonly at: number } | undefined
  let timer: NodeJS.Timeout | undefined
  let state: 'opening' | 'hearing' | 'finishing' | 'over' = 'opening'
  let isFull = false

  const hear = (line: string): void => {
    if (heldBytes > backlogBytes + (taken === 0 ? beginningBytes : 0)) {
      onFailure('the disk does not keep up')
      return
    }
    held.push(line)
    heldBytes += Buffer.byteLength(line)
    timer ??= setTimeout(() => void flush(), FLUSH_MS).unref()
    if (isFull || state !== 'hearing' || taken + heldBytes - beginningBytes <= maxBytes) return
    isFull = true
    // What a line tells of is only about to happen: the next file begins when the links have come to rest.
    setImmediate(() => state === 'hearing' && onFull())
  }

  const takeHeld = (): { readonly bytes: Buffer; readonly at: number } => {
    const next = { bytes: Buffer.from(held.join('')), at: taken }
    held = []
    heldBytes = 0
    taken += next.bytes.length
    return next
  }

  const writeWhole = async (to: FileHandle, { bytes, at }: NonNullable<typeof writing>): Promise<void> => {
    for (let done = 0; done < bytes.length; ) {
      done += (await to.write(bytes, done, bytes.length - done, at + done)).bytesWritten
    }
  }

  const flush = async (): Promise<void> => {
    timer = undefined
    if (handle === undefined || writing !== undefined || state === 'over') return
    try {
      while (held.length > 0) {
        writing = takeHeld()
        await writeWhole(handle, writing)
        writing = undefined
      }
      if (state === 'finishing') await closeHandle()
    } catch (error) {
      // Some of it may be there: what is not whole is cut off.
      taken = writing?.at ?? taken
      writing = undefined
      onFailure(errnoOf(error))
    }
  }

  const isOver = (): boolean => state === 'over'

  const closeHandle = async (): Promise<void> => {
    if (state === 'over') return
    state = 'over'
    await handle?.close().catch(() => undefined)
  }

  /** Under a name of its own until its beginning is there: a disk that takes nothing must not cost the files it has. */
  const openFile = async (): Promise<void> => {
    try {
      const opened = await open(`${path}.new`, 'w', OWNER_ONLY)
      if (isOver()) {
        await opened.close()
        return
      }
      handle = opened
      await flush()
      if (isOver()) return
      await makeRoom(path, older)
      await rename(`${path}.new`, path)
      if (state === 'opening') state = 'hearing'
    } catch (error) {
      onFailure(errnoOf(error))
    }
  }

  const stopHearing = tape.listen(hear)
  beginningBytes = heldBytes
  void openFile()

  return {
    finish: () => {
      stopHearing()
      if (state === 'over') return
      state = 'finishing'
      void flush()
    },
    finishNow: () => {
      stopHearing()
      clearTimeout(timer)
      if (handle === undefined || state === 'over') return
      state = 'over'
      try {
        // What a thread has begun to write may not get done any more. The same bytes at the same place do no harm.
        for (const { bytes, at } of [...(writing === undefined ? [] : [writing]), takeHeld()]) {
          writeSync(handle.fd, bytes, 0, bytes.length, at)
        }
      } catch {
        // The process ends: there is nobody to tell, and nothing to do about it.
        return
      }
    },
    abandon: () => {
      stopHearing()
      clearTimeout(timer)
      if (handle === undefined || state === 'over') return
      state = 'over'
      const whole = writing?.at ?? taken
      try {
        ftruncateSync(handle.fd, whole)
      } catch {
        // Then its last line is torn, as after a kill.
        return
      } finally {
        void handle.close().catch(() => undefined)
      }
    },
  }
}

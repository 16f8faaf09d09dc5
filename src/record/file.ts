/**
 * A recording on disk: lines are appended by other threads, a few times a second, and a file that has grown to its size makes
 * room for the next one, which stands by itself. Promises that nobody waits for the disk, and that one which is full,
 * slow or gone costs the recording only: it begins anew when the disk takes it again, and until then the files there are stay.
 * The old file is written on until the next has its name, so that a kill at any moment costs no more than what was not yet
 * flushed; it may leave the middle of a line at the end. Never follows a link, and never moves what is no file.
 */
import { unlinkSync, writeSync } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import type { LinkLog } from '../toolbox/contract.ts'
import { errnoOf, makeRoom } from './rotation.ts'
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

export const recordTo = (tape: Tape, options: RecordingFileOptions): RecordingFile => {
  const { path, log, backlogBytes = BACKLOG_BYTES, againMs = AGAIN_MS } = options
  /** The one that is written; while the next one gets its name, both. */
  const segments = new Set<Segment>()
  let again: NodeJS.Timeout | undefined

  const begin = (): void => {
    const segment: Segment = startSegment(tape, {
      ...options,
      backlogBytes,
      onNamed: () => {
        for (const each of segments) if (each !== segment) each.finish()
      },
      onFull: begin,
      onFailure: why => {
        for (const each of segments) each.finish()
        log.error(
          { file: path, reason: why, againMs },
          'nothing is recorded until the file can be written again',
        )
        again = setTimeout(begin, againMs).unref()
      },
      onOver: () => segments.delete(segment),
    })
    segments.add(segment)
  }

  begin()
  return {
    close: () => {
      clearTimeout(again)
      const all = [...segments]
      for (const each of all) each.finishNow(all.length === 1)
    },
  }
}

interface SegmentOptions extends RecordingFileOptions {
  readonly backlogBytes: number
  /** The file has its name: the one before is not needed any more. */
  readonly onNamed: () => void
  /** Told once: there should be another. This one goes on until it is told to finish. */
  readonly onFull: () => void
  /** It has ended by itself, and nobody has told it to. The lines that are whole stay. */
  readonly onFailure: (why: string) => void
  /** Nothing more comes of it. */
  readonly onOver: () => void
}

/** One file, from its first line to its last. */
interface Segment {
  /** Nothing more is heard; what was heard is still written. */
  finish(): void
  /** The same, before it returns. `alone`: no other file has heard what this one has. */
  finishNow(alone: boolean): void
}

const startSegment = (tape: Tape, options: SegmentOptions): Segment => {
  const { path, maxBytes, older, backlogBytes, onNamed, onFull, onFailure, onOver } = options
  const unnamed = `${path}.new`
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
  let isNamed = false

  const hear = (line: string): void => {
    if (heldBytes > backlogBytes + (taken === 0 ? beginningBytes : 0)) {
      fail('the disk does not keep up')
      return
    }
    held.push(line)
    // Near enough: most of it is ASCII, and how many bytes it comes to is known when they are written.
    heldBytes += line.length
    timer ??= setTimeout(() => void flush(), FLUSH_MS).unref()
    if (state === 'hearing' && taken + heldBytes - beginningBytes > maxBytes) askForNext()
  }

  const askForNext = (): void => {
    if (isFull) return
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
      if (state !== 'hearing') {
        if (state !== 'opening') end()
        return
      }
      // Somebody has removed it: what is written now would be nowhere.
      if ((await handle.stat()).nlink === 0) askForNext()
    } catch (error) {
      // Some of it may be there: what is not whole is cut off. Until then nobody else writes.
      taken = writing?.at ?? taken
      await handle.truncate(taken).catch(() => undefined)
      writing = undefined
      fail(errnoOf(error))
    }
  }

  /** Nothing is heard from here on, and nothing but what is on its way to the disk is written. */
  const end = (): void => {
    if (writing === undefined) void handle?.close().catch(() => undefined)
    if (state === 'over') return
    stopHearing()
    clearTimeout(timer)
    held = []
    state = 'over'
    onOver()
  }

  const fail = (why: string): void => {
    const isNews = state === 'opening' || state === 'hearing'
    end()
    if (isNews) onFailure(why)
  }

  const isOver = (): boolean => state === 'over'
  const removeUnnamed = (): Promise<void> => unlink(unnamed).catch(() => undefined)

  /** Under a name of its own until its beginning is there: a disk that takes nothing must not cost the files it has. */
  const openFile = async (): Promise<void> => {
    try {
      // What a killed daemon has left there has another name too.
      await removeUnnamed()
      handle = await open(unnamed, 'wx', OWNER_ONLY)
      await flush()
      if (!isOver()) await makeRoom(path, older)
      if (!isOver()) {
        await rename(unnamed, path)
        isNamed = true
        if (state === 'opening') state = 'hearing'
        onNamed()
        return
      }
      end()
    } catch (error) {
      fail(errnoOf(error))
    }
    await removeUnnamed()
  }

  const stopHearing = tape.listen(hear)
  beginningBytes = heldBytes
  void openFile()

  return {
    finish: () => {
      if (state === 'over') return
      stopHearing()
      state = 'finishing'
      void flush()
    },
    finishNow: alone => {
      stopHearing()
      if (handle === undefined || state === 'over') {
        end()
        return
      }
      try {
        // What a thread has begun to write may not get done any more. The same bytes at the same place do no harm.
        for (const { bytes, at } of [...(writing === undefined ? [] : [writing]), takeHeld()]) {
          writeSync(handle.fd, bytes, 0, bytes.length, at)
        }
        if (!isNamed && !alone) unlinkSync(unnamed)
      } catch {
        // The process ends: there is nobody to tell, and nothing to do about it.
        return
      } finally {
        end()
      }
    },
  }
}

/**
 * The journal in its file: what was put into containers and is not gone yet, for whoever starts after a SIGKILL.
 * Written with write(2) before the thing itself, which survives the process; a crash of the whole system it need not
 * survive, because the containers do not. One daemon at a time has it (flock(2)).
 * A journal that cannot be kept is said once, and the daemon goes on: connecting containers matters more.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { E } from '../fp.ts'
import { lockExclusively } from '../kernel/lock.ts'
import { describeError } from '../model/errors.ts'
import type { LinkLog } from './contract.ts'
import type { Announcement, GrantNote, GrantTrace, JournalLine, MadeFile, Trace } from './journal-format.ts'
import { encodeLine, JOURNAL_VERSION, lineForGrant, linesFor, madeOf, readJournal } from './journal-format.ts'

/** Rewritten when it is this long and four times what it was after the last time. */
const REWRITE_BYTES = 64 * 1024

export interface Journal {
  /** What earlier runs left, the oldest first. */
  readonly left: readonly Trace[]
  /** What earlier runs allowed in cgroups. */
  readonly leftGrants: readonly GrantTrace[]
  /** To be called before the thing exists under its private name. The id names it afterwards. */
  announce(what: Announcement): number
  /** To be called before the thing gets its real name. */
  made(id: number, what: MadeFile): void
  /** To be called before a cgroup is told. The id names it afterwards. */
  granted(what: GrantNote): number
  /** It is not there, or not there any more. */
  gone(id: number): void
  /** Removes the file if there is nothing in it. */
  close(): void
}

/** For whoever needs none: a demo's inner daemon, a test. */
export const noJournal = (): Journal => ({
  left: [],
  leftGrants: [],
  announce: () => 0,
  made: () => undefined,
  granted: () => 0,
  gone: () => undefined,
  close: () => undefined,
})

/** Not through a symlink: in a folder that others can write, it would lead root to a file of their choice. */
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDWR, O_TRUNC } = constants
const TO_APPEND = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW
const ANEW = O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW

const BOOT_ID = '/proc/sys/kernel/random/boot_id'

/** Open the file and have it alone. `undefined`: another daemon has it. */
const openAlone = (path: string): number | undefined => {
  for (;;) {
    const fd = openSync(path, TO_APPEND, 0o600)
    const locked = lockExclusively(fd)
    if (E.isLeft(locked)) {
      closeSync(fd)
      if (locked.left.errno === 'EAGAIN') return undefined
      throw new Error(describeError(locked.left))
    }
    // Between our open and our lock its former owner may have put a new file in its place.
    const named = statSync(path, { throwIfNoEntry: false })
    if (named?.ino === fstatSync(fd).ino) return fd
    closeSync(fd)
  }
}

const writeWhole = (fd: number, text: string): void => {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
}

export const openJournal = (path: string, log: LinkLog): Journal => {
  let fd: number | undefined
  let boot = ''
  try {
    boot = readFileSync(BOOT_ID, 'utf8').trim()
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
    fd = openAlone(path)
  } catch (error) {
    log.warn({ path, err: error }, 'there is no journal: what a kill leaves behind will stay')
    return noJournal()
  }
  if (fd === undefined) {
    log.warn({ path }, 'another daemon has this journal, going on without one: give each its own --journal')
    return noJournal()
  }

  const { traces: left, grants: leftGrants, unreadable } = readJournal(readFileSync(fd, 'utf8'), boot)
  if (unreadable > 0) log.warn({ path, lines: unreadable }, 'the journal has lines that cannot be read')

  const live = new Map<number, Trace>(left.map(trace => [trace.id, trace]))
  const grants = new Map<number, GrantTrace>(leftGrants.map(grant => [grant.id, grant]))
  let nextId = [...left, ...leftGrants].reduce((most, { id }) => Math.max(most, id), 0) + 1
  let written = 0
  let rewritten = 0
  let tidying: NodeJS.Immediate | undefined
  let broken = false

  const noteFailure = (error: unknown): void => {
    if (!broken)
      log.warn({ path, err: error }, 'the journal cannot be written: what a kill leaves behind may stay')
    broken = true
  }

  /** A new file with what there is to say, in the place of the old one, and locked before it gets its name. */
  const rewrite = (current: number): number => {
    const lines: JournalLine[] = [{ is: 'journal', version: JOURNAL_VERSION, boot }]
    for (const trace of live.values()) lines.push(...linesFor(trace))
    for (const grant of grants.values()) lines.push(lineForGrant(grant))
    const text = lines.map(encodeLine).join('')
    const next = `${path}.next`
    const replacement = openSync(next, ANEW, 0o600)
    try {
      writeWhole(replacement, text)
      lockExclusively(replacement)
      renameSync(next, path)
    } catch (error) {
      closeSync(replacement)
      throw error
    }
    closeSync(current)
    written = text.length
    rewritten = text.length
    return replacement
  }

  const tidy = (): void => {
    if (fd === undefined) return
    try {
      fd = rewrite(fd)
      broken = false
    } catch (error) {
      noteFailure(error)
    }
  }

  /**
   * Soon, and not within the call that made it due: that may run as the root of a container's user namespace, who would
   * own the new file.
   */
  const tidySoon = (): void => {
    tidying ??= setImmediate(() => {
      tidying = undefined
      tidy()
    })
  }

  const append = (line: JournalLine): void => {
    if (fd === undefined) return
    // A line that was cut short spoils the next one: all anew, as soon as there is room.
    if (broken) {
      tidySoon()
      return
    }
    const text = encodeLine(line)
    try {
      writeWhole(fd, text)
    } catch (error) {
      noteFailure(error)
    }
    written += text.length
    if (written > Math.max(REWRITE_BYTES, 4 * rewritten)) tidySoon()
  }

  tidy()
  return {
    left,
    leftGrants,
    announce: what => {
      const id = nextId++
      live.set(id, { ...what, id, made: null })
      append({ is: 'announced', id, ...what })
      return id
    },
    made: (id, what) => {
      const trace = live.get(id)
      if (trace === undefined) return
      const made = madeOf(what)
      live.set(id, { ...trace, made })
      append({ is: 'made', id, ...made })
    },
    granted: what => {
      const id = nextId++
      grants.set(id, { ...what, id })
      append({ is: 'granted', id, ...what })
      return id
    },
    gone: id => {
      if (live.delete(id) || grants.delete(id)) append({ is: 'gone', id })
    },
    close: () => {
      if (fd === undefined) return
      clearImmediate(tidying)
      if (broken) tidy()
      try {
        // While it is still ours: afterwards it may be another daemon's.
        if (live.size + grants.size === 0) unlinkSync(path)
      } catch (error) {
        noteFailure(error)
      }
      closeSync(fd)
      fd = undefined
    },
  }
}

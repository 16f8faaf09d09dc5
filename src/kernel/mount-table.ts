/**
 * Being told when a process's mounts change (proc(5), `/proc/pid/mountinfo`).
 * Such a file reports a change to whoever polls it first and then forgets it. Inside our epoll instance that would be
 * Node's loop, which polls the instance: so each one is polled by the loop directly.
 */
import koffi from 'koffi'
import { E } from '../fp.ts'
import type { Clock } from '../model/clock.ts'
import type { SyscallError } from '../model/errors.ts'
import type { Pid } from '../model/identity.ts'
import { openForReading } from './files.ts'

/** A container can mount without end; it is listened to again only after this. */
const APART_MS = 250

export interface MountWatch {
  close(): void
}

/**
 * Call `onChange` when the mounts that the process sees now, and goes on seeing if it ends, change. It is called once
 * without a change, soon: what changed before the loop listens cannot be told from it.
 */
export const watchMounts = (
  pid: Pid,
  clock: Clock,
  onChange: () => void,
): E.Either<SyscallError, MountWatch> => {
  const table = openForReading(`/proc/${pid}/mountinfo`)
  if (E.isLeft(table)) return table
  const timers = new Set<unknown>()
  const after = (ms: number, fn: () => void): void => {
    const id = clock.setTimeout(() => {
      timers.delete(id)
      fn()
    }, ms)
    timers.add(id)
  }
  const changed = (): void => {
    // libuv takes EPOLLERR, which is how a change shows, for an end, so it is started anew. From timers, because an
    // exception in this callback would vanish.
    handle.stop()
    after(0, onChange)
    after(APART_MS, () => {
      handle.start({ disconnect: true }, changed)
      onChange()
    })
  }
  // In a variable that the result holds on to: koffi closes a handle whose object is collected.
  const handle = koffi.node.poll(table.right.borrowed, { disconnect: true }, changed)
  // Adding it to the loop's epoll instance, now and whenever it is started anew, polls it: that consumes a change which
  // came before, and only a look can tell.
  after(0, onChange)
  return E.right({
    close: () => {
      for (const id of timers) clock.clearTimeout(id)
      handle.close()
      table.right.close()
    },
  })
}

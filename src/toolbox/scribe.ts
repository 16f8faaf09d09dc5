/** The journal as whoever makes something in one consumer's process sees it. */
import type { Pid } from '../model/identity.ts'
import type { Journal } from './journal.ts'
import type { Announcement, GrantNote, MadeFile } from './journal-format.ts'

export interface Scribe {
  /** Before it exists under its private name; the answer names it afterwards. */
  announce(what: Pick<Announcement, 'kind' | 'path' | 'private'>): number
  /** Before it gets its real name. */
  made(id: number, what: MadeFile): void
  /** Before a cgroup is told. */
  granted(what: Pick<GrantNote, 'path' | 'group' | 'inode' | 'device'>): number
  gone(id: number): void
}

export const scribeFor = (journal: Journal, consumer: string, pid: Pid, started: string): Scribe => ({
  announce: what => journal.announce({ ...what, consumer, pid, started }),
  made: journal.made,
  granted: what => journal.granted({ ...what, consumer, pid, started }),
  gone: journal.gone,
})

/**
 * The lines of the journal, and what they add up to. Pure.
 * A thing is announced under a private name before it is made, known by device and inode before it gets its real name,
 * and struck out once it is gone: wherever a kill falls, what is left behind can be told from everything else.
 *
 *   {"is":"journal","version":1,"boot":"…"}
 *   {"is":"announced","id":1,"consumer":"app","pid":12,"started":"345","kind":"socket","path":"/run/a.sock","private":".pvx-…"}
 *   {"is":"made","id":1,"device":"0:45","inode":"77","born":"1700000000.5"}
 *   {"is":"gone","id":1}
 *
 * What is written into a container's device cgroup is known by the group and the device, and struck out likewise:
 *
 *   {"is":"granted","id":2,"consumer":"app","pid":12,"started":"345","path":"/dev/dri/card0","group":"/lxc/app","inode":"91","device":"c 226:0"}
 */
import * as t from 'io-ts'
import { E } from '../fp.ts'
import { isPid, type Pid } from '../model/identity.ts'

export const JOURNAL_VERSION = 1

/** A process, told apart from a later one of the same number by its start (clock ticks since boot, proc(5)). */
export interface ProcessInstance {
  readonly pid: Pid
  readonly started: string
}

/** Something that is to appear in a consumer. */
export interface Announcement extends ProcessInstance {
  readonly consumer: string
  /** A `node` may be a file that one is mounted on. */
  readonly kind: 'socket' | 'directory' | 'node'
  /** As a path in the consumer's root. */
  readonly path: string
  /** The name it has in the same directory until it is complete. */
  readonly private: string
}

/** A file, told apart from every other one, be it of the same number after this one is gone. */
export interface FileIdentity {
  readonly device: string
  readonly inode: string
  /** When it was made, `0.0` where the file system does not know. */
  readonly born: string
}

export const sameIdentity = (a: FileIdentity, b: FileIdentity): boolean =>
  a.inode === b.inode && a.device === b.device && a.born === b.born

/** What got its real name, or is about to. */
export interface MadeFile extends FileIdentity {
  /** Of a mounted node: the file below it, which shows when the container takes the mount away. */
  readonly below?: FileIdentity
}

/** What is written down of a file, of which more may be known. */
export const madeOf = ({ device, inode, born, below }: MadeFile): MadeFile => ({
  device,
  inode,
  born,
  ...(below === undefined ? {} : { below: madeOf(below) }),
})

/** Something that was announced and not struck out. */
export interface Trace extends Announcement {
  readonly id: number
  /** `null`: it was not known yet, so it can only be found under its private name. */
  readonly made: MadeFile | null
}

/** A device that a cgroup did not allow and that we allowed it, for a node at a path. */
export interface GrantNote extends ProcessInstance {
  readonly consumer: string
  /** As in an `Announcement`. */
  readonly path: string
  /** As `/proc/PID/cgroup` has it. */
  readonly group: string
  /** Of the group's directory: tells it from a later one of that name. */
  readonly inode: string
  /** As the cgroup spells it, without the access: `c 226:0`. */
  readonly device: string
}

export interface GrantTrace extends GrantNote {
  readonly id: number
}

export interface JournalContent {
  /** In the order in which they were announced: a directory comes before what is in it. */
  readonly traces: readonly Trace[]
  readonly grants: readonly GrantTrace[]
  /** Lines that say nothing we know; the last one may have been cut by a kill. */
  readonly unreadable: number
}

const PidCodec = new t.Type<Pid, Pid>(
  'pid',
  (value): value is Pid => typeof value === 'number' && isPid(value),
  (value, context) =>
    typeof value === 'number' && isPid(value) ? t.success(value) : t.failure(value, context),
  t.identity,
)

const Beginning = t.type({ is: t.literal('journal'), version: t.number, boot: t.string })

const Identity = t.type({ device: t.string, inode: t.string, born: t.string })

const Line = t.union([
  Beginning,
  t.type({
    is: t.literal('announced'),
    id: t.number,
    consumer: t.string,
    pid: PidCodec,
    started: t.string,
    kind: t.union([t.literal('socket'), t.literal('directory'), t.literal('node')]),
    path: t.string,
    private: t.string,
  }),
  t.intersection([
    t.type({ is: t.literal('made'), id: t.number, device: t.string, inode: t.string, born: t.string }),
    t.partial({ below: Identity }),
  ]),
  t.type({
    is: t.literal('granted'),
    id: t.number,
    consumer: t.string,
    pid: PidCodec,
    started: t.string,
    path: t.string,
    group: t.string,
    inode: t.string,
    device: t.string,
  }),
  t.type({ is: t.literal('gone'), id: t.number }),
])

export type JournalLine = t.TypeOf<typeof Line>

const decodeLine = (text: string): JournalLine | undefined => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // A line that a kill has cut short.
    return undefined
  }
  const decoded = Line.decode(value)
  return E.isRight(decoded) ? decoded.right : undefined
}

export const encodeLine = (line: JournalLine): string => `${JSON.stringify(line)}\n`

export const linesFor = (trace: Trace): readonly JournalLine[] => {
  const { made, ...announcement } = trace
  const announced: JournalLine = { is: 'announced', ...announcement }
  return made === null ? [announced] : [announced, { is: 'made', id: trace.id, ...made }]
}

export const lineForGrant = (grant: GrantTrace): JournalLine => ({ is: 'granted', ...grant })

/** What a journal says is left. Of another boot, or of another version's: nothing, because its processes are gone. */
export const readJournal = (text: string, boot: string): JournalContent => {
  const lines = text.split('\n').filter(line => line !== '')
  const first = decodeLine(lines[0] ?? '')
  if (first === undefined || first.is !== 'journal')
    return { traces: [], grants: [], unreadable: lines.length }
  if (first.version !== JOURNAL_VERSION || first.boot !== boot)
    return { traces: [], grants: [], unreadable: 0 }
  const traces = new Map<number, Trace>()
  const grants = new Map<number, GrantTrace>()
  let unreadable = 0
  for (const line of lines.slice(1).map(decodeLine)) {
    if (line === undefined) {
      unreadable += 1
    } else if (line.is === 'announced') {
      const { is: _is, ...announcement } = line
      traces.set(line.id, { ...announcement, made: null })
    } else if (line.is === 'made') {
      const announced = traces.get(line.id)
      if (announced !== undefined) traces.set(line.id, { ...announced, made: madeOf(line) })
    } else if (line.is === 'granted') {
      const { is: _is, ...grant } = line
      grants.set(line.id, grant)
    } else if (line.is === 'gone') {
      traces.delete(line.id)
      grants.delete(line.id)
    }
  }
  return { traces: [...traces.values()], grants: [...grants.values()], unreadable }
}
